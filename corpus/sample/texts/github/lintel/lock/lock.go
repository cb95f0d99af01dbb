// Copyright 2022 The Lintel Authors
// SPDX-License-Identifier: GPL-3.0-or-later

package lock

// Turn moves the bolt by one notch.
func Turn(notch int) int { return (notch + 1) % 4 }
