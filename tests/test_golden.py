"""Golden folders: what goes into a source, an annotator, a normalisation or a decision, and what comes out.

In: `tests/golden`, of which every folder and case is found and tested by itself. A new source has
`sources/<source>/<case>/` with `input.*` (or a folder `input`) and `expected.toml`, a new annotator
`annotators/<name>/cases.toml`. TOML has no null: a key that is absent is null; of a built source's documents,
it is not looked at.
"""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import xxhash

from corpus import assets, recipe
from corpus.decide import COLUMNS, Cutoffs, Removals, decide
from corpus.errors import UserError
from corpus.kernels import ccnet_text, language_model_text, lines
from corpus.registry import ANNOTATORS, BUILDS, SOURCES
from corpus.rules import C4Rules, FineWebRules, GopherQuality, GopherRepetition
from corpus.schema import document_id
from corpus.tally import Tally
from tests.builds import build_here, rows, with_build

GOLDEN = Path(__file__).parent / "golden"
RECIPE = recipe.load("sample")
# With the annotators that the recipe does not run, by their defaults.
SETTINGS = dataclasses.replace(
    RECIPE.commoncrawl,
    c4=C4Rules(),
    gopher_quality=GopherQuality(),
    gopher_repetition=GopherRepetition(),
    fineweb=FineWebRules(),
)
FETCHED = "lid.176.ftz"  # the only model that does not come with the package
BATCH_BYTES = 1 << 20

Row = dict[str, Any]


def folders(path: str) -> list[Path]:
    return sorted(folder for folder in GOLDEN.glob(path) if folder.is_dir())


def cases(path: str) -> list[Row]:
    return tomllib.loads((GOLDEN / path).read_text("utf-8"))["case"]


def batch(rows: list[Row], columns: list[str]) -> pa.RecordBatch:
    """A column of strings where no row has a number."""
    values = {name: [row.get(name) for row in rows] for name in columns}
    number = {name: any(isinstance(v, float) for v in column) for name, column in values.items()}
    return pa.record_batch(
        {name: pa.array(v, pa.float64() if number[name] else pa.string()) for name, v in values.items()}
    )


def rows_of(batch: pa.RecordBatch) -> list[Row]:
    """Rows as in TOML: without their nulls."""
    return [{k: v for k, v in row.items() if v is not None} for row in batch.to_pylist()]


def check(examples: list[Row], found: pa.RecordBatch) -> None:
    results = [(example["why"], row) for example, row in zip(examples, rows_of(found), strict=True)]
    assert results == [(example["why"], example["expected"]) for example in examples]


def test_every_source_and_every_annotator_has_a_folder() -> None:
    assert {folder.parent.name for folder in folders("sources/*/*")} == {*SOURCES, *BUILDS}
    assert {folder.name for folder in folders("annotators/*")} == set(ANNOTATORS)


def source_folders(names: Iterable[str]) -> list[Path]:
    return [folder for folder in folders("sources/*/*") if folder.parent.name in names]


def folder_id(folder: Path) -> str:
    return f"{folder.parent.name}-{folder.name}"


@pytest.mark.parametrize("folder", source_folders(BUILDS), ids=folder_id)
def test_build(folder: Path, tmp_path: Path) -> None:
    """Every document, kept or not; what is bad; the reader's counters."""
    (path,) = folder.glob("input*")
    source = folder.parent.name
    expected = tomllib.loads((folder / "expected.toml").read_text("utf-8"))
    chosen = with_build(RECIPE, rejected="text")
    if changes := expected.get("settings"):
        raw = recipe.to_dict(chosen)
        raw[source] |= changes
        chosen = recipe.from_dict(raw, str(folder))
    build_here(tmp_path, source, [path], chosen, folder if path.is_file() else path)

    documents, examples = rows(tmp_path, "annotated"), expected.get("documents", [])
    found = [{k: row[k] for k in example} for row, example in zip(documents, examples, strict=False)]
    assert found == examples
    assert len(documents) == len(examples), [row["key"] for row in documents[len(examples) :]]
    reasons = {row["key"]: row["reason"] for row in with_decisions(tmp_path) if row["reason"]}
    assert reasons == expected.get("rejected", {})
    bad = [{"offset": b["offset"], "reason": b["reason"]} for b in rows(tmp_path, "bad")]
    assert bad == expected.get("bad", [])
    stages = json.loads((tmp_path / "stats.json").read_bytes())["stages"]
    assert {k: v for k, v in stages["extract"].items() if k != "bytes_raw"} == expected["counters"]


def with_decisions(run: Path) -> list[Row]:
    return [
        document | decision
        for document, decision in zip(rows(run, "annotated"), rows(run, "decisions"), strict=True)
    ]


@pytest.mark.parametrize("folder", source_folders(SOURCES), ids=folder_id)
def test_source(folder: Path) -> None:
    (path,) = folder.glob("input.*")
    bad: list[Row] = []
    tally = Tally(lambda records: bad.extend(records.to_pylist()))
    read = SOURCES[folder.parent.name]
    batches = list(read(str(path), path.name, RECIPE.limits, BATCH_BYTES, tally))
    tally.flush()
    pages = [page for records in batches for page in rows_of(records)]

    expected = tomllib.loads((folder / "expected.toml").read_text("utf-8"))
    assert pages == [page | {"file": path.name} for page in expected.get("pages", [])]
    assert [{"offset": b["offset"], "reason": b["reason"]} for b in bad] == expected.get("bad", [])
    assert dict(tally.counters) == expected["counters"]


class Models(dict[str, str]):
    """Local path of each asset of the recipe, fetched when it is asked for."""

    def __missing__(self, name: str) -> str:
        try:
            self[name] = assets.fetch(name, RECIPE.assets[name])
        except UserError as error:
            if name != FETCHED:
                raise
            pytest.skip(str(error))
        return self[name]


@pytest.mark.parametrize("name", [folder.name for folder in folders("annotators/*")])
def test_annotator(name: str) -> None:
    annotator = ANNOTATORS[name](SETTINGS, Models())
    examples = cases(f"annotators/{name}/cases.toml")
    columns = sorted({column for example in examples for column in example["input"]})
    found = annotator.annotate(batch([example["input"] for example in examples], columns))
    check(examples, pa.RecordBatch.from_arrays(found, schema=pa.schema(annotator.fields)))


def paragraph_key(line: str) -> list[int]:
    return lines.scan(pa.array([line]), min_chars=0).key.tolist()


@pytest.mark.parametrize(
    "example", cases("normalisation/paragraphs.toml"), ids=lambda example: example["why"]
)
def test_normalisation_of_paragraphs(example: Row) -> None:
    """By the plain rule, and by the compiled kernel's key: a line of which nothing is left has none."""
    expected = example["expected"]
    assert ccnet_text.normalize_for_dedup(example["input"]) == expected
    assert paragraph_key(example["input"]) == (
        [xxhash.xxh64_intdigest(expected.encode())] if expected else []
    )


def by_kernel(text: str) -> str:
    return language_model_text.normalize_for_language_model(pa.array([text]))[0].as_py()


@pytest.mark.parametrize(
    "normalize", [ccnet_text.normalize_for_language_model, by_kernel], ids=["rule", "kernel"]
)
@pytest.mark.parametrize(
    "example", cases("normalisation/language_model.toml"), ids=lambda example: example["why"]
)
def test_normalisation_for_the_language_model(example: Row, normalize: Callable[[str], str]) -> None:
    assert normalize(example["input"]) == example["expected"]


def test_decisions() -> None:
    golden = tomllib.loads((GOLDEN / "decisions/cases.toml").read_text("utf-8"))
    examples = golden["case"]
    cutoffs = {language: Cutoffs(**values) for language, values in golden["cutoffs"].items()}
    removals = Removals(**{kind: frozenset(entries) for kind, entries in golden["removals"].items()})
    rows = [
        example["input"] | {"id": document_id("golden", number), "key": example.get("key")}
        for number, example in enumerate(examples)
    ]
    decisions = decide(batch(rows, list(COLUMNS)), RECIPE.commoncrawl, cutoffs, removals)
    check(examples, decisions.select(["kept", "reason", "bucket"]))
