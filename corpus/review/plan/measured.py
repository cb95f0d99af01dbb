"""What the stages of finished runs did and took, part by part: what rates are made from.

In: a finished run. Out: `MeasuredStage`s; of each part its process, how much of what drives the stage it had
(bytes, keys, rows: see `DRIVERS`), seconds, resident bytes, bytes written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from corpus import parts, recipe
from corpus.crawl.job import scopes
from corpus.errors import UserError
from corpus.inputs import Split, split_from_dict
from corpus.manifests import sum_counters
from corpus.parts import Part
from corpus.recipe import Recipe
from corpus.review.runs import DECIDED, OpenedRun

# What a stage's work grows with: a counter of its own parts. Of a stage that is not here the raw bytes of
# the whole run, shared evenly by its parts.
DRIVERS = {
    "index": "bytes_raw",
    "annotate": "kept_bytes",
    "duplicates": "in",
    "extract": "bytes_raw",
    "decide": "in",
    "export": "bytes",
    "join": "in",
    "cited": "urls",
    "cited_list": "urls",
    "sketch": "shingles",
    "pairs": "pairs",
    "overlaps": "pairs",
    "clusters": "overlaps",
    "tokens": "bytes",
    "histogram": "tokens",
    "edges": "tokens",
    "draw": "tokens",
    "shards": "tokens",
}
KEYS = "keys"  # of stage `dedup`, whose parts count nothing
PARTS = "parts"  # of a stage that nothing is known of, in a run that reads no raw files
RAW = "bytes_raw"
# Files through which parts of different splits meet; all others hold documents, decisions or tokens.
_EXCHANGED = (".run", ".answer", ".rows", ".verdicts", ".keys", ".sets", ".pairs", ".draws", ".edges.parquet")


@dataclass(frozen=True)
class MeasuredPart:
    """One part: who made it, units of what drives its stage, CPU and wall seconds, resident and file bytes.

    `before`: CPU seconds of the process before the part.
    """

    name: str
    process: str
    started: float
    before: float
    units: float
    cpu: float
    wall: float
    memory: int
    written: int
    exchanged: int


@dataclass(frozen=True)
class MeasuredStage:
    """A stage: what drives it, its parts in the order in which they were made, and their counters' sums."""

    name: str
    driver: str
    parts: tuple[MeasuredPart, ...]
    counters: Mapping[str, int]

    @property
    def units(self) -> float:
        """Of what drives it, in all."""
        return sum(part.units for part in self.parts)

    @property
    def written(self) -> int:
        """Bytes of all its files."""
        return sum(part.written for part in self.parts)

    @property
    def exchanged(self) -> int:
        """Bytes of its files through which parts of different splits meet."""
        return sum(part.exchanged for part in self.parts)


@dataclass(frozen=True)
class MeasuredRun:
    """A run: its stages in their order, raw bytes read, the recipe it was made by (tokens, shards: None)."""

    run: OpenedRun
    stages: tuple[MeasuredStage, ...]
    raw_bytes: int
    recipe: Recipe | None

    def stage(self, name: str) -> MeasuredStage:
        """One stage by name."""
        return next(stage for stage in self.stages if stage.name == name)

    @property
    def label(self) -> str:
        """Its source, or its kind where it has several."""
        return self.run.source or self.run.kind

    @property
    def start_cpu(self) -> float:
        """CPU seconds of a process before its first part: imports, and the engine's start."""
        first: dict[str, float] = {}
        for part in (part for stage in self.stages for part in stage.parts):
            first[part.process] = min(part.before, first.get(part.process, part.before))
        return sum(first.values()) / max(len(first), 1)


def measure(run: OpenedRun) -> MeasuredRun:
    """Read what a run's parts took.

    Raises:
        UserError: it has not been through all its stages, made nothing, or was made before records said
            which process made a part.
        CorruptPartError: a part's record is missing.
    """
    if not run.manifest["complete"]:
        raise UserError(f"{run.root} was stopped before its last stage: run its command again, to the end")
    records = {
        stage: parts.read_all(run.root, stage, [part.name for part in run.parts(stage)])
        for stage in run.stages
    }
    first = sum_counters(part for part, _ in records[run.stages[0]])
    if run.kind in DECIDED and not (first.get(RAW) and first.get("out")):
        raise UserError(f"{run.root} is empty: no document was read in it, so nothing can be measured on it")
    for stage, found in records.items():
        if any("process" not in local for _, local in found):
            raise UserError(
                f"{run.root} was made by an older version, whose records (of stage {stage}) do not say which "
                "process made a part: run its command again, into another --output"
            )
    saved = run.json("recipe.json") if run.kind in DECIDED else None
    made_by = recipe.from_dict(saved, f"{run.root}/recipe.json") if saved else None
    raw = first.get(RAW, 0)
    units: dict[str, dict[str, float]] = {}
    if run.kind == "crawl-filter":
        units["dedup"] = _keys_of_answers(run, made_by, records)
    if run.kind == "shards":  # its parts of tokens are those of `draw`
        of_draw = {part.name: float(part.counters.get("tokens", 0)) for part, _ in records["draw"]}
        units = {"histogram": of_draw, "edges": of_draw}
    stages = tuple(_stage(name, records[name], raw, units.get(name, {})) for name in run.stages)
    return MeasuredRun(run, stages, raw, made_by)


def driver_of(stage: str) -> str:
    """The counter that a stage's work grows with."""
    if stage.startswith("index-"):
        return "candidates"
    if stage.startswith("unique-") or stage == "dedup":
        return KEYS
    return DRIVERS.get(stage, RAW)


def _stage(
    name: str, records: Iterable[tuple[Part, dict[str, Any]]], raw: int, given: Mapping[str, float]
) -> MeasuredStage:
    found = sorted(records, key=lambda r: (r[1]["started"], r[0].name))
    totals = sum_counters(part for part, _ in found)
    driver = driver_of(name)
    if not given and not totals.get(driver):
        driver = RAW if raw else PARTS
    shared = raw / len(found) if raw and found else 1.0  # of what its parts do not count themselves
    own = driver in totals
    measured = tuple(
        MeasuredPart(
            name=part.name,
            process=f"{local['host']}/{local['process']}",
            started=local["started"],
            before=local["process_cpu_seconds"],
            units=given.get(part.name, float(part.counters.get(driver, 0)) if own else shared),
            cpu=local["cpu_seconds"],
            wall=local["wall_seconds"],
            memory=local["peak_rss_bytes"],
            written=sum(f.bytes for f in part.files),
            exchanged=sum(f.bytes for f in part.files if f.path.endswith(_EXCHANGED)),
        )
        for part, local in found
    )
    return MeasuredStage(name, driver, measured, totals)


def _keys_of_answers(
    run: OpenedRun, made_by: Recipe | None, records: Mapping[str, list[tuple[Part, dict[str, Any]]]]
) -> dict[str, float]:
    """Keys merged by each part of `dedup`: those of its scope's splits, spread evenly over its buckets."""
    assert made_by is not None
    splits: list[Split] = [split_from_dict(s) for s in run.json("inputs.json")]
    index = {part.name: part.counters for part, _ in records["index"]}
    found = {}
    for scope in scopes(made_by.commoncrawl, splits):
        counter = KEYS if scope.kind == "paragraphs" else "out"
        keys = sum(index[Split.name_of(ordinal)].get(counter, 0) for ordinal in scope.splits)
        for bucket in range(scope.buckets):
            found[scope.part_name(bucket)] = keys / scope.buckets
    return found
