"""The recipe: every threshold, scope, model and limit, read from TOML into frozen dataclasses.

An unknown key, a wrong type or a value out of range is a `UserError` that names the key. Code never
holds a threshold: it takes one of these blocks.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import orjson
from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from corpus.errors import UserError
from corpus.rules import C4Rules, FineWebRules, GopherQuality, GopherRepetition
from corpus.settings import STRICT, Build
from corpus.settings.arxiv import ArXiv
from corpus.settings.books import Books
from corpus.settings.c4 import C4
from corpus.settings.cross import CrossDedup, Decontaminate, HostSource
from corpus.settings.github import GitHub
from corpus.settings.mixture import Mixture, Tokenizer
from corpus.settings.stackexchange import StackExchange
from corpus.settings.wikipedia import Wikipedia

Encoding = Literal["text", "words"]  # of a language model's text


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Asset:
    """A file fetched once and kept in the cache: see `corpus.assets`."""

    url: str = ""  # https://… , pypi:project==version/path/in/wheel , or sample:path for our own
    sha256: str = Field(default="", pattern="^([0-9a-f]{64})?$")
    licence: str = ""


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Limits:
    """What guards every parser, in bytes unless named otherwise; beyond one, a record is bad."""

    record_bytes: int = Field(default=64 << 20, gt=0)
    html_bytes: int = Field(default=16 << 20, gt=0)
    line_bytes: int = Field(default=4 << 20, gt=0)
    header_bytes: int = Field(default=1 << 20, gt=0)
    url_bytes: int = Field(default=64 << 10, gt=0)
    html_nesting: int = Field(default=10_000, gt=0)
    compression_ratio: int = Field(default=1_000, gt=0)  # inflated : deflated


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Network:
    """How web servers are asked for files: see `corpus.web`. It shapes no output."""

    requests_per_second: float = Field(default=2.0, gt=0)  # of all processes that share a cache directory
    tries: int = Field(default=8, gt=0)  # in a row without one more byte: some two minutes
    timeout_seconds: float = Field(default=60.0, gt=0)  # to connect, to wait for the next bytes


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Dedup:
    """Paragraph deduplication (CCNet: cc_net/dedup.py)."""

    scope: Literal["block", "dump", "global"] = "block"
    policy: Literal["drop-all", "keep-first"] = "drop-all"
    hash: Literal["xxh64", "sha1"] = "xxh64"
    shards_per_dump: int = Field(default=1600, gt=0)
    shards_per_block: int = Field(default=50, gt=0)
    bucket_bytes: int = Field(default=256 << 20, gt=0)  # hashes one task merges at a time


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Language:
    """fastText language identification (CCNet: cc_net/split_by_lang.py)."""

    model: str  # asset
    min_score: float = Field(default=0.5, ge=0, le=1)
    keep: list[str] = Field(min_length=1)


@dataclass(frozen=True, config=STRICT, kw_only=True)
class LanguageModel:
    """One language's perplexity model: assets of its SentencePiece and KenLM files.

    `encoding` says what SentencePiece is given at a time, as in the model's training: the whole text
    (CCNet's models), or each word, between U+0020, by itself (`train-lm`'s default, much faster).

    `head` and `middle`, the perplexities below which a page is in these buckets, are given here, or
    come from the percentiles of the cut-off file.
    """

    sentencepiece: str
    kenlm: str
    encoding: Encoding = "text"
    head: float | None = Field(default=None, gt=0)
    middle: float | None = Field(default=None, gt=0)


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Perplexity:
    """KenLM perplexity and its buckets (CCNet: cc_net/perplexity.py)."""

    cutoffs: str = ""  # asset: CSV, a row per percentile, a column per language
    head_percentile: int = Field(default=30, ge=0, le=99)
    middle_percentile: int = Field(default=60, ge=0, le=99)
    models: dict[str, LanguageModel]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Reference:
    """The linear classifier of pages that Wikipedia cites against random pages."""

    model: str  # asset
    languages: list[str]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class NearDuplicates:
    """MinHash signatures (datatrove: pipeline/dedup/minhash.py): half found at J = (1/bands)^(1/rows)."""

    ngram: int = Field(default=5, gt=0)  # words a shingle
    bands: int = Field(default=14, gt=0)
    rows: int = Field(default=8, gt=0)  # positions of the signature that a band holds
    seed: int = 1


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Duplicates:
    """Whole pages that are copies, beyond the paragraphs; not LLaMA's. What is on is rejected."""

    exact: bool = False  # same text: the first stays
    url: bool = False  # same address: the newest stays (C4)
    near: NearDuplicates | None = None  # alike: the first stays


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Decide:
    """Which annotated pages are kept."""

    buckets: list[Literal["head", "middle", "tail", "all"]]
    min_reference: float = Field(ge=0, le=1)
    held_out: float = Field(ge=0, lt=1)  # share of kept documents set aside by id
    removals: list[str] = Field(default_factory=list)  # files of URLs, domains and ids
    drop_hosts_of: list[HostSource] = Field(default_factory=list)  # other sources: corpus/overlap/hosts.toml


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Export:
    """What is written out at the end and what stays of the rest."""

    rejected: Literal["text", "columns", "none"] = "columns"
    splits_per_file: int = Field(default=8, gt=0)


@dataclass(frozen=True, config=STRICT, kw_only=True)
class CommonCrawl:
    """The crawl filter."""

    min_chars: int = Field(default=300, ge=0)
    batch_bytes: int = Field(default=16 << 20, gt=0)
    dedup: Dedup
    language: Language
    # Published rules of quality that LLaMA did not use; without its block an annotator does not run.
    c4: C4Rules | None = None
    gopher_quality: GopherQuality | None = None
    gopher_repetition: GopherRepetition | None = None
    fineweb: FineWebRules | None = None
    perplexity: Perplexity | None = None  # without one every page is in bucket "all"
    reference: Reference | None = None  # without one no page is classified
    duplicates: Duplicates | None = None  # without one whole pages are not compared
    decide: Decide
    export: Export


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Recipe:
    """A whole recipe file."""

    name: str
    demonstration: bool = False  # models fit for a demonstration only: said loudly
    limits: Limits
    network: Network = Field(default_factory=Network)
    assets: dict[str, Asset]
    commoncrawl: CommonCrawl
    build: Build = Field(default_factory=Build)
    tokenizer: Tokenizer = Field(default_factory=Tokenizer)
    mixture: Mixture | None = None
    # The other sources; one without its block is not made.
    c4: C4 | None = None
    github: GitHub | None = None
    wikipedia: Wikipedia | None = None
    books: Books | None = None
    arxiv: ArXiv | None = None
    stackexchange: StackExchange | None = None
    # What is done across finished runs; without its block a command takes the defaults.
    cross_dedup: CrossDedup | None = None
    decontaminate: Decontaminate | None = None


def load(name_or_path: str) -> Recipe:
    """Read a recipe: a built-in name (`llama1`, `sample`) or the path of a TOML file.

    Raises:
        UserError: the file is missing, is not TOML, or has a key or value that is not known.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml":
        if not path.is_file():
            raise UserError(f"recipe {path} does not exist")
        data, origin = path.read_bytes(), str(path)
    else:
        built_in = resources.files("corpus") / "recipes" / f"{name_or_path}.toml"
        if not built_in.is_file():
            raise UserError(
                f"no built-in recipe {name_or_path!r}: give one of {', '.join(built_in_recipes())}, "
                "or the path of a .toml file"
            )
        data, origin = built_in.read_bytes(), f"{name_or_path} (built in)"
    return parse(data, origin)


def built_in_recipes() -> list[str]:
    """Names of the recipes that come with the package."""
    folder = resources.files("corpus") / "recipes"
    return sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml"))


def parse(data: bytes, origin: str) -> Recipe:
    """Build a recipe from TOML bytes; `origin` names them in errors."""
    try:
        raw = tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"recipe {origin} is not valid TOML: {error}") from error
    return from_dict(raw, origin)


def from_dict(raw: dict[str, Any], origin: str) -> Recipe:
    """Build a recipe from plain data, as in a TOML file or a run's manifest."""
    try:
        return TypeAdapter(Recipe).validate_json(orjson.dumps(raw))
    except ValidationError as error:
        lines = [_explain(e) for e in error.errors()]
        raise UserError(f"recipe {origin}:\n  " + "\n  ".join(lines)) from error


def to_dict(block: Any) -> dict[str, Any]:
    """A block as plain data, for manifests."""
    return dataclasses.asdict(block, dict_factory=_plain)


def digest(value: Any) -> str:
    """SHA-256 of plain data as canonical JSON (sorted keys), or of a recipe block."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = to_dict(value)
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _plain(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """Without what is absent: a recipe that knows nothing of a new optional block keeps its digest."""
    return {key: value for key, value in items if value is not None}


def _explain(error: Any) -> str:
    """One pydantic error in the user's words."""
    where = ".".join(map(str, error["loc"]))
    if error["type"] == "unexpected_keyword_argument":
        known = _field_names(error["loc"][:-1])
        near = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known keys: {', '.join(known)}"
        return f"unknown key {where!r}{hint}"
    if error["type"] in ("missing", "missing_keyword_only_argument"):
        return f"key {where!r} is missing"
    return f"key {where!r}: {error['msg']} (got {error.get('input')!r})"


def _field_names(loc: tuple[Any, ...]) -> list[str]:
    """Known keys of the block at a location of the recipe."""
    block: Any = Recipe
    for step in loc:
        hints = get_type_hints(block)
        # Else an entry of a table of blocks, such as assets.NAME, whose block was found a step before.
        if step in hints:
            inner = (hints[step], *get_args(hints[step]))
            found = [kind for kind in inner if dataclasses.is_dataclass(kind)]
            if not found:
                return []
            block = found[0]
    return [f.name for f in dataclasses.fields(block)]
