"""Licence headers go, everything else of a file stays: by example, by property, and in linear time."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpus.sources.github.comments import NONE, syntax_of
from corpus.sources.github.headers import header_spans, remove_header

SHARE = 0.25  # the recipe's default
MIT = "Permission is hereby granted, free of charge, to any person"

REMOVED = [
    ("a block", "a.c", "/* Copyright 2020 A */\n\n#include <a.h>\n", "#include <a.h>\n"),
    (
        "a block over lines",
        "a.java",
        "/*\n * Licensed under the MIT License.\n */\npackage a;\n",
        "package a;\n",
    ),
    ("code after the block", "a.c", "/* Copyright A */ int a;\n", " int a;\n"),
    ("lines of slashes", "a.go", "// Copyright A.\n// All rights reserved.\n\npackage a\n", "package a\n"),
    ("hashes", "a.rb", "# Copyright A\nputs 1\n", "puts 1\n"),
    ("after a shebang", "a.sh", "#!/bin/sh\n# Copyright A\nls\n", "#!/bin/sh\nls\n"),
    (
        "after shebang and encoding",
        "a.py",
        "#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n# Copyright A\nimport a\n",
        "#!/usr/bin/env python\n# -*- coding: utf-8 -*-\nimport a\n",
    ),
    ("after <?php", "a.php", "<?php\n/**\n * @license MIT\n */\nf();\n", "<?php\nf();\n"),
    ("on the line of <?php", "a.php", "<?php // (c) 2020 A\nf();\n", "<?php f();\n"),
    (
        "after an XML declaration",
        "a.xml",
        '<?xml version="1.0"?>\n<!-- Copyright A -->\n<a/>\n',
        '<?xml version="1.0"?>\n<a/>\n',
    ),
    ("in HTML", "a.html", "<!DOCTYPE html>\n<!-- © A -->\n<p>a\n", "<!DOCTYPE html>\n<p>a\n"),
    ("HTML in Markdown", "a.md", "<!-- Copyright A -->\n# Title\n", "# Title\n"),
    ("two runs", "a.c", "/* Copyright A */\n\n// SPDX-License-Identifier: MIT\nint a;\n", "int a;\n"),
    ("a docstring", "a.py", '"""\nCopyright A.\n"""\nimport a\n', "import a\n"),
    ("a box of blocks", "a.c", "/******/\n/* (c) 1999 */\n/* by A   */\n/******/\nint a;\n", "int a;\n"),
    ("nested", "a.ml", "(* Copyright (* A *) B *)\nlet a = 1\n", "let a = 1\n"),
    ("Haskell", "A.hs", "-- Copyright A\nmodule A where\n", "module A where\n"),
    ("Lua's blocks", "a.lua", "--[[\nLicense: MIT\n]]\nreturn 1\n", "return 1\n"),
    ("Erlang", "a.erl", "%% Copyright A\n-module(a).\n", "-module(a).\n"),
    ("Lisp", "a.el", ";; Copyright A\n(a)\n", "(a)\n"),
    ("SQL", "a.sql", "-- Copyright A\nselect 1;\n", "select 1;\n"),
    ("Fortran, fixed form", "a.f", "C     Copyright A\nc     B\n      END\n", "      END\n"),
    ("a batch file", "a.bat", "@echo off\nREM Copyright A\ndir\n", "@echo off\ndir\n"),
    ("wrapped words", "a.js", "/*\n * all rights\n * reserved\n */\na;\n", "a;\n"),
    ("line ends of Windows", "a.cs", "// Copyright A\r\n\r\nusing A;\r\n", "using A;\r\n"),
    ("line ends of old Macs", "a.c", "// Copyright A\rint a;\r", "int a;\r"),
    (
        "by shebang alone",
        "run",
        "#!/usr/bin/env python3\n# Copyright A\na()\n",
        "#!/usr/bin/env python3\na()\n",
    ),
    (
        "a build constraint stays",
        "a.go",
        "//go:build x\n\n// Copyright A\n\npackage a\n",
        "//go:build x\n\npackage a\n",
    ),
    ("Makefile by name", "src/Makefile", "# Copyright A\nall:\n", "all:\n"),
    ("the permission alone", "a.scala", f"/* {MIT} */\nobject A\n", "object A\n"),
    (
        "up to the documentation below it",
        "a.cc",
        "// Copyright A.\n//\n// All rights reserved.\n//\n// Reads files.\n\nint a;\n",
        "// Reads files.\n\nint a;\n",
    ),
    ("a mark of the byte order stays", "a.c", "\ufeff/* Copyright A */\nint a;\n", "\ufeffint a;\n"),
    (
        "a tool's version stays",
        "P.swift",
        "// swift-tools-version:5\n// (c) 2020 A\na\n",
        "// swift-tools-version:5\na\n",
    ),
    ("indented", "a.c", "  /* Copyright A */\n  int a;\n", "  int a;\n"),
    ("wrapped by 'if not'", "a.py", "# Copyright A\n# along with this;\n# if not, see B\na\n", "a\n"),
]

KEPT = [
    ("#include and #define", "a.c", "#include <a.h>\n#define COPYRIGHT 1\n"),
    ("#include in a file that may be a script", "a.h.in", "#include <license.h>\n"),
    ("a header file as a template", "config.in", "#define LICENSE 1\n#undef COPYRIGHT\n"),
    ("shebang", "a.sh", "#!/bin/copyright\nls\n"),
    ("Markdown heading", "LICENSES.md", "# License\n\nMIT\n"),
    ("reStructuredText", "a.rst", "# Copyright\n"),
    ("what is not about the licence", "a.py", "# Reads the files.\nimport a\n"),
    ("a licence after code", "a.c", "int a;\n/* Copyright A */\n"),
    ("a licence after another comment", "a.c", "/* Reads files. */\n\n/* Copyright A */\nint a;\n"),
    ("a block without end", "a.c", "/* Copyright A\nint a;\n"),
    ("an unknown ending", "a.xyz", "# Copyright A\n"),
    ("JSON", "a.json", '{"license": "MIT"}\n'),
    ("a string that is no docstring", "a.py", '"""Copyright""".join(a)\n'),
    ("pragma of Haskell", "A.hs", "{-# LANGUAGE License #-}\nmodule A where\n"),
    ("conditional comment", "a.html", "<!--[if IE]> Copyright <![endif]-->\n"),
    ("a crate's attribute", "a.rs", "#![license]\nfn a() {}\n"),
    ("the end of PHP", "a.php", "<?php // Copyright ?>\n<p>\n"),
    (
        "documentation that names a licence",
        "a.js",
        "/**\n * Reads files.\n * One after the other, in the order of their names.\n"
        " * Each is closed when it has been read to its end.\n * @license MIT\n */\na;\n",
    ),
    ("a name", "a.py", "# LicenseManager reads a license_key.\n"),
]


@pytest.mark.parametrize(("why", "path", "text", "expected"), REMOVED, ids=[r[0] for r in REMOVED])
def test_a_licence_header_is_removed(why: str, path: str, text: str, expected: str) -> None:
    assert remove_header(path, text, SHARE) == expected


@pytest.mark.parametrize(("why", "path", "text"), KEPT, ids=[r[0] for r in KEPT])
def test_everything_else_stays(why: str, path: str, text: str) -> None:
    assert remove_header(path, text, SHARE) == text


PATHS = st.sampled_from(
    [
        "a.c", "a.py", "a.php", "a.html", "a.ml", "a.lua", "a.f", "a.bat", "a.md", "a.m", "a.coffee", "a.jl",
        "a.rkt", "a.s", "a.go", "config.h.in", "Makefile", "run",
    ]
)  # fmt: skip
PIECES = st.sampled_from(
    [
        "Copyright", "license", "(c) 2001", "all rights\n# reserved", "// ", "# ", "/*", "*/", "/* a */",
        '"""', "<!--", "-->", "(*", "*)", "--[[", "]]", "--", "%", ";", "C ", "rem ", "#include <a>\n", "#!",
        "#!/bin/sh\n", "<?php", "?>", "<?xml?>", "<!doctype html>", "{-#", "-*- coding: x -*-", "\\", "\n",
        "\n", "\n", "\r\n", "\r", " ", "\t", "\f", "x", "é", "\u2028", "#[", "#=", "=#", "###", "---\n",
        "vim: a\n", "@echo off\n",
    ]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(PATHS, st.lists(PIECES, max_size=24).map("".join))
@example("a.c", "/*/ Copyright */ x")
@example("a.py", '"""\\"""Copyright\\\\""" x')
def test_what_goes_is_whole_comments_about_the_licence(path: str, text: str) -> None:
    spans = header_spans(path, text, SHARE)
    at = 0
    for start, end in spans:
        assert at <= start < end <= len(text)
        removed = text[start:end]
        # A run begins with a mark of its language, and ends with a line, or with what closes a block.
        assert any(
            removed.lstrip().lower().startswith(mark)
            for mark in ("/", "#", '"""', "<!--", "(*", "--", "%", ";")
        ) or removed.lstrip().lower().startswith(
            ("c", "*", "rem", "@rem", "!", "@", "<", "{", "'''", "::", "%{", "r")
        )
        assert "#include" not in removed.splitlines()[0] or removed.lstrip()[0] != "#"
        assert (
            end == len(text)
            or removed[-1] in "\r\n"
            or removed.endswith(("*/", "-->", "*)", "]]", '"""', "=#", "###", "|#"))
        )
        at = end
    pieces = [
        text[a:b]
        for a, b in zip([0, *(e for _, e in spans)], [*(s for s, _ in spans), len(text)], strict=True)
    ]
    assert remove_header(path, text, SHARE) == "".join(pieces)


@settings(max_examples=200, deadline=None)
@given(PATHS, st.lists(PIECES, max_size=24).map("".join))
def test_nothing_is_removed_after_the_first_code(path: str, text: str) -> None:
    """What follows a line that is no comment in any language stays, whatever it is."""
    code = "\nx = 1\n" + text
    shorter = remove_header(path, text + code, SHARE)
    assert shorter.endswith(code) or _reaches_over(path, text + code, len(text))


def _reaches_over(path: str, text: str, at: int) -> bool:
    """Whether a block that was open before a position closes after it."""
    return any(start < at < end for start, end in header_spans(path, text, SHARE))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.c", "/*" + " * Copyright\n" * 300_000 + "*/\nint a;\n"),
        ("a.c", "/*" + " * Copyright\n" * 300_000),
        ("a.c", "// Copyright\n" * 300_000),
        ("a.c", "/* Copyright */\n" * 200_000),
        ("a.c", "/* Copyright */\n\n" * 200_000),
        ("a.c", "/* all" + " " * 4_000_000 + "rights */\n"),
        ("a.c", "/* " + "(c)" * 1_000_000 + " */\n"),
        ("a.ml", "(*" * 1_000_000),
        ("a.ml", "(*" * 1_000_000 + " Copyright " + "*)" * 1_000_000),
        ("a.py", "# " + "-*-" * 1_000_000),
        ("a.py", "# " + "coding" * 600_000),
        ("a.py", '"""' + "\\" * 4_000_000),
        ("a.py", '"""Copyright ' + '\\"""' * 1_000_000),
        ("a.php", "<?php " * 600_000),
        ("a.html", "<!doctype html>\n" * 200_000),
        ("a.html", "<!doctype " + "a" * 4_000_000),
        ("a.py", "\n" * 4_000_000 + "# Copyright\n"),
        ("a.py", " " * 4_000_000 + "# Copyright\n"),
        ("a.go", "//go:build a\n" * 300_000),
    ],
    ids=lambda value: value[:12],
)
def test_four_megabytes_of_comment_take_linear_time(path: str, text: str) -> None:
    start = time.process_time()
    header_spans(path, text, SHARE)
    assert time.process_time() - start < 8


def test_endings_and_names_are_unambiguous_and_known() -> None:
    assert syntax_of("A/B.PY", "").docstring
    assert syntax_of("dir.py/LICENSE", "") == NONE
    assert syntax_of(".py", "") == NONE
    assert "//" in syntax_of("x.js", "").lines
    assert {"//", "%"} == set(syntax_of("x.m", "").lines)
    assert syntax_of("x.lua", "").blocks[0][0] == "--[==["
