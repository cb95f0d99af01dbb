"""What is done across finished runs: the runs, and the job, whose stages read their files of documents.

In: folders of runs that have exported documents (`crawl-filter`, `build`). Out: a folder of its own, with
parts, manifests and accounts as of any run; the runs are only read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from corpus.finished import FinishedRun, read_documents
from corpus.parts import PartFile
from corpus.settings.cross import CrossDedup, Decontaminate
from corpus.stages import Stage, StagedJob, Task


@dataclass(frozen=True)
class Documents:
    """One file of documents; `run` is the run's place in the job."""

    run: int
    file: PartFile


@dataclass(frozen=True)
class OverlapJob(StagedJob):
    """A job across runs.

    Attributes:
        runs: what it reads, in the order of their sources' priority, then as given.
        settings: the recipe's block, `CrossDedup` or `Decontaminate`.
    """

    runs: tuple[FinishedRun, ...]
    settings: Any

    def stages(self) -> tuple[Stage, ...]:
        """Those of a deduplication or of a decontamination."""
        from corpus.overlap import cross, decontaminate  # which know the job

        return cross.STAGES if isinstance(self.settings, CrossDedup) else decontaminate.stages(self)

    def payload_inputs(self, payload: Any) -> tuple[list[Any], list[str]]:
        """Of a file of documents what its run's manifest says of it."""
        if not isinstance(payload, Documents):
            return super().payload_inputs(payload)
        return [[self.runs[payload.run].source, asdict(payload.file)]], []

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

    def read(self, documents: Documents, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The rows of a file of documents."""
        return read_documents(self.runs[documents.run], documents.file, columns)


def document_tasks(job: OverlapJob) -> list[Task]:
    """A task a file of documents, the largest first: local workers are dealt their tasks once."""
    tasks = [
        Task(f"{run.name}-{ordinal:05d}", Documents(number, file))
        for number, run in enumerate(job.runs)
        for ordinal, file in enumerate(run.files)
    ]
    return sorted(tasks, key=lambda t: (-t.payload.file.bytes, t.name))


def run_tasks(job: OverlapJob) -> list[Task]:
    """A task a run."""
    return [Task(run.name) for run in job.runs]
