"""One document shown: what was removed of it and why, from the raw file read again; or why that cannot be."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from corpus import recipe
from tests.builds import build_here, sample_of
from tests.pipelines.conftest import ROOT
from tests.review.inspect.conftest import Inspect

Objects = Callable[..., list[dict[str, Any]]]
_DUPLICATE = (
    r"duplicate: in (\d+) or more documents of block CC-MAIN-2019-30-block-0000 \(\d of its 7 splits\)"
)
# What no document's text may put on a terminal; line ends and tabs aside.
_ACTS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066\u2067]")


def _pages(run: Path, ending: str) -> list[dict[str, Any]]:
    """Annotated pages of files whose names end so, of which a paragraph was removed and another kept."""
    rows = [row for path in sorted((run / "annotated").iterdir()) for row in pq.read_table(path).to_pylist()]
    return [
        row
        for row in rows
        if row["file"].endswith(ending)
        and row["paragraphs_v1"]
        and len(row["paragraphs_v1"]) < row["paragraphs_v1_total"]
    ]


@pytest.mark.parametrize("ending", [".wet.gz", "00004.warc.gz"])
def test_a_page_is_shown_with_the_paragraphs_that_were_removed(
    crawl: Path, objects: Objects, ending: str
) -> None:
    for row in _pages(crawl / "run", ending)[:3]:
        (shown,) = objects(crawl / "run", "--id", row["id"], "--show")
        kept = [p["text"].strip() for p in shown["paragraphs"] if p["removed"] is None]
        assert "\n".join(kept) == row["text"]
        assert len(shown["paragraphs"]) >= row["paragraphs_v1_total"]
        removed = [p for p in shown["paragraphs"] if p["removed"] and p["text"].strip()]
        assert removed
        reasons = {p["removed"] for p in removed}
        assert any(re.fullmatch(_DUPLICATE, reason) for reason in reasons)
        assert all(
            re.fullmatch(f"{_DUPLICATE}|blank: .*|the same line stands .*", reason) for reason in reasons
        )


def test_of_a_removed_paragraph_other_pages_that_have_it_are_counted(crawl: Path, objects: Objects) -> None:
    row = _pages(crawl / "run", "00004.warc.gz")[0]
    (shown,) = objects(crawl / "run", "--id", row["id"], "--show")
    files = sorted((crawl / "run" / "extracted").iterdir())
    pages = [text for path in files for text in pq.read_table(path)["text"].to_pylist()]
    for paragraph in shown["paragraphs"]:
        if found := re.match(_DUPLICATE, paragraph["removed"] or ""):
            of_warc = sum(paragraph["text"].strip() in page.split("\n") for page in pages)
            assert int(found[1]) >= 2
            assert of_warc >= 1


def test_a_rejected_page_is_shown_with_the_value_that_failed(crawl: Path, objects: Objects) -> None:
    (found,) = objects(crawl / "run", "--rule", "perplexity", "--limit", 1)
    (shown,) = objects(crawl / "run", "--id", found["id"], "--show")
    failed = [m for m in shown["measures"] if m["passed"] is False]
    assert failed[0]["name"] == "perplexity_v1"
    assert failed[0]["reason"] == shown["document"]["reason"]
    assert "kept: head, middle" in failed[0]["bound"]


def _moved(crawl: Path, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """A copy of the raw files, and a page of a WET file in it."""
    shutil.copytree(crawl / "raw", tmp_path / "moved")
    return tmp_path / "moved", _pages(crawl / "run", ".wet.gz")[0]


def test_raw_files_are_read_where_they_were_moved_to(crawl: Path, tmp_path: Path, objects: Objects) -> None:
    moved, row = _moved(crawl, tmp_path)
    name = next(path for path in moved.rglob(Path(row["file"]).name))
    root = str(name)[: -len(row["file"]) - 1]
    (shown,) = objects(crawl / "run", "--id", row["id"], "--show", "--input-root", root)
    assert str(name) in shown["note"]
    assert shown["paragraphs"]


def test_a_raw_file_that_is_missing_or_changed_is_said(crawl: Path, tmp_path: Path, objects: Objects) -> None:
    moved, row = _moved(crawl, tmp_path)
    name = next(path for path in moved.rglob(Path(row["file"]).name))
    show = (crawl / "run", "--id", row["id"], "--show", "--input-root", str(name)[: -len(row["file"]) - 1])
    data = name.read_bytes()
    name.write_bytes(data[: row["offset"]] + bytes(len(data) - row["offset"]))
    (shown,) = objects(*show)
    assert "it was changed, or is another" in shown["note"]
    assert shown["paragraphs"] is None
    name.write_bytes(data + b"more")
    assert "bytes where the run read" in objects(*show)[0]["note"]
    name.unlink()
    assert "give --input-root" in objects(*show)[0]["note"]


def test_a_page_whose_text_is_another_is_not_shown_as_if_it_were_the_same(
    crawl: Path, tmp_path: Path, objects: Objects
) -> None:
    root = tmp_path / "run"
    shutil.copytree(crawl / "run", root)
    row = _pages(root, "00004.warc.gz")[0]
    path = root / "extracted" / "part-00000-000.parquet"
    table = pq.read_table(path)
    texts = [
        t.replace("a", "b") if o == row["offset"] else t
        for t, o in zip(table["text"].to_pylist(), table["offset"].to_pylist(), strict=True)
    ]
    changed = table.set_column(table.schema.get_field_index("text"), table.schema.field("text"), [texts])
    pq.write_table(changed, path)
    _account(root, "index", "extracted/part-00000-000.parquet", path.stat().st_size)
    (shown,) = objects(root, "--id", row["id"], "--show")
    assert "is not the page that this document was made of" in shown["note"]


def _account(root: Path, stage: str, path: str, size: int) -> None:
    """Have a stage's manifest say another size of a file."""
    manifest = json.loads((root / stage / "manifest.json").read_text())
    for entry in manifest["entries"]:
        for file in entry["files"]:
            if file["path"] == path:
                file["bytes"] = size
    (root / stage / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("source", ["c4", "github", "wikipedia", "books", "arxiv", "stackexchange"])
def test_the_raw_record_of_every_document_of_a_source_is_found_again(
    source: str, tmp_path: Path, objects: Objects
) -> None:
    build_here(tmp_path / source, source, [sample_of(source)])
    for found in objects(tmp_path / source, "--limit", 6, "--random"):
        (shown,) = objects(
            tmp_path / source, "--id", found["id"], "--show", "--kept" if found["kept"] else "--rejected"
        )
        assert shown["raw"], shown["note"]
        if shown["raw"]["lines"] and shown["paragraphs"] and source != "books":
            kept = [p["text"] for p in shown["paragraphs"] if p["removed"] is None]
            assert " ".join(kept).split() == shown["document"]["text"].split()


def test_what_was_removed_from_the_head_of_code_is_marked(
    tmp_path: Path, objects: Objects, inspect: Inspect
) -> None:
    build_here(tmp_path / "run", "github", [sample_of("github")])
    found = objects(tmp_path / "run", "--where", "github_v1_header>0", "--kept", "--limit", 1)[0]
    (shown,) = objects(tmp_path / "run", "--id", found["id"], "--show", "--kept")
    removed = [p["text"] for p in shown["paragraphs"] if p["removed"] == "header"]
    assert "Copyright" in removed[0]
    assert len("\n".join([*removed, ""]).encode()) == shown["document"]["github_v1_header"]
    assert "\n− " in inspect(tmp_path / "run", "--id", found["id"], "--show", "--kept")


def test_a_raw_record_with_other_lines_is_not_shown_as_the_same(tmp_path: Path, objects: Objects) -> None:
    raw = tmp_path / "raw" / "c4-train.00000.json"
    raw.parent.mkdir()
    raw.write_text('{"text": "One lamp.\\nTwo lamps.", "url": "https://e.example/"}\n')
    build_here(tmp_path / "run", "c4", [raw])
    (found,) = objects(tmp_path / "run")
    show = (tmp_path / "run", "--id", found["id"], "--show")
    assert "not there" not in objects(*show)[0]["note"]
    raw.write_text(raw.read_text().replace("Two", "Ten"))
    assert "the document has lines that are not there" in objects(*show)[0]["note"]


def test_a_document_in_whose_place_another_stays_names_it(tmp_path: Path, objects: Objects) -> None:
    build_here(tmp_path / "run", "github", [sample_of("github")])
    for found in objects(tmp_path / "run", "--rule", "exact_duplicate", "--limit", 3):
        (shown,) = objects(tmp_path / "run", "--id", found["id"], "--show", "--rule", "exact_duplicate")
        (stays,) = objects(
            tmp_path / "run", "--id", shown["stands_for_it"], "--kept", "--columns", "github_v1_sha256"
        )
        assert stays["github_v1_sha256"] == shown["document"]["github_v1_sha256"]


def test_a_run_without_documents_says_so(tmp_path: Path, inspect: Inspect) -> None:
    (tmp_path / "raw.json").write_text("no JSON\n")
    build_here(tmp_path / "run", "c4", [tmp_path / "raw.json"], recipe.load("sample"))
    assert "no document in" in inspect(tmp_path / "run", status=1)
    assert "no document with an id" in inspect(tmp_path / "run", "--id", "a", "--show", status=1)


def test_hostile_text_does_nothing_in_a_pipe(hostile: Path, inspect: Inspect, objects: Objects) -> None:
    said = inspect(hostile / "run")
    for found in objects(hostile / "run"):
        said += inspect(hostile / "run", "--id", found["id"], "--show", "--follow")
    assert not _ACTS.search(said)
    assert "␛[2J" in said
    assert "⟨U+202E⟩" in said
    assert "<script>alert(1)</script>[red]markup[/red] :smile:" in said
    assert "\u2068שלום עולם (123)\u2069" in said
    assert max(map(len, said.splitlines())) < 3_000


def test_hostile_text_does_nothing_on_a_terminal(hostile: Path) -> None:
    (hostile_id, *_) = pq.read_table(next((hostile / "run" / "annotated").iterdir()))["id"].to_pylist()
    main, side = pty.openpty()
    command = [sys.executable, "-m", "pipelines", "inspect", hostile / "run", "--id", hostile_id, "--show"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=side, stderr=side, env=os.environ | {"COLUMNS": "80", "TERM": "xterm"}
    ) as process:
        os.close(side)
        data = b""
        try:
            while block := os.read(main, 1 << 16):
                data += block
        except OSError:  # the other side is closed
            pass
    os.close(main)
    assert process.returncode == 0
    said = re.sub(r"\x1b\[[0-9;]*m", "", data.decode()).replace("\r\n", "\n")  # our own colours
    assert data.decode() != said
    assert not _ACTS.search(said)
    assert "␛[2J" in said
