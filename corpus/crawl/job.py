"""What a crawl-filter run is: its folder, recipe, models and splits, and the identity of every part.

Small and picklable: an engine sends it to its workers with each task.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from corpus import assets, rules
from corpus.decide import Cutoffs, Removals, read_removals
from corpus.errors import UserError
from corpus.inputs import Split
from corpus.overlap.hosts import entries_of
from corpus.parts import PartSpec
from corpus.recipe import CommonCrawl, Recipe, digest
from corpus.runs import bucket_count
from corpus.training.cutoffs import load_cutoffs
from corpus.training.manifests import check_language_model

SOURCE = "commoncrawl"
STAGES = ("index", "dedup", "annotate", "duplicates", "decide", "export")
# Where a stage's Parquet goes.
FOLDERS = {
    "annotate": "annotated",
    "duplicates": "duplicates",
    "decide": "decisions",
    "export": "documents",
}

# Raised by hand when a stage's code changes what it writes.
VERSIONS = {"index": 1, "dedup": 1, "annotate": 1, "duplicates": 1, "decide": 1, "export": 1}
# Libraries whose version shapes a stage's bytes.
_LIBRARIES = {
    "index": ("pyarrow", "resiliparse", "zstandard", "isal"),
    "dedup": (),
    "annotate": ("pyarrow", "fasttext", "kenlm", "sentencepiece"),
    "duplicates": ("pyarrow",),
    "decide": ("pyarrow",),
    "export": ("pyarrow",),
}
# A dump of 9 TB of compressed WET has about 3·10^9 pages and 7·10^10 line keys distinct within a split.
# Only the number of buckets follows from these: a bucket that holds more is merged in several passes.
_KEYS_PER_RAW_BYTE = 1 / 128
_PAGES_PER_RAW_BYTE = 1 / 3_000


@dataclass(frozen=True)
class Scope:
    """The splits that are deduplicated against each other, and its number of buckets.

    `kind` is ``paragraphs`` (line keys), ``ids`` (record ids) or, of whole pages, ``url``, ``exact`` or
    ``near``.
    """

    kind: str
    name: str
    buckets: int
    splits: tuple[int, ...]

    @property
    def stage(self) -> str:
        """The stage that its answers are parts of."""
        return "dedup" if self.kind in ("paragraphs", "ids") else "duplicates"

    def part_name(self, bucket: int) -> str:
        """Name of the answer part of one bucket."""
        return f"{self.kind}-{self.name}-{bucket:05d}"


@dataclass(frozen=True)
class EarlierRun:
    """A finished run whose pages come before those of a new one: see `corpus.crawl.earlier`.

    Attributes:
        root: its folder or address.
        sha256: of its ``index/manifest.json``, and so of every part of its index.
        splits: how many parts its index has.
        keys, pages: line keys distinct within a split, and pages, in all.
    """

    root: str
    sha256: str
    splits: int
    keys: int
    pages: int


@dataclass(frozen=True)
class CrawlJob:
    """A run of the crawl filter.

    Attributes:
        root: folder or address that the run writes to.
        recipe: the whole recipe.
        model_hashes: sha256 of every asset the recipe uses, by name.
        earlier: runs that it is deduplicated against, in the order of the corpus.
    """

    root: str
    recipe: Recipe
    model_hashes: dict[str, str]
    earlier: tuple[EarlierRun, ...] = ()

    @property
    def settings(self) -> CommonCrawl:
        """The recipe's block for this source."""
        return self.recipe.commoncrawl

    def path_of(self, asset: str) -> str:
        """Local path of an asset, fetched to this machine's cache if need be."""
        return assets.fetch(asset, self.recipe.assets[asset])

    def stage_settings(self, stage: str) -> dict[str, Any]:
        """What of the recipe, the models and the libraries shapes a stage's output."""
        s = self.settings
        chosen: dict[str, Any] = {}
        if stage == "index":
            chosen = {
                "limits": asdict(self.recipe.limits),
                "min_chars": s.min_chars,
                "batch_bytes": s.batch_bytes,
                "hash": s.dedup.hash,
            }
        elif stage == "dedup":
            chosen = {"dedup": asdict(s.dedup)}
            if self.earlier:  # so that a run is not gone on with by a command that leaves one out
                chosen["after"] = len(self.earlier)
        elif stage == "annotate":
            chosen = {
                "policy": s.dedup.policy,
                "language": asdict(s.language),
                "perplexity": sorted(s.perplexity.models) if s.perplexity else None,
                "reference": s.reference.languages if s.reference else None,
                "rejected": s.export.rejected,
                "models": {name: self.model_hashes[name] for name in annotator_assets(s)},
            }
            if s.duplicates:
                chosen["duplicates"] = asdict(s.duplicates)
            if measured := rules.readings(s):
                chosen["rules"] = measured
        elif stage == "duplicates":
            chosen = {
                "duplicates": asdict(s.duplicates) if s.duplicates else None,
                "bucket_bytes": s.dedup.bucket_bytes,
            }
        elif stage == "decide":
            chosen = {
                "min_score": s.language.min_score,
                "languages": s.language.keep,
                "cutoffs": {k: asdict(c) for k, c in self.cutoffs().items()},
                "classified": s.reference.languages if s.reference else None,
                "rules": [asdict(check) for check in rules.checks(s)],
                "decide": asdict(s.decide),
                "removals": [digest(sorted(map(sorted, asdict(self.removals()).values())))],
                "hosts": {source: entries_of(source) for source in s.decide.drop_hosts_of},
            }
        elif stage == "export":
            chosen = {"splits_per_file": s.export.splits_per_file}
        chosen["libraries"] = {name: version(name) for name in _LIBRARIES[stage]}
        chosen["version"] = VERSIONS[stage]
        return chosen

    def spec(
        self, stage: str, name: str, inputs: Sequence[Any], local_inputs: Sequence[str] = ()
    ) -> PartSpec:
        """Identity of one part of a stage."""
        return PartSpec(stage, name, self.stage_settings(stage), tuple(inputs), tuple(local_inputs))

    def cutoffs(self) -> dict[str, Cutoffs]:
        """Cut-offs of each language that has a language model.

        Raises:
            UserError: a language has neither cut-offs of its own nor a column in the cut-off file.
        """
        perplexity = self.settings.perplexity
        if perplexity is None:
            return {}
        table = load_cutoffs(self.path_of(perplexity.cutoffs)) if perplexity.cutoffs else {}
        found = {}
        for language, model in perplexity.models.items():
            if model.head is not None and model.middle is not None:
                found[language] = Cutoffs(model.head, model.middle)
            elif language in table:
                column = table[language]
                found[language] = Cutoffs(
                    float(column[perplexity.head_percentile]), float(column[perplexity.middle_percentile])
                )
            else:
                raise UserError(
                    f"no perplexity cut-offs for language {language!r}: give head and middle in "
                    f"[commoncrawl.perplexity.models.{language}], or a cut-off file that has it "
                    "(llama-corpus calibrate writes one)"
                )
        return found

    def removals(self) -> Removals:
        """The recipe's removal lists, read."""
        return read_removals(self.settings.decide.removals)


def annotator_assets(settings: CommonCrawl) -> list[str]:
    """Names of the models that the annotators load."""
    names = [settings.language.model]
    if settings.c4 and settings.c4.bad_words:
        names.append(settings.c4.bad_words)
    if settings.c4 and settings.c4.sentences == "punkt":
        names.append(settings.c4.punkt)
    if settings.perplexity:
        for model in settings.perplexity.models.values():
            names += [model.sentencepiece, model.kenlm]
    if settings.reference:
        names.append(settings.reference.model)
    return sorted(set(names))


def needed_assets(settings: CommonCrawl, until: str = STAGES[-1]) -> list[str]:
    """Names of all assets that a run up to a stage uses."""
    names = annotator_assets(settings)
    if _decides(until) and settings.perplexity and settings.perplexity.cutoffs:
        names.append(settings.perplexity.cutoffs)
    return sorted(names)


def stages_until(settings: CommonCrawl, until: str) -> tuple[str, ...]:
    """The stages of a run up to one of `STAGES`: without `duplicates` where the recipe has no such block."""
    found = STAGES[: STAGES.index(until) + 1]
    return found if settings.duplicates else tuple(stage for stage in found if stage != "duplicates")


def _decides(until: str) -> bool:
    return STAGES.index(until) >= STAGES.index("decide")


def prepare(
    root: str, recipe: Recipe, until: str = STAGES[-1], earlier: tuple[EarlierRun, ...] = ()
) -> CrawlJob:
    """Fetch and check the models and lists that a run needs up to a stage; tell all that is missing.

    Raises:
        UserError: an asset is not in the recipe's table, cannot be had, or is not what the recipe says of it.
    """
    names = needed_assets(recipe.commoncrawl, until)
    unknown = [name for name in names if name not in recipe.assets]
    if unknown:
        raise UserError(
            f"recipe {recipe.name} names models that its [assets] table lacks: {', '.join(unknown)}"
        )
    paths = assets.preflight(recipe.assets, names)
    if recipe.commoncrawl.perplexity:
        for language, model in recipe.commoncrawl.perplexity.models.items():
            check_language_model(language, model, paths)
    hashes = {name: assets.identity(name, recipe.assets[name]) for name in names}
    job = CrawlJob(root, recipe, hashes, earlier)
    if _decides(until):
        job.cutoffs()
        job.removals()
    return job


def scopes(settings: CommonCrawl, splits: Sequence[Split], earlier: Sequence[EarlierRun] = ()) -> list[Scope]:
    """The deduplication scopes of a run: paragraphs by the recipe's scope, record ids over all.

    Earlier runs, which only a global scope can have, add their keys to those that buckets hold.
    """
    groups: dict[str, list[Split]] = defaultdict(list)
    for split in splits:
        dump = split.dump or "crawl"
        names = {"block": f"{dump}-block-{split.block:04d}", "dump": dump, "global": "all"}
        groups[names[settings.dedup.scope]].append(split)
    found = []
    for name, members in groups.items():
        keys = keys_of_raw_bytes(sum(s.bytes for s in members)) + sum(run.keys for run in earlier)
        buckets = bucket_count(keys, settings.dedup.bucket_bytes)
        found.append(Scope("paragraphs", name, buckets, tuple(s.ordinal for s in members)))
    pages = pages_of_raw_bytes(sum(s.bytes for s in splits)) + sum(run.pages for run in earlier)
    buckets = bucket_count(pages, settings.dedup.bucket_bytes)
    return [*found, Scope("ids", "all", buckets, tuple(s.ordinal for s in splits))]


def duplicate_scopes(settings: CommonCrawl, splits: Sequence[Split]) -> list[Scope]:
    """The scopes in which whole pages are compared, one a kind that the recipe asks for, over all splits."""
    block = settings.duplicates
    if block is None:
        return []
    pages = pages_of_raw_bytes(sum(s.bytes for s in splits))
    keys = {"url": block.url, "exact": block.exact, "near": block.near.bands if block.near else 0}
    ordinals = tuple(s.ordinal for s in splits)
    return [
        Scope(kind, "all", bucket_count(pages * n, settings.dedup.bucket_bytes, kind == "url"), ordinals)
        for kind, n in keys.items()
        if n
    ]


def keys_of_raw_bytes(raw_bytes: int) -> int:
    """Distinct line keys to be expected of so many bytes of compressed WET."""
    return int(raw_bytes * _KEYS_PER_RAW_BYTE)


def pages_of_raw_bytes(raw_bytes: int) -> int:
    """Pages to be expected of so many bytes of compressed WET."""
    return int(raw_bytes * _PAGES_PER_RAW_BYTE)


def export_groups(splits: Sequence[int], settings: CommonCrawl) -> dict[int, list[int]]:
    """Which splits' kept documents share export files: group → ordinals."""
    groups: dict[int, list[int]] = defaultdict(list)
    for ordinal in splits:
        groups[ordinal // settings.export.splits_per_file].append(ordinal)
    return dict(groups)
