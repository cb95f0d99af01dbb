"""What a build is: its folder, recipe, source and models; and one task of one stage, made and committed.

Small and picklable: an engine sends it to its workers with each task.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import orjson
import pyarrow as pa

from corpus import assets, parts, registry, storage
from corpus.build.source import BuildSource, BuildSplit, FileRange, Stage, Task
from corpus.decide import Removals, read_removals
from corpus.errors import UserError
from corpus.inputs import InputFile
from corpus.parts import Part, PartSpec
from corpus.recipe import Limits, Recipe
from corpus.schema import DOCUMENT
from corpus.settings import Build

INPUTS = "inputs.json"


@dataclass(frozen=True)
class BuildJob:
    """A build of one source.

    Attributes:
        root: folder or address that it writes to.
        recipe: the whole recipe.
        source_name: of the source.
        model_hashes: sha256 of every asset that the source's block names.
    """

    root: str
    recipe: Recipe
    source_name: str
    model_hashes: dict[str, str]

    @property
    def source(self) -> BuildSource:
        """The source itself."""
        return registry.BUILDS[self.source_name]

    @property
    def settings(self) -> Any:
        """The recipe's block of the source."""
        return getattr(self.recipe, self.source_name)

    @property
    def build(self) -> Build:
        """The recipe's block of all builds."""
        return self.recipe.build

    @property
    def limits(self) -> Limits:
        """The recipe's limits."""
        return self.recipe.limits

    def path_of(self, asset: str) -> str:
        """Local path of an asset, fetched to this machine's cache if need be."""
        return assets.fetch(asset, self.recipe.assets[asset])

    def removals(self) -> Removals:
        """The recipe's removal lists, read."""
        return read_removals(self.build.removals)

    def splits(self) -> list[BuildSplit]:
        """The splits of the input, as saved when the run began."""
        saved = orjson.loads(storage.read_bytes(storage.join(self.root, INPUTS)))
        return [_split_from_dict(s) for s in saved["splits"]]

    def parts(self, stage: str) -> list[Part]:
        """All parts of a stage that is complete, by name."""
        return parts.read_manifest(self.root, stage)[1]

    def part(self, stage: str, name: str) -> Part:
        """One committed part.

        Raises:
            CorruptPartError: it is not there.
        """
        return parts.read_all(self.root, stage, [name])[0][0]

    def source_schema(self) -> pa.Schema:
        """The columns of annotated parts."""
        return pa.schema([*DOCUMENT, *self.source.fields])

    def stages(self) -> tuple[Stage, ...]:
        """The stages of the source, in their order."""
        from corpus.build.line import usual_stages  # the stages know the job, and the job them

        return self.source.stages(self) if self.source.stages else usual_stages(self.source)

    def stage(self, name: str) -> Stage:
        """One stage by name."""
        return next(stage for stage in self.stages() if stage.name == name)

    def stage_settings(self, stage: Stage) -> dict[str, Any]:
        """What of the recipe, the models and the libraries shapes a stage's output."""
        chosen = dict(stage.settings(self))
        chosen["libraries"] = {name: version(name) for name in stage.libraries}
        chosen["version"] = stage.version
        return chosen

    def spec(self, stage: Stage, task: Task) -> PartSpec:
        """Identity of the part that a task makes."""
        inputs: list[Any] = [self.part(earlier, task.name).digest for earlier in stage.aligned]
        local: list[str] = []
        for earlier in stage.needs:
            manifest = storage.read_bytes(storage.join(self.root, earlier, "manifest.json"))
            inputs.append(hashlib.sha256(manifest).hexdigest())
        if isinstance(task.payload, BuildSplit):
            ranges = task.payload.ranges
            inputs += [(r.file.name, r.file.size, r.start, r.end) for r in ranges]
            local += [r.file.tag for r in ranges]
        elif task.payload is not None:
            inputs.append(task.payload)
        return PartSpec(stage.name, task.name, self.stage_settings(stage), tuple(inputs), tuple(local))


def make_part(job: BuildJob, stage: Stage, task: Task) -> Part:
    """Make the part of a task, or return it as it lies."""
    return parts.commit_part(job.root, job.spec(stage, task), lambda writer: stage.work(job, task, writer))


def close_stage(job: BuildJob, stage: Stage) -> None:
    """Write the manifest of a stage whose parts are all made.

    Raises:
        CorruptPartError: a part is not there.
    """
    records = parts.read_all(job.root, stage.name, [task.name for task in stage.tasks(job)])
    made = [part for part, _ in records]
    parts.write_manifest(job.root, stage.name, made, {"settings": job.stage_settings(stage)})


def prepare(root: str, recipe: Recipe, source_name: str) -> BuildJob:
    """Check the recipe for a source, and fetch the models and lists that it names.

    Raises:
        UserError: the recipe has no block of the source, or an asset cannot be had.
    """
    settings = getattr(recipe, source_name)
    if settings is None:
        raise UserError(f"recipe {recipe.name} has no block [{source_name}]")
    names = registry.BUILDS[source_name].assets(settings)
    assets.preflight(recipe.assets, names)
    job = BuildJob(
        root, recipe, source_name, {name: assets.identity(name, recipe.assets[name]) for name in names}
    )
    job.removals()
    return job


def plan_splits(files: Sequence[InputFile], source: BuildSource, split_bytes: int) -> list[BuildSplit]:
    """Cut large files, and gather small ones, into splits of about `split_bytes` raw bytes."""
    splits: list[BuildSplit] = []
    ranges: list[FileRange] = []
    size = 0

    def close() -> None:
        nonlocal ranges, size
        if ranges:
            splits.append(BuildSplit(len(splits), tuple(ranges)))
        ranges, size = [], 0

    for file in files:
        cut = source.cut(file, split_bytes)
        # Of Parquet the ends count row groups: a range's share of the file is what is weighed.
        whole = max(sum(end - start for start, end in cut), 1)
        for start, end in cut:
            weight = file.size * (end - start) // whole
            if ranges and size + weight > split_bytes:
                close()
            ranges.append(FileRange(file, start, end))
            size += weight
    close()
    return splits


def save_splits(job: BuildJob, splits: Sequence[BuildSplit]) -> None:
    """Write the splits where every task finds them; modification times and paths are of this machine."""
    saved = {"source": job.source_name, "splits": [asdict(split) for split in splits]}
    data = orjson.dumps(saved, option=orjson.OPT_INDENT_2)
    storage.write_bytes(storage.join(job.root, INPUTS), data + b"\n")


def source_of(root: str) -> str | None:
    """Name of the source that a folder holds a build of, None where it holds none."""
    try:
        saved = orjson.loads(storage.read_bytes(storage.join(root, INPUTS)))
    except FileNotFoundError:
        return None
    return str(saved["source"]) if isinstance(saved, dict) else None


def _split_from_dict(saved: dict[str, Any]) -> BuildSplit:
    ranges = tuple(FileRange(InputFile(**r["file"]), r["start"], r["end"]) for r in saved["ranges"])
    return BuildSplit(saved["ordinal"], ranges)
