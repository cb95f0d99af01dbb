"""Finished runs, opened for reading by people: what their manifests, accounts and parts say.

In: a folder or address of a run, or of several runs side by side. Out: `OpenedRun`s, and their annotated
rows with the decision on each, a row group at a time.
"""

from __future__ import annotations

import contextlib
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from corpus import parts, recipe, registry, storage
from corpus.build.job import BuildJob
from corpus.crawl.job import STAGES, VERSIONS
from corpus.errors import CorruptPartError, UserError
from corpus.exchange import open_parquet
from corpus.manifests import read_manifest
from corpus.parts import Part, PartFile

# Kinds of run, in the order of the data's way.
KINDS = ("crawl-filter", "build", "cross-dedup", "decontaminate", "tokens", "shards")
# Kinds that decide row by row about documents.
DECIDED = ("crawl-filter", "build")
_FIELDS = ("kind", "complete", "stages", "stats_sha256")


@dataclass(frozen=True)
class OpenedRun:
    """A finished run.

    Attributes:
        root: its folder or address.
        kind: one of `KINDS`.
        source: of its documents; empty where it has several.
        manifest, stats: ``manifest.json`` and ``stats.json``, as they lie.
        stages: names of those it has been through, in their order (tokens and shards: by name).
    """

    root: str
    kind: str
    source: str
    manifest: dict[str, Any]
    stats: dict[str, Any]
    stages: tuple[str, ...]

    @property
    def name(self) -> str:
        """Of its folder."""
        return posixpath.basename(self.root)

    @property
    def counters(self) -> dict[str, int]:
        """The run's account: in, kept, rejected, bad, merged, skipped, and each by reason."""
        counters: dict[str, int] = self.stats["counters"]
        return counters

    def json(self, name: str) -> Any:
        """Another of its files, such as ``recipe.json`` or ``timing.json``; None where it has none."""
        try:
            return orjson.loads(storage.read_bytes(storage.join(self.root, name)))
        except FileNotFoundError:
            return None

    def parts(self, stage: str) -> list[Part]:
        """The parts of a stage, by name."""
        return read_manifest(self.root, stage)[1]

    def settings(self, stage: str) -> dict[str, Any]:
        """What of the recipe, the models and the libraries shaped a stage's output."""
        settings: dict[str, Any] = read_manifest(self.root, stage)[0]["settings"]
        return settings


class DecidedPart(NamedTuple):
    """A file of annotated rows, and that of the decisions on them, row by row."""

    annotated: PartFile
    decisions: PartFile


def open_run(root: str) -> OpenedRun:
    """Open one run.

    Raises:
        UserError: it is no finished run, or one of an older version.
        CorruptPartError: a file of its account is not as it was written.
    """
    root = root.rstrip("/")
    manifest = _json_object(storage.join(root, "manifest.json"))
    if manifest is None:
        raise UserError(
            f"{root} has no manifest.json: it is no run, or one that was cut off (run its command again)"
        )
    if manifest.get("kind") not in KINDS:
        raise UserError(f"{root} is a run of kind {manifest.get('kind')!r}; give one of {', '.join(KINDS)}")
    missing = [name for name in _FIELDS if name not in manifest]
    stats = _json_object(storage.join(root, "stats.json"))
    if missing or stats is None:
        what = ", ".join(missing) if missing else "stats.json"
        raise UserError(f"{root} was made by an older version ({what} is missing): run its command again")
    source = "commoncrawl" if manifest["kind"] == "crawl-filter" else str(manifest.get("source", ""))
    versions = _versions(root, manifest["kind"], source)
    order = list(versions)
    stages = sorted(manifest["stages"], key=lambda s: (order.index(s) if s in versions else len(order), s))
    run = OpenedRun(root, manifest["kind"], source, manifest, stats, tuple(stages))
    _refuse_older(run, versions)
    return run


def open_runs(roots: Sequence[str]) -> list[OpenedRun]:
    """Open runs, and of a folder that is no run itself those that lie in it; in the order of the data's way.

    Raises:
        UserError: as `open_run`, or a folder has no run in it.
    """
    found: list[OpenedRun] = []
    for root in roots:
        root = root.rstrip("/")
        if storage.find(storage.join(root, "manifest.json")):
            found.append(open_run(root))
            continue
        below = [f.path for f in storage.find(storage.join(root, "*", "manifest.json"))]
        manifests = {path: _json_object(path) or {} for path in below}
        inside = [posixpath.dirname(path) for path, m in manifests.items() if m.get("kind") in KINDS]
        if not inside:
            raise UserError(
                f"{root} has no manifest.json, and no run in it: it is no run, or one that was cut off "
                "(run its command again)"
            )
        found += [open_run(folder) for folder in inside]
    sources = ["commoncrawl", *registry.BUILDS, ""]
    return sorted(found, key=lambda run: (KINDS.index(run.kind), sources.index(run.source), run.root))


def decided_parts(run: OpenedRun) -> list[DecidedPart]:
    """The annotated files of a run with the decisions on their rows, by path.

    Raises:
        UserError: the run decides about no documents, or was stopped before it did.
        CorruptPartError: the files do not belong together.
    """
    if run.kind not in DECIDED:
        raise UserError(f"{run.root} is a run of kind {run.kind}: give one of {', '.join(DECIDED)}")
    if "decide" not in run.manifest["stages"]:
        raise UserError(f"{run.root} was stopped before its documents were decided: run its command again")
    files = [f for stage in run.stages for part in run.parts(stage) for f in part.files]
    decisions = {posixpath.basename(f.path): f for f in files if f.path.startswith("decisions/")}
    annotated = [f for f in files if f.path.startswith("annotated/")]
    if {posixpath.basename(f.path) for f in annotated} != decisions.keys():
        raise CorruptPartError(
            f"{run.root}: annotated/ and decisions/ differ in files: run its command again"
        )
    return [
        DecidedPart(f, decisions[posixpath.basename(f.path)]) for f in sorted(annotated, key=lambda f: f.path)
    ]


def read_decided(
    run: OpenedRun, part: DecidedPart, columns: Sequence[str] | None = None, hashed: bool = True
) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """Annotated rows and the decisions on them, aligned, a row group (some 32 MB) at a time at most.

    Args:
        run: whose part it is.
        part: of `decided_parts`.
        columns: of the annotated rows; those that the run does not have are left out; None: all.
        hashed: check the annotated file's hash, not only its size and what is read: that reads all of it.

    Raises:
        CorruptPartError: a file is not what its record says, or the two are not aligned.
    """
    with (
        _annotated(run, part, hashed) as annotated,
        parts.open_part_file(run.root, part.decisions) as right,
    ):
        table = pq.read_table(right)
        if annotated.metadata.num_rows != table.num_rows:
            raise CorruptPartError(
                f"{run.root}/{part.decisions.path} has not as many rows as {part.annotated.path}"
            )
        names = annotated.schema_arrow.names
        chosen = names if columns is None else [name for name in columns if name in names]
        start = 0
        for group in range(annotated.num_row_groups):
            for batch in annotated.iter_batches(row_groups=[group], columns=chosen):
                beside = table.slice(start, batch.num_rows).combine_chunks()
                start += batch.num_rows
                for decisions in beside.to_batches():
                    yield batch, decisions


@contextlib.contextmanager
def _annotated(run: OpenedRun, part: DecidedPart, hashed: bool) -> Iterator[pq.ParquetFile]:
    if not hashed:
        with open_parquet(run.root, part.annotated) as parquet:
            yield parquet
        return
    with parts.open_part_file(run.root, part.annotated) as f:
        yield pq.ParquetFile(f)


def _json_object(path: str) -> dict[str, Any] | None:
    """A JSON object, or None where there is no such file."""
    try:
        value = orjson.loads(storage.read_bytes(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except orjson.JSONDecodeError as error:
        raise CorruptPartError(f"{path} is not valid JSON ({error}): run the run's command again") from error
    if not isinstance(value, dict):
        raise CorruptPartError(f"{path} is not a JSON object: run the run's command again")
    return value


def _versions(root: str, kind: str, source: str) -> dict[str, int]:
    """Versions of the stages of a run, as the code has them now, in their order; of `DECIDED` runs alone."""
    if kind == "crawl-filter":
        return {stage: VERSIONS[stage] for stage in STAGES}
    if kind != "build":
        return {}
    path = storage.join(root, "recipe.json")
    try:
        chosen = recipe.from_dict(_json_object(path) or {}, path)
    except UserError as error:
        raise UserError(
            f"{root} was made by an older version, of whose recipe this one does not know a key: run its "
            f"command again, or read it with the version that made it\n{error}"
        ) from error
    return {stage.name: stage.version for stage in BuildJob(root, chosen, source, {}).stages()}


def _refuse_older(run: OpenedRun, versions: Mapping[str, int]) -> None:
    """Refuse a run whose stages were made by code that wrote other bytes than today's."""
    for stage in run.stages:
        try:
            had = run.settings(stage).get("version")
        except FileNotFoundError as error:
            path = f"{run.root}/{stage}/manifest.json"
            raise CorruptPartError(f"{path} is missing: run the run's command again") from error
        now = versions.get(stage, None if versions else had)
        if had != now:
            raise UserError(
                f"{run.root} was made by an older version (stage {stage}: {had}, now {now}): "
                "run its command again, or read it with the version that made it"
            )
