"""Real files and licence texts of 30 repositories; the numbers were counted from the rows themselves."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from corpus import recipe
from corpus.settings.github import GitHub
from corpus.sources.github.headers import header_spans
from corpus.sources.github.licenses import open_rule
from tests.builds import build_here, rows, with_build, with_settings
from tests.shared import DATA, needs

FILES = DATA / "github" / "github-contents.dev.jsonl.gz"

pytestmark = needs(FILES)


def read(path: Path) -> list[dict[str, Any]]:
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    return [json.loads(line) for line in text.split("\n") if line]


def test_every_file_is_accounted_for(tmp_path: Path) -> None:
    """280 of 400 pass the licence rule: 5 of them are empty, 4 minified, one has 4 letters in 17 characters,
    one is another's copy. (Of all 400 contents 392 are distinct: 6 are empty, 3 come twice.)
    """
    chosen = with_settings(recipe.load("sample"), "github", licenses="")
    _, counters = build_here(tmp_path, "github", [FILES], with_build(chosen, rejected="text"))
    assert {k: v for k, v in counters.items() if k != "held_out"} == {
        "in": 400, "kept": 269, "bad": 0, "merged": 0, "skipped": 0, "rejected": 131,
        "rejected/license": 109, "rejected/no_license": 11, "rejected/empty": 5, "rejected/line_length": 4,
        "rejected/alphanumeric": 1, "rejected/exact_duplicate": 1,
    }  # fmt: skip
    source = {(row["repo_name"], row["path"]): row["content"] for row in read(FILES)}
    for row in rows(tmp_path, "annotated"):
        original = source[row["github_v1_repository"], row["github_v1_path"]]
        if row["github_v1_reason"] in ("license", "no_license"):
            assert row["text"] == original
            continue
        # All that went is a mark of the byte order and whole comments at the start.
        assert original.endswith(row["text"][-1_000:])
        assert len(original.encode()) - row["bytes"] in (row["github_v1_header"], row["github_v1_header"] + 3)


def test_headers_of_the_allowed_files() -> None:
    """No include or shebang goes, and what is left at the start of a file that had a header is no licence."""
    allowed = [r for r in read(FILES) if r["license"] in ("MIT", "Apache-2.0", "BSD-3-Clause")]
    cut = 0
    for row in allowed:
        text = row["content"].removeprefix("\ufeff")
        spans = header_spans(row["path"], text, GitHub().header_share)
        cut += bool(spans)
        for start, end in spans:
            lines = text[start:end].splitlines()
            assert not any(line.startswith(("#include", "#define", "#if", "#!", "# -*-")) for line in lines)
            assert any(word in text[start:end].lower() for word in ("copyright", "license", "(c)"))
        if spans:
            left = text[spans[-1][1] :][:300].lower()
            assert "permission is hereby granted" not in left
            assert "redistribution and use" not in left
    assert cut == 73


def test_texts_of_licences_are_recognised_as_what_they_are() -> None:
    """All but one: Snappy's file says for half of its length what its test data is licensed under."""
    rule = open_rule(GitHub())
    found, wrong = 0, []
    for row in read(DATA / "github" / "licenses.jsonl"):
        if not row["license_text"]:
            continue
        found += 1
        result = rule.of_texts([row["license_text"].encode()])
        allowed = row["license"] in ("MIT", "Apache-2.0", "BSD-3-Clause")
        if (result.reason is None) != allowed:
            wrong.append((row["repo_name"], result.expression))
    assert found == 29
    assert wrong == [("google/snappy", "LicenseRef-unknown")]
