// Copyright 2022 The Lintel Authors
// SPDX-License-Identifier: MIT OR GPL-2.0-only

'use strict';

/**
 * Opens for those who are expected, and remembers when.
 * @param {Set<string>} expected names on the list of the day
 */
export class Gate {
  #passed = new Map();

  constructor(expected) {
    this.expected = expected;
  }

  ask(name, now = new Date()) {
    if (!this.expected.has(name)) return false;
    this.#passed.set(name, now);
    return true;
  }

  get passed() {
    return [...this.#passed.entries()].sort(([, a], [, b]) => a - b);
  }
}
