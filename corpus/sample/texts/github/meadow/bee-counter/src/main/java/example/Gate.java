// Copyright (c) 2021, The Meadow Authors. All rights reserved.
// Use of this source code is governed by a BSD-style license that can be found in the LICENSE file.

package example;

import java.time.Instant;
import java.util.ArrayDeque;
import java.util.Deque;

/** Two light barriers in a row: who breaks the outer one first comes home. */
public final class Gate {
    private final Deque<Instant> outer = new ArrayDeque<>();
    private final Deque<Instant> inner = new ArrayDeque<>();
    private int home;

    public void outerBroken(Instant at) {
        if (inner.isEmpty()) {
            outer.add(at);
        } else {
            inner.poll();
            home--;
        }
    }

    public void innerBroken(Instant at) {
        if (outer.isEmpty()) {
            inner.add(at);
        } else {
            outer.poll();
            home++;
        }
    }

    public int home() {
        return home;
    }
}
