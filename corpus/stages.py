"""Stages of a job: tasks that each make one part, one stage after the other, on any engine.

A job is small and picklable: an engine sends it to its workers with the name of a task. What a stage's
tasks are may follow from the parts of earlier stages, since it begins when these are complete.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from corpus import parts, storage
from corpus.manifests import read_manifest, write_manifest
from corpus.parts import Part, PartSpec, PartWriter


@dataclass(frozen=True)
class Task:
    """One part to be made: its name, and what the work needs to know beyond it (plain data)."""

    name: str
    payload: Any = None


def no_settings(job: Any) -> dict[str, Any]:
    """Settings of a stage that nothing in the recipe shapes."""
    return {}


@dataclass(frozen=True)
class Stage:
    """A step of a job: tasks that each make one part, begun when all earlier stages are complete.

    All its functions stand at the top of a module, as engines send them by name.

    Attributes:
        name: of the stage, and of the folder of its records.
        tasks: (job) → tasks; may read the manifests of earlier stages.
        work: (job, task, writer); makes a part's files through the writer it is given.
        aligned: earlier stages of which it reads the part that has the task's name.
        needs: earlier stages of which it may read every part.
        settings: (job) → plain data of the recipe that shapes what it writes.
        version: raised by hand when the code changes what it writes.
        libraries: distributions whose version shapes what it writes.
        folder: where its Parquet of documents or decisions goes, whose rows the run's account counts.
    """

    name: str
    tasks: Callable[[Any], list[Task]]
    work: Callable[[Any, Task, PartWriter], None]
    aligned: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    settings: Callable[[Any], dict[str, Any]] = no_settings
    version: int = 1
    libraries: tuple[str, ...] = ("pyarrow",)
    folder: str = ""


@dataclass(frozen=True)
class StagedJob:
    """A job of stages that writes below one folder or address."""

    root: str

    def stages(self) -> tuple[Stage, ...]:
        """The stages, in their order."""
        raise NotImplementedError

    def stage(self, name: str) -> Stage:
        """One stage by name."""
        return next(stage for stage in self.stages() if stage.name == name)

    def parts(self, stage: str) -> list[Part]:
        """All parts of a stage that is complete, by name."""
        return read_manifest(self.root, stage)[1]

    def part(self, stage: str, name: str) -> Part:
        """One committed part.

        Raises:
            CorruptPartError: it is not there.
        """
        return parts.read_all(self.root, stage, [name])[0][0]

    def stage_settings(self, stage: Stage) -> dict[str, Any]:
        """What of the recipe, the models and the libraries shapes a stage's output."""
        chosen = dict(stage.settings(self))
        chosen["libraries"] = {name: version(name) for name in stage.libraries}
        chosen["version"] = stage.version
        return chosen

    def settings_of(self, name: str) -> dict[str, Any]:
        """`stage_settings` of a stage by name."""
        return self.stage_settings(self.stage(name))

    def payload_inputs(self, payload: Any) -> tuple[list[Any], list[str]]:
        """What a task's payload says of its inputs: the same on every machine, and of this one."""
        return ([] if payload is None else [payload]), []

    def spec(self, stage: Stage, task: Task) -> PartSpec:
        """Identity of the part that a task makes."""
        inputs: list[Any] = [self.part(earlier, task.name).digest for earlier in stage.aligned]
        for earlier in stage.needs:
            manifest = storage.read_bytes(storage.join(self.root, earlier, "manifest.json"))
            inputs.append(hashlib.sha256(manifest).hexdigest())
        more, local = self.payload_inputs(task.payload)
        return PartSpec(stage.name, task.name, self.stage_settings(stage), (*inputs, *more), tuple(local))


def make_part(job: StagedJob, stage: Stage, task: Task) -> Part:
    """Make the part of a task, or return it as it lies."""
    return parts.commit_part(job.root, job.spec(stage, task), lambda writer: stage.work(job, task, writer))


def close_stage(job: StagedJob, stage: Stage) -> None:
    """Write the manifest of a stage whose parts are all made.

    Raises:
        CorruptPartError: a part is not there.
    """
    records = parts.read_all(job.root, stage.name, [task.name for task in stage.tasks(job)])
    made = [part for part, _ in records]
    write_manifest(job.root, stage.name, made, {"settings": job.stage_settings(stage)})
