"""What a run says on standard output: its plan before, its account after."""

from __future__ import annotations

import os
from collections.abc import Sequence

import orjson

from corpus import storage
from corpus.build.job import BuildJob
from corpus.build.source import BuildSplit
from corpus.crawl.estimate import Volume, estimate
from corpus.crawl.finish import planned_names
from corpus.crawl.job import FOLDERS, CrawlJob, duplicate_scopes, needed_assets, scopes, stages_until
from corpus.inputs import Split
from corpus.recipe import digest, to_dict

_SHOWN = 12


def print_plan(job: CrawlJob, splits: Sequence[Split], until: str) -> None:
    """The resolved recipe, the inputs, the outputs and the estimates of a run (`--dry-run`)."""
    recipe = job.recipe
    print(f"recipe {recipe.name} (sha256 {digest(recipe)[:12]}), every key:")
    print(_indent(orjson.dumps(to_dict(recipe), option=orjson.OPT_INDENT_2).decode()))
    files = [(split, f) for split in splits for f in split.files]
    total = sum(f.size for _, f in files)
    print(f"\ninput: {len(files):,} files, {_size(total)}, {len({s.dump for s in splits})} dumps")
    for split, f in files[:_SHOWN]:
        print(f"  {f.name}  {_size(f.size)}  ({f.dump or 'no dump name'}, block {split.block}, {split.name})")
    if len(files) > _SHOWN:
        print(f"  … and {len(files) - _SHOWN:,} more")
    for run in job.earlier:
        print(f"after {_shown(run.root)}: {run.pages:,} pages, {run.keys:,} line keys, read as hashes only")
    print("\nmodels:")
    for name in needed_assets(recipe.commoncrawl, until):
        asset = recipe.assets.get(name)
        print(f"  {name}: {asset.url if asset and asset.url else 'NO ADDRESS: give one in [assets]'}")
    names = planned_names(job, splits)
    plan = scopes(recipe.commoncrawl, splits, job.earlier)
    print(f"\noutput below {job.root}:")
    for stage in stages_until(recipe.commoncrawl, until):
        print(f"  {stage:<10}{len(names[stage]):>7,} parts  {FOLDERS.get(stage, stage)}/")
    listed = all(f.listed for _, f in files)
    sizes = estimate(Volume.of_raw_bytes(len(files), total, listed), recipe.commoncrawl)
    print(
        f"\nestimates: {len(plan) - 1} scopes of at most {max(s.buckets for s in plan)} buckets; "
        f"hashes {_size(sizes.run_bytes)}, answers {_size(sizes.answer_bytes)}, "
        f"references through the engine {_size(sizes.reference_bytes)};\n"
        f"  memory of a worker besides its models: {_size(max(sizes.merge_bytes, sizes.split_bytes))}"
    )
    for scope in duplicate_scopes(recipe.commoncrawl, splits):
        print(f"  whole pages compared by {scope.kind}: {scope.buckets} buckets")


def print_build_plan(job: BuildJob, splits: Sequence[BuildSplit], until: str) -> None:
    """The block of the recipe, the inputs and the outputs of a build (`--dry-run`)."""
    print(f"recipe {job.recipe.name}, every key of [{job.source_name}] and [build]:")
    for block in (job.settings, job.build):
        print(_indent(orjson.dumps(to_dict(block), option=orjson.OPT_INDENT_2).decode()))
    ranges = [r for split in splits for r in split.ranges]
    sizes = {r.file.name: r.file.size for r in ranges}
    print(f"\ninput: {len(sizes):,} files, {_size(sum(sizes.values()))}, in {len(splits):,} splits")
    for part in ranges[:_SHOWN]:
        print(f"  {part.file.name}  {_size(part.file.size)}  [{part.start:,}:{part.end:,}]")
    if len(ranges) > _SHOWN:
        print(f"  … and {len(ranges) - _SHOWN:,} more")
    print("\nmodels:")
    for name in job.source.assets(job.settings):
        asset = job.recipe.assets.get(name)
        print(f"  {name}: {asset.url if asset and asset.url else 'NO ADDRESS: give one in [assets]'}")
    print(f"\noutput below {job.root}:")
    for stage in job.stages():
        print(f"  {stage.name:<14}{stage.folder or stage.name}/")
        if stage.name == until:
            break


def print_summary(root: str, counters: dict[str, int], unit: str, demonstration: str) -> None:
    """The account of a run: what came in and what became of it, rule by rule.

    Args:
        unit: what is counted, in the singular.
        demonstration: name of the recipe, if it is for demonstration and models were used.
    """
    total = max(counters.get("in", 0), 1)
    print(f"\n{unit + 's in':<28}{counters.get('in', 0):>12,}")
    for name in ("bad", "merged", "rejected", "kept"):
        if name == "merged" and not counters.get(name):
            continue
        print(f"{name:<28}{counters.get(name, 0):>12,}  {100 * counters.get(name, 0) / total:5.1f} %")
        for key, n in sorted(counters.items(), key=lambda kv: (-kv[1], kv[0])):
            if key.startswith(name + "/"):
                print(f"  {key.split('/', 1)[1]:<26}{n:>12,}  {100 * n / total:5.1f} %")
    if counters.get("held_out"):
        print(f"{'of the kept, held out':<28}{counters['held_out']:>12,}")
    print(f"{f'records that are no {unit}':<28}{counters.get('skipped', 0):>12,}")
    print(f"\nwritten below {_shown(root)}:")
    for folder, what in (
        ("documents/", "what was kept (Parquet)"),
        ("annotated/ decisions/", f"every {unit} with its measures, and why it was kept or not (Parquet)"),
        ("bad/", "what could not be read: file, offset, reason (Parquet)"),
        ("manifest.json stats.json", "hashes of everything; the account above"),
    ):
        names = [n for n in folder.split() if storage.find(storage.join(root, n.rstrip("/")))]
        if names:
            print(f"  {' '.join(names):<26}{what}")
    if demonstration:
        print(f"\nNOTE: the models of recipe {demonstration!r} are for demonstration only.")


def _size(n: int) -> str:
    value, unit = float(n), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def _shown(root: str) -> str:
    below = storage.is_local(root) and root.startswith(os.getcwd() + os.sep)
    return os.path.relpath(root) if below else root


def _indent(text: str) -> str:
    return "\n".join("  " + line for line in text.splitlines())
