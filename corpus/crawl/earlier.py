"""Earlier runs that a new one joins: a later dump is deduplicated against their keys, not their text.

In: of each earlier run ``manifest.json``, ``inputs.json``, ``index/manifest.json`` and the run files beside
it; neither its text nor its raw input. Nothing of it is written. Out: `EarlierRun`s, which the new run saves
as ``after.json``, so that it can be decided and exported again without them.

With keep-first, and only so, pages that come later change nothing for those that came before.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Sequence
from typing import Any

import orjson

from corpus import storage
from corpus.crawl.job import CrawlJob, EarlierRun
from corpus.crawl.pages import run_path
from corpus.errors import CorruptPartError, UserError
from corpus.inputs import Split
from corpus.manifests import read_manifest
from corpus.parts import Part
from corpus.recipe import CommonCrawl

EARLIER = "after.json"
# Of the index's settings, those that shape no key.
_FREE = frozenset({"batch_bytes"})


def read_earlier(job: CrawlJob, splits: Sequence[Split], roots: Sequence[str]) -> tuple[EarlierRun, ...]:
    """Read and check the runs that a job is to come after.

    Args:
        job: the new run.
        splits: its input.
        roots: folders or addresses of the earlier runs, in the order of the corpus. They may have stopped
            after any stage (`--until`): only their index is used.

    Raises:
        UserError: the recipe does not allow it, a run cannot be joined, or one is not as it was written.
    """
    if not roots:
        return ()
    _check_recipe(job.settings)
    names = {(f.dump, f.name) for split in splits for f in split.files}
    found: list[EarlierRun] = []
    for root in roots:
        if _place(root) == _place(job.root):
            raise UserError(f"--after {root}: the output is that run itself; give another --output")
        manifest = _manifest(root)
        run = _read(job, root, manifest)
        before = {other.sha256 for other in found}
        if run.sha256 in before:
            raise UserError(f"--after {root}: this run, or a copy of it, is given twice")
        if set(manifest.get("after", ())) - before:
            raise UserError(
                f"--after {root}: that run was itself made with --after: give its earlier runs too, before it"
            )
        for dump, name in sorted(names & _names(root)):
            raise UserError(
                f"--after {root}: {name} of {dump or 'no dump'} is an input of that run already; if this is "
                "another file, give an --input-root further up, so that names differ"
            )
        found.append(run)
    return tuple(found)


def saved(root: str) -> tuple[EarlierRun, ...]:
    """The earlier runs of a finished run, as it was made with; they need not be there any more."""
    try:
        data = orjson.loads(storage.read_bytes(storage.join(root, EARLIER)))
    except FileNotFoundError:
        return ()
    return tuple(EarlierRun(**run) for run in data)


def _check_recipe(settings: CommonCrawl) -> None:
    dedup = settings.dedup
    if (dedup.policy, dedup.scope) != ("keep-first", "global"):
        raise UserError(
            f"--after: the recipe has policy {dedup.policy!r} and scope {dedup.scope!r}; set "
            'policy = "keep-first" and scope = "global" in [commoncrawl.dedup], for the earlier runs\' pages '
            "to stay as they are and these to be compared with them"
        )
    if settings.duplicates:
        raise UserError(
            "--after: whole pages cannot be compared with those of earlier runs yet; leave "
            "[commoncrawl.duplicates] out of the recipe"
        )


def _manifest(root: str) -> dict[str, Any]:
    """An earlier run's manifest, which is written last."""
    path = storage.join(root, "manifest.json")
    try:
        manifest: dict[str, Any] = orjson.loads(storage.read_bytes(path))
    except FileNotFoundError as error:
        raise UserError(
            f"--after {root}: there is no finished run: it has no manifest.json (run its command again)"
        ) from error
    except orjson.JSONDecodeError as error:
        raise UserError(f"--after {root}: {path} is not valid JSON: {error}") from error
    if manifest.get("kind") != "crawl-filter":
        raise UserError(f"--after {root}: that is no crawl-filter run, but {manifest.get('kind')!r}")
    return manifest


def _read(job: CrawlJob, root: str, manifest: dict[str, Any]) -> EarlierRun:
    """An earlier run by the manifest of its index, whose keys must mean what this run's mean."""
    try:
        sha256 = hashlib.sha256(storage.read_bytes(storage.join(root, "index", "manifest.json"))).hexdigest()
        body, index = read_manifest(root, "index")
    except (FileNotFoundError, CorruptPartError) as error:
        raise UserError(f"--after {root}: its index cannot be read: {error}") from error
    if sha256 != manifest["stages"]["index"]:
        raise UserError(f"--after {root}: index/manifest.json is not what manifest.json says: run it again")
    had, now = body["settings"], job.stage_settings("index")
    if changed := sorted(k for k in {*had, *now} - _FREE if had.get(k) != now.get(k)):
        differences = "; ".join(f"{k}: {had.get(k)} there, {now.get(k)} here" for k in changed)
        raise UserError(f"--after {root}: its keys were made with other settings ({differences})")
    _check_sizes(root, index)
    counters = body["counters"]
    return EarlierRun(root, sha256, len(index), counters.get("keys", 0), counters.get("out", 0))


def _check_sizes(root: str, index: Sequence[Part]) -> None:
    """Compare the run files with their records, by one listing."""
    sizes = {posixpath.basename(f.path): f.size for f in storage.find(storage.join(root, "index"))}
    by_name = {part.name: part for part in index}
    for ordinal in range(len(index)):
        name = Split.name_of(ordinal)
        for kind in ("paragraphs", "ids"):
            path = run_path(name, kind)
            file = by_name[name].file(path) if name in by_name else None
            if file is None or sizes.get(posixpath.basename(path)) != file.bytes:
                raise UserError(
                    f"--after {root}: {path} is missing or not as it was written (llama-corpus verify {root} "
                    "names all that is wrong)"
                )


def _names(root: str) -> set[tuple[str, str]]:
    """Dump and name of every input of an earlier run."""
    try:
        splits = orjson.loads(storage.read_bytes(storage.join(root, "inputs.json")))
    except FileNotFoundError as error:
        raise UserError(f"--after {root}: its inputs.json is missing: run it again") from error
    return {(f["dump"], f["name"]) for split in splits for f in split["files"]}


def _place(root: str) -> str:
    return os.path.realpath(root) if storage.is_local(root) else root.rstrip("/")
