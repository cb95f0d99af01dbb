"""What a build is: its folder, recipe, source and models, and the splits of its input."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson
import pyarrow as pa

from corpus import assets, registry, storage
from corpus.build.source import BuildSource, BuildSplit, FileRange
from corpus.decide import Removals, read_removals
from corpus.errors import UserError
from corpus.inputs import InputFile
from corpus.recipe import Limits, Recipe
from corpus.schema import DOCUMENT
from corpus.settings import Build
from corpus.stages import Stage, StagedJob

INPUTS = "inputs.json"


@dataclass(frozen=True)
class BuildJob(StagedJob):
    """A build of one source.

    Attributes:
        root: folder or address that it writes to.
        recipe: the whole recipe.
        source_name: of the source.
        model_hashes: sha256 of every asset that the source's block names.
    """

    recipe: Recipe
    source_name: str
    model_hashes: dict[str, str]

    @property
    def source(self) -> BuildSource:
        """The source itself."""
        return registry.build_source(self.source_name)

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

    def source_schema(self) -> pa.Schema:
        """The columns of annotated parts."""
        return pa.schema([*DOCUMENT, *self.source.fields])

    def stages(self) -> tuple[Stage, ...]:
        """The stages of the source, in their order."""
        return self.source.stages(self)

    def payload_inputs(self, payload: Any) -> tuple[list[Any], list[str]]:
        """Of a split its files, by name and size, and what shows on this machine that one was changed."""
        if not isinstance(payload, BuildSplit):
            return super().payload_inputs(payload)
        ranges = payload.ranges
        inputs = [(r.file.name, r.file.size, r.start, r.end) for r in ranges]
        return inputs, [r.file.tag for r in ranges]


def prepare(root: str, recipe: Recipe, source_name: str) -> BuildJob:
    """Check the recipe for a source, and fetch the models and lists that it names.

    Raises:
        UserError: the recipe has no block of the source, or an asset cannot be had.
    """
    settings = getattr(recipe, source_name)
    if settings is None:
        raise UserError(f"recipe {recipe.name} has no block [{source_name}]")
    job = BuildJob(root, recipe, source_name, {})
    names = job.source.assets(settings)
    assets.preflight(recipe.assets, names)
    hashes = {name: assets.identity(name, recipe.assets[name]) for name in names}
    job.removals()
    return dataclasses.replace(job, model_hashes=hashes)


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
            ranges.append(FileRange(file, start, end, weight))
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
    ranges = tuple(FileRange(**{**r, "file": InputFile(**r["file"])}) for r in saved["ranges"])
    return BuildSplit(saved["ordinal"], ranges)
