"""What is done across finished runs: the runs, the job, and its steps, of parts that any engine can make.

In: folders of runs that have exported documents (`crawl-filter`, `build`). Out: a folder of its own, with
parts, manifests and accounts as of any run; the runs are only read. A step's tasks are known before any
work, and a step begins when the one before it is complete. Small and picklable: an engine sends the job to
its workers with each task.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus import parts, storage
from corpus.errors import CorruptPartError, UserError
from corpus.parts import Part, PartFile, PartSpec, PartWriter, open_part_file
from corpus.settings.cross import CrossDedup, Decontaminate

DOCUMENTS = "documents/"
_KINDS = ("crawl-filter", "build")


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


@dataclass(frozen=True)
class Shard:
    """One file of documents of a run; `run` is the run's place in the job."""

    run: int
    file: PartFile


@dataclass(frozen=True)
class Task:
    """One part to be made; `shard` where it is made of one file of documents."""

    name: str
    shard: Shard | None = None


@dataclass(frozen=True)
class Step:
    """A step of a job. Its functions stand at the top of a module, as engines send them by name.

    Attributes:
        name: of the step, and of the folder of its records.
        tasks: of a job.
        work: makes a part's files through the writer it is given.
        settings: plain data that shapes what it writes.
        aligned: earlier steps of which it reads the part that has the task's name.
        needs: earlier steps of which it may read every part.
        version: raised by hand when the code changes what it writes.
    """

    name: str
    tasks: Callable[[OverlapJob], list[Task]]
    work: Callable[[OverlapJob, Task, PartWriter], None]
    settings: Callable[[OverlapJob], dict[str, Any]]
    aligned: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    version: int = 1


@dataclass(frozen=True)
class OverlapJob:
    """A job across runs.

    Attributes:
        root: folder or address that it writes to.
        runs: what it reads, in the order of their sources' priority, then as given.
        settings: the recipe's block, `CrossDedup` or `Decontaminate`.
    """

    root: str
    runs: tuple[FinishedRun, ...]
    settings: Any

    @property
    def cross(self) -> CrossDedup:
        """The settings, of a deduplication."""
        assert isinstance(self.settings, CrossDedup)
        return self.settings

    @property
    def decontaminate(self) -> Decontaminate:
        """The settings, of a decontamination."""
        assert isinstance(self.settings, Decontaminate)
        return self.settings

    @property
    def documents(self) -> int:
        """How many there are in all runs."""
        return sum(run.documents for run in self.runs)

    def part(self, step: str, name: str) -> Part:
        """One committed part.

        Raises:
            CorruptPartError: it is not there.
        """
        record = parts.read_record(self.root, step, name)
        if record is None:
            raise CorruptPartError(f"part {name} of {step} is not in {self.root}: run the command again")
        return record[0]

    def parts(self, step: str) -> list[Part]:
        """All parts of a step that is complete, by name."""
        return parts.read_manifest(self.root, step)[1]

    def step_settings(self, step: Step) -> dict[str, Any]:
        """What shapes a step's output beside its inputs."""
        return {**step.settings(self), "libraries": {"pyarrow": version("pyarrow")}, "version": step.version}

    def spec(self, step: Step, task: Task) -> PartSpec:
        """Identity of the part that a task makes."""
        inputs: list[Any] = [self.part(earlier, task.name).digest for earlier in step.aligned]
        for earlier in step.needs:
            manifest = storage.read_bytes(storage.join(self.root, earlier, "manifest.json"))
            inputs.append(hashlib.sha256(manifest).hexdigest())
        if task.shard is not None:
            inputs.append([self.runs[task.shard.run].source, asdict(task.shard.file)])
        return PartSpec(step.name, task.name, self.step_settings(step), tuple(inputs))


def make_part(job: OverlapJob, step: Step, task: Task) -> Part:
    """Make the part of a task, or return it as it lies."""
    return parts.commit_part(job.root, job.spec(step, task), lambda writer: step.work(job, task, writer))


def close_step(job: OverlapJob, step: Step) -> str:
    """Write the manifest of a step whose parts are all made; returns its sha256.

    Raises:
        CorruptPartError: a part is not there.
    """
    found = [job.part(step.name, task.name) for task in step.tasks(job)]
    return parts.write_manifest(job.root, step.name, found, {"settings": job.step_settings(step)})


def shard_tasks(job: OverlapJob) -> list[Task]:
    """A task a file of documents, the largest first: local workers are dealt their tasks once."""
    tasks = [
        Task(f"{run.name}-{ordinal:05d}", Shard(number, file))
        for number, run in enumerate(job.runs)
        for ordinal, file in enumerate(run.files)
    ]
    return sorted(tasks, key=lambda t: (-t.shard.file.bytes if t.shard else 0, t.name))


def run_tasks(job: OverlapJob) -> list[Task]:
    """A task a run."""
    return [Task(run.name) for run in job.runs]


def read_documents(job: OverlapJob, shard: Shard, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The rows of a file of documents, a row group (some 32 MB) at a time at most.

    Raises:
        CorruptPartError: the file is not as its run's manifest says, or holds another source's documents.
    """
    run = job.runs[shard.run]
    with open_part_file(run.root, shard.file) as f:
        parquet = pq.ParquetFile(f)
        for group in range(parquet.num_row_groups):
            for batch in parquet.read_row_group(group, columns=[*columns, "source"]).to_batches():
                sources = pc.unique(batch.column("source")).to_pylist()
                if sources not in ([], [run.source]):
                    raise CorruptPartError(
                        f"{run.root}/{shard.file.path} has documents of {sources}, not of {run.source} alone"
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
        source = "commoncrawl" if manifest["kind"] == "crawl-filter" else str(manifest["source"])
        if any(sha256 == other for _, _, other, _ in found):
            raise UserError(f"{root}: this run, or a copy of it, is given twice")
        if source not in priority:
            raise UserError(
                f"{root}: its source {source!r} is not in the recipe's priority: {', '.join(priority)}"
            )
        found.append((source, root, sha256, _document_files(root, manifest)))
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
    if kind not in _KINDS:
        raise UserError(f"{root} is a run of kind {kind!r}; give runs of {' or '.join(_KINDS)}")
    if "export" not in manifest.get("stages", {}):
        raise UserError(
            f"{root} was stopped before its documents were written: run `llama-corpus export` on it"
        )
    return manifest, hashlib.sha256(data).hexdigest()


def _document_files(root: str, manifest: dict[str, Any]) -> tuple[PartFile, ...]:
    path = storage.join(root, "export", "manifest.json")
    try:
        sha256 = hashlib.sha256(storage.read_bytes(path)).hexdigest()
        _, exported = parts.read_manifest(root, "export")
    except (FileNotFoundError, CorruptPartError) as error:
        raise UserError(f"{root}: its documents cannot be read: {error}") from error
    if sha256 != manifest["stages"]["export"]:
        raise UserError(f"{path} is not what manifest.json says: run the command of {root} again")
    files = [f for part in exported for f in part.files if f.path.startswith(DOCUMENTS)]
    return tuple(sorted(files, key=lambda f: f.path))
