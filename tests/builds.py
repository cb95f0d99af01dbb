"""A build in this process, without an engine: its stages one after the other."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from corpus import inputs, recipe, registry
from corpus.build import finish
from corpus.build.job import BuildJob, plan_splits, prepare, save_splits
from corpus.recipe import Recipe
from corpus.stages import close_stage, make_part

Row = dict[str, Any]


def build_here(
    root: Path,
    source: str,
    paths: Sequence[Path],
    chosen: Recipe | None = None,
    input_root: Path | None = None,
) -> tuple[BuildJob, dict[str, int]]:
    """Build a source from files, to its end; returns the job and the run's counters."""
    chosen = chosen or recipe.load("sample")
    job = prepare(str(root), chosen, source)
    files = inputs.resolve([str(path) for path in paths], str(input_root) if input_root else None)
    job.source.check_input(files, job.settings)
    save_splits(job, plan_splits(files, job.source, chosen.build.split_bytes))
    stages = job.stages()
    for stage in stages:
        for task in stage.tasks(job):
            make_part(job, stage, task)
        close_stage(job, stage)
    return job, finish.finish(job, stages[-1].name)


def with_settings(chosen: Recipe, source: str, **changes: Any) -> Recipe:
    """A recipe with other values in a source's block."""
    block = dataclasses.replace(getattr(chosen, source), **changes)
    return dataclasses.replace(chosen, **{source: block})


def with_build(chosen: Recipe, **changes: Any) -> Recipe:
    """A recipe with other values in the block of all builds."""
    return dataclasses.replace(chosen, build=dataclasses.replace(chosen.build, **changes))


def rows(root: Path, folder: str) -> list[Row]:
    """The rows of a folder of Parquet files, in the order of the files' paths."""
    paths = sorted((root / folder).rglob("*.parquet"))
    return [row for path in paths for row in pq.ParquetFile(path).read().to_pylist()]


def sample_of(source: str) -> Path:
    """The folder of a source's built-in sample."""
    return Path(registry.__file__).parent / "sample" / source


def as_toml(block: Row, path: str = "") -> str:
    """Plain data as TOML; JSON's strings, numbers and lists are TOML's too."""
    plain = {k: v for k, v in block.items() if not isinstance(v, dict)}
    text = f"[{path}]\n" if path else ""
    text += "".join(f"{json.dumps(k)} = {json.dumps(v)}\n" for k, v in plain.items())
    for key, value in block.items():
        if isinstance(value, dict):
            text += as_toml(value, f"{path}.{json.dumps(key)}".removeprefix("."))
    return text
