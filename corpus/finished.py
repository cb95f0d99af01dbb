"""Finished runs as the input of what comes after them: source, identity, files of documents."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus import storage
from corpus.errors import CorruptPartError, UserError
from corpus.manifests import read_manifest
from corpus.parts import PartFile, open_part_file

DOCUMENTS = "documents/"
# The stage that wrote the documents of each kind of run; of `decontaminate` what stays of those it cut.
_STAGES = {"crawl-filter": "export", "build": "export", "decontaminate": "hits"}


@dataclass(frozen=True)
class FinishedRun:
    """A run whose documents are read.

    Attributes:
        name: of its folder in the output: its source, with a number where several runs have one source.
        source: of its documents.
        root: its folder or address.
        sha256: of its ``manifest.json``, and so of all that is in it.
        files: its Parquet files of kept documents, by path.
    """

    name: str
    source: str
    root: str
    sha256: str
    files: tuple[PartFile, ...]

    @property
    def documents(self) -> int:
        """How many it has."""
        return sum(file.rows for file in self.files)


def read_documents(run: FinishedRun, file: PartFile, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The rows of a file of documents, a row group (some 32 MB) at a time at most.

    Raises:
        CorruptPartError: the file is not as its run's manifest says, or holds another source's documents.
    """
    with open_part_file(run.root, file) as f:
        parquet = pq.ParquetFile(f)
        for group in range(parquet.num_row_groups):
            for batch in parquet.read_row_group(group, columns=[*columns, "source"]).to_batches():
                sources = pc.unique(batch.column("source")).to_pylist()
                if sources not in ([], [run.source]):
                    raise CorruptPartError(
                        f"{run.root}/{file.path} has documents of {sources}, not of {run.source} alone"
                    )
                yield batch.select(list(columns))


def read_runs(roots: Sequence[str], priority: Sequence[str]) -> tuple[FinishedRun, ...]:
    """Read and check the runs that a job is to read, and put them in their order.

    Args:
        roots: folders or addresses.
        priority: sources, the first first; runs of one source stay in the order given.

    Raises:
        UserError: a folder holds no finished run of a kind that has documents, one is given twice, or its
            source is not in `priority`.
    """
    found: list[tuple[str, str, str, tuple[PartFile, ...]]] = []
    for root in roots:
        manifest, sha256 = _manifest(root)
        if any(sha256 == other for _, _, other, _ in found):
            raise UserError(f"{root}: this run, or a copy of it, is given twice")
        files = _document_files(root, manifest)
        for source, prefix in _sources(manifest):
            if source not in priority:
                raise UserError(
                    f"{root}: its source {source!r} is not in the recipe's priority: {', '.join(priority)}"
                )
            of_source = tuple(file for file in files if file.path.startswith(prefix))
            if of_source or prefix == DOCUMENTS:
                found.append((source, root, sha256, of_source))
    found.sort(key=lambda run: priority.index(run[0]))
    sources = [source for source, *_ in found]
    runs = []
    for i, (source, root, sha256, files) in enumerate(found):
        number = sources[: i + 1].count(source)
        name = f"{source}-{number}" if sources.count(source) > 1 else source
        runs.append(FinishedRun(name, source, root, sha256, files))
    if not any(run.files for run in runs):
        raise UserError(f"no documents in {', '.join(roots)}: no page was kept there")
    return tuple(runs)


def _sources(manifest: dict[str, Any]) -> list[tuple[str, str]]:
    """The sources of a run, and where below its root the documents of each lie."""
    if manifest["kind"] == "decontaminate":
        return [(str(run["source"]), f"{run['name']}/{DOCUMENTS}") for run in manifest["runs"]]
    source = "commoncrawl" if manifest["kind"] == "crawl-filter" else str(manifest["source"])
    return [(source, DOCUMENTS)]


def _manifest(root: str) -> tuple[dict[str, Any], str]:
    """A run's manifest, which is written last, and its sha256."""
    path = storage.join(root, "manifest.json")
    try:
        data = storage.read_bytes(path)
        manifest = orjson.loads(data)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(
            f"{root} has no manifest.json: it is no run, or one that was cut off (run its command again)"
        ) from error
    except orjson.JSONDecodeError as error:
        raise UserError(f"{path} is not valid JSON: {error}") from error
    kind = manifest.get("kind") if isinstance(manifest, dict) else None
    if kind not in _STAGES:
        raise UserError(f"{root} is a run of kind {kind!r}; give runs of {', '.join(_STAGES)}")
    if _STAGES[kind] not in manifest.get("stages", {}):
        raise UserError(
            f"{root} was stopped before its documents were written: run `llama-corpus export` on it"
        )
    return manifest, hashlib.sha256(data).hexdigest()


def _document_files(root: str, manifest: dict[str, Any]) -> tuple[PartFile, ...]:
    """All files of documents of a run, by path."""
    stage = _STAGES[manifest["kind"]]
    path = storage.join(root, stage, "manifest.json")
    try:
        sha256 = hashlib.sha256(storage.read_bytes(path)).hexdigest()
        _, exported = read_manifest(root, stage)
    except (FileNotFoundError, CorruptPartError) as error:
        raise UserError(f"{root}: its documents cannot be read: {error}") from error
    if sha256 != manifest["stages"][stage]:
        raise UserError(f"{path} is not what manifest.json says: run the command of {root} again")
    files = [f for part in exported for f in part.files if f"/{DOCUMENTS}" in f"/{f.path}"]
    return tuple(sorted(files, key=lambda f: f.path))
