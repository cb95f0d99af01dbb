"""Licences: expressions decided as their operators say, texts recognised, absence told from refusal."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.errors import UserError
from corpus.recipe import Limits
from corpus.settings.github import GitHub
from corpus.sources.github.license_list import LicenseList
from corpus.sources.github.licenses import LicenseRule, open_rule, parsed, spdx, table

RULE = open_rule(GitHub())
ROOT = Path(__file__).parents[3]
APACHE = (ROOT / "LICENSE").read_bytes()
MIT = b"""MIT License

Copyright (c) 2020 A

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""
ISC = b"""Copyright (c) 2020, A

Permission to use, copy, modify, and/or distribute this software for any
purpose with or without fee is hereby granted, provided that the above
copyright notice and this permission notice appear in all copies.

THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES WITH
REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED WARRANTIES OF MERCHANTABILITY
AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR ANY SPECIAL, DIRECT,
INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES WHATSOEVER RESULTING FROM
LOSS OF USE, DATA OR PROFITS, WHETHER IN AN ACTION OF CONTRACT, NEGLIGENCE OR
OTHER TORTIOUS ACTION, ARISING OUT OF OR IN CONNECTION WITH THE USE OR
PERFORMANCE OF THIS SOFTWARE.
"""


@pytest.mark.parametrize(
    ("names", "expression", "reason"),
    [
        (["MIT"], "MIT", None),
        (["mit"], "MIT", None),
        (["apache-2.0"], "Apache-2.0", None),
        (["bsd-3-clause"], "BSD-3-Clause", None),
        (["gpl-2.0"], "GPL-2.0-only", "license"),
        (["MIT OR GPL-2.0"], "MIT OR GPL-2.0-only", None),
        (["mit or gpl-2.0"], "MIT OR GPL-2.0-only", None),
        (["MIT AND GPL-2.0"], "MIT AND GPL-2.0-only", "license"),
        (["MIT AND BSD-2-Clause"], "MIT AND BSD-2-Clause", None),
        (["GPL-3.0-only OR (MIT AND ISC)"], "GPL-3.0-only OR (MIT AND ISC)", "license"),
        (["(MIT OR GPL-3.0-only) AND Apache-2.0"], "(MIT OR GPL-3.0-only) AND Apache-2.0", None),
        (["GPL-3.0-only OR MIT AND Apache-2.0"], "GPL-3.0-only OR (MIT AND Apache-2.0)", None),
        (["Apache-2.0 WITH LLVM-exception"], "Apache-2.0 WITH LLVM-exception", None),
        (["Apache-2.0 WITH Commons-Clause"], "Apache-2.0 WITH Commons-Clause", "license"),
        (["GPL-2.0 WITH Classpath-exception-2.0"], "GPL-2.0-only WITH Classpath-exception-2.0", "license"),
        (["MIT WITH MIT"], "MIT WITH MIT", "license"),
        (["Apache-2.0+"], "Apache-2.0+", None),
        (["BSD-2-Clause-FreeBSD"], "BSD-2-Clause-Views", None),
        (["BSD-3-Clause-No-Nuclear-License"], "BSD-3-Clause-No-Nuclear-License", "license"),
        (["JSON"], "JSON", "license"),
        (["MIT License"], "MIT", None),
        (["Apache License, Version 2.0"], "Apache-2.0", None),
        (["MIT/Apache-2.0"], "MIT OR Apache-2.0", None),
        (["MIT", "Apache-2.0"], "MIT AND Apache-2.0", None),
        (["MIT", "GPL-3.0-only"], "MIT AND GPL-3.0-only", "license"),
        (["MIT", "mit"], "MIT", None),
        (["MIT) OR (MIT", "GPL-3.0-only"], "MIT) OR (MIT ; GPL-3.0-only", "unknown_license"),
        (["(MIT"], "(MIT", "unknown_license"),
        (["MIT " * 900], ("MIT " * 900).strip(), "unknown_license"),
        (["MIT"] * 2_000, None, "unknown_license"),
        (["()"], "()", "unknown_license"),
        (["MIT OR (and ISC)"], "MIT OR (and ISC)", "unknown_license"),
        (["LicenseRef-unknown"], "LicenseRef-unknown", "unknown_license"),
        ([], None, "no_license"),
        (["", "NOASSERTION", "null", "Other"], None, "no_license"),
    ],
)
def test_expressions(names: list[str], expression: str | None, reason: str | None) -> None:
    found = RULE.of_names(tuple(names))
    assert (found.expression, found.reason) == (expression, reason)


def test_a_recipe_reads_several_as_a_choice_lets_more_in_and_keeps_families_out() -> None:
    assert open_rule(GitHub(several="any")).of_names(("MIT", "GPL-3.0-only")).reason is None
    assert open_rule(GitHub(also=["ISC", "gpl-3.0-only"])).of_names(("isc AND GPL-3.0-only",)).reason is None
    assert open_rule(GitHub(families=["mit"])).of_names(("Apache-2.0",)).reason == "license"


TREES = st.recursive(
    st.sampled_from(["MIT", "Apache-2.0", "BSD-2-Clause", "GPL-2.0-only", "ISC", "MPL-2.0"]),
    lambda inner: st.tuples(st.sampled_from(["AND", "OR"]), st.lists(inner, min_size=2, max_size=3)),
    max_leaves=8,
)


def spelled(tree: object) -> str:
    return tree if isinstance(tree, str) else f" {tree[0]} ".join(f"({spelled(t)})" for t in tree[1])  # type: ignore[index]


def allowed(tree: object) -> bool:
    if isinstance(tree, str):
        return tree in ("MIT", "Apache-2.0", "BSD-2-Clause")
    operator, parts = tree  # type: ignore[misc]
    return (any if operator == "OR" else all)(map(allowed, parts))


@given(TREES)
def test_compound_expressions_are_decided_as_their_trees(tree: object) -> None:
    assert (RULE.of_names((spelled(tree),)).reason is None) == allowed(tree)


@given(st.text(st.sampled_from("() ANDORWITHmit+/\\,&|\"'0\x00é")) | st.text())
def test_no_text_stops_the_parser(text: str) -> None:
    assert RULE.of_names((text,)).reason in (None, "license", "unknown_license", "no_license")


def test_every_id_of_the_families_is_in_the_spdx_list_and_every_name_stands_for_one() -> None:
    ids = [name for family in table().families.values() for name in family]
    assert len(ids) == len(set(ids))
    assert [name for name in ids if name not in spdx().known_symbols] == []
    assert [name for name in table().names if RULE.of_names((name,)).reason is not None] == []
    assert [name for name in table().names if name != name.casefold() or parsed(name) is None] == []


def test_texts() -> None:
    assert RULE.of_texts([APACHE]).expression == "Apache-2.0"
    assert RULE.of_texts([MIT]).reason is None
    assert RULE.of_texts([ISC]).expression == "ISC"
    assert RULE.of_texts([ISC]).reason == "license"
    assert RULE.of_texts([MIT + b"\n\n" + ISC]).expression == "MIT AND ISC"
    assert RULE.of_texts([MIT, APACHE]).expression == "MIT AND Apache-2.0"
    assert RULE.of_texts([b"All yours."]).reason == "unknown_license"
    assert RULE.of_texts([MIT, b"All yours."]).reason == "unknown_license"
    assert RULE.of_texts([]).reason == "no_license"
    assert RULE.of_texts([b"\xff\xfe" + MIT]).expression == "MIT"


def test_a_text_that_is_too_long_is_not_looked_at() -> None:
    assert open_rule(GitHub(license_bytes=100)).of_texts([MIT]).reason == "unknown_license"


def test_a_text_is_remembered_by_its_digest() -> None:
    rule = LicenseRule(frozenset({"mit"}), "all", 75.0, 1 << 20)
    assert rule.of_texts([MIT]) == rule.of_texts([bytes(MIT)])
    assert len(rule._texts) == 1


def write(path: Path, rows: list[dict[str, str]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_a_list_of_licences_is_looked_up_by_repository(tmp_path: Path) -> None:
    rows = [
        {"repo_name": "a/a", "license": "mit"},
        {"repo_name": "a/b", "license": "gpl-3.0"},
        {"repo_name": "a/c", "license_text": MIT.decode()},
        {"repo_name": "a/a", "license": "gpl-3.0"},
        {"repo_name": "a/d"},
    ]
    found = LicenseList(write(tmp_path / "l.jsonl", rows), Limits(), RULE)
    assert [getattr(found.get(f"a/{x}"), "reason", "absent") for x in "abcde"] == [
        None, "license", None, "no_license", "absent",
    ]  # fmt: skip


def test_many_repositories_take_little_memory(tmp_path: Path) -> None:
    names = [f"o{i}/r{i}" for i in range(20_000)]
    kinds = ["mit", "apache-2.0", "gpl-3.0"]
    random.Random(1).shuffle(names)
    rows = [{"repo_name": name, "license": kinds[i % 3]} for i, name in enumerate(names)]
    found = LicenseList(write(tmp_path / "l.jsonl", rows), Limits(), RULE)
    assert found._hashes.nbytes + found._numbers.nbytes == 12 * len(names)
    assert [found.get(n).reason for n in names[:6]] == [None, None, "license"] * 2  # type: ignore[union-attr]


@pytest.mark.parametrize("text", ["{", '{"license": "mit"}\n', '{"repo_name": 1}\n'])
def test_a_list_that_cannot_be_read_is_the_users_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "l.jsonl").write_text(text)
    with pytest.raises(UserError, match="byte 0"):
        LicenseList(str(tmp_path / "l.jsonl"), Limits(), RULE)
