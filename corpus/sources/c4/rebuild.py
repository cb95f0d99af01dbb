"""C4 built again from a crawl: pages of all splits compared, twice, and what is left of them measured.

| stage | what it does |
|---|---|
| `extract` | pages of a split, their lines cleaned and counted → ``pages/NAME.parquet`` |
| `url-runs`, `url-answers` | of each address the newest page |
| `line-runs`, `line-answers` | of each line, or span, the page whose URL has the smallest MD5 |
| `annotate` | the lines left of each page, langdetect, bad words → ``annotated/NAME.parquet`` |

The order is that of tensorflow/datasets, tensorflow_datasets/text/c4.py, `_get_page_content`, but that lines
are cleaned first: what becomes of them depends on their page alone, and makes much less to write. What a rule
lets pass is compared with other pages by the next. So a change of `newest` or a threshold of `page_reasons`
needs the later stages again, and one of `max_characters` or the rules for lines all of them; only the fields
of `corpus.settings.c4.THRESHOLDS` are compared with finished columns.

`c4_v1_reason`, the first of: ``no_url``, ``empty``, ``no_timestamp``; ``characters`` (too many);
``url_duplicate``; ``lorem_ipsum``, ``javascript`` (by switch), ``curly_bracket``, ``bad_words`` (by switch);
``few_sentences``; ``all_duplicate`` (no line is left); ``few_unique_sentences``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from corpus.annotate.sentences import open_punkt, untrained_punkt
from corpus.build import extract
from corpus.build.job import BuildJob
from corpus.dedup.newest import NewestFilter, time_of
from corpus.kernels.arrays import Bools, Keys
from corpus.parts import PartWriter, open_part_file
from corpus.runs import RANK, Ranks
from corpus.settings.c4 import C4
from corpus.sources.c4 import ranked
from corpus.sources.c4.cuts import Cut, Cutter, into_lines, into_spans
from corpus.sources.c4.pages import SCHEMA
from corpus.sources.c4.urls import url_key, url_order
from corpus.stages import Stage, Task

PAGES = "pages"
EXTRACT, ANNOTATE = "extract", "annotate"
URL, LINE = "url", "line"
VERSION = 1
_BATCH_ROWS = 4_096
# Fields of the block by what they shape, each list beside those before it.
_OF_LINES = ("max_characters", "lines", "line_max_word", "end_marks", "line_words", "bad_words_rule")
_OF_URLS = ("max_characters", "newest")
_OF_PAGES = ("max_lorem_ipsum", "max_curly_bracket", "javascript", "dedup")
_URL_COLUMNS = ["key", "timestamp", "file", "offset", "c4_v1_reason", "c4_v1_characters"]
PAGE_COLUMNS = [
    *_URL_COLUMNS, "c4_v1_lorem_ipsum", "c4_v1_javascript", "c4_v1_curly_bracket", "c4_v1_bad_words",
    "c4_v1_sentences",
]  # fmt: skip


def comparing_stages(settings: C4) -> tuple[Stage, ...]:
    """The stages before `annotate`."""
    first = Stage(
        name=EXTRACT,
        tasks=extract.tasks,
        work=extract_pages,
        settings=line_settings,
        version=VERSION,
        libraries=("pyarrow", "resiliparse", "zstandard", "isal", "nltk"),
        folder=PAGES,
    )
    urls = Stage(
        name=ranked.runs_of(URL),
        tasks=parts_of_extract,
        work=index_urls,
        aligned=(EXTRACT,),
        settings=url_settings,
        version=VERSION,
        libraries=("xxhash",),
    )
    by_url = ranked.stages(URL, urls) if settings.newest else ()
    lines = Stage(
        name=ranked.runs_of(LINE),
        tasks=parts_of_extract,
        work=index_lines,
        aligned=(EXTRACT, *([ranked.runs_of(URL)] if settings.newest else [])),
        needs=(ranked.answers_of(URL),) if settings.newest else (),
        settings=cut_settings,
        version=VERSION,
        libraries=("nltk",) if settings.dedup == "spans" else (),
    )
    by_line = ranked.stages(LINE, lines) if settings.dedup != "none" else ()
    return (first, *by_url, *by_line)


def line_settings(job: BuildJob) -> dict[str, Any]:
    """What shapes the cleaned pages."""
    s: C4 = job.settings
    models = [s.punkt] if s.sentences == "punkt" else []
    if s.bad_words and s.bad_words_rule == "tfds-2":
        models.append(s.bad_words)
    return {
        "lines": {name: getattr(s, name) for name in _OF_LINES} | {"line_min_words": s.least_words},
        "sentences": [s.sentences, s.punkt_language],
        "models": {name: job.model_hashes[name] for name in models},
        "limits": asdict(job.limits),
        "batch_bytes": job.build.batch_bytes,
    }


def url_settings(job: BuildJob) -> dict[str, Any]:
    """What shapes the choice of the newest pages."""
    return {name: getattr(job.settings, name) for name in _OF_URLS}


def page_settings(job: BuildJob) -> dict[str, Any]:
    """What shapes the choice of the pages whose lines are compared."""
    s: C4 = job.settings
    found = url_settings(job) | {name: getattr(s, name) for name in _OF_PAGES}
    found["min_sentences"] = s.least_sentences
    if s.bad_words and s.bad_words_rule == "tfds-2":
        found["max_bad_words"] = s.max_bad_words
    return found


def cut_settings(job: BuildJob) -> dict[str, Any]:
    """What shapes the keys of these pages."""
    s: C4 = job.settings
    found = page_settings(job)
    if s.dedup == "spans":
        models = {s.punkt: job.model_hashes[s.punkt]} if s.sentences == "punkt" else {}
        found |= {"sentences": [s.sentences, s.punkt_language], "models": models}
    return found


def parts_of_extract(job: BuildJob) -> list[Task]:
    """A task a part of `extract`."""
    return [Task(part.name) for part in job.parts(EXTRACT)]


def extract_pages(job: BuildJob, task: Task, writer: PartWriter) -> None:
    """Read the pages of a split."""
    with writer.parquet(f"{PAGES}/{task.name}.parquet", SCHEMA) as sink:
        for batch in extract.read(job, task.payload, writer):
            sink.write(batch)


def index_urls(job: BuildJob, task: Task, writer: PartWriter) -> None:
    """Write the ranked run of a split's addresses."""
    with ranked.write_run(job, URL, task, writer) as index:
        for batch in read_pages(job, task.name, _URL_COLUMNS):
            index.add(*addresses(batch.filter(pa.array(has_address(batch, job.settings)))))


def index_lines(job: BuildJob, task: Task, writer: PartWriter) -> None:
    """Write the ranked run of the lines of a split's pages that no rule speaks against."""
    newest = open_newest(job, task.name)
    cutter = open_cutter(job)
    with ranked.write_run(job, LINE, task, writer) as index:
        for batch in read_pages(job, task.name, [*PAGE_COLUMNS, "text"]):
            reasons = page_reasons(batch, job.settings, newest)
            chosen = batch.filter(pa.array([reason is None for reason in reasons]))
            index.add(*units_of(chosen, cutter)[:2])


def read_pages(job: BuildJob, name: str, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The pages of a split, some thousands at a time."""
    file = next(f for f in job.part(EXTRACT, name).files if f.path == f"{PAGES}/{name}.parquet")
    with open_part_file(job.root, file) as f:
        parquet = pq.ParquetFile(f)
        for group in range(parquet.num_row_groups):
            yield from parquet.read_row_group(group, columns=columns).to_batches(_BATCH_ROWS)


def open_newest(job: BuildJob, name: str) -> NewestFilter | None:
    """Which pages of a split are not the newest of their address; None where that is not asked."""
    return ranked.open_filter(job, URL, name) if job.settings.newest else None


def page_reasons(batch: pa.RecordBatch, settings: C4, newest: NewestFilter | None) -> list[str | None]:
    """The first rule against each page, before its lines are compared with those of others."""
    reasons: list[str | None] = batch.column("c4_v1_reason").to_pylist()

    def add(reason: str, against: Bools) -> None:
        for i in np.flatnonzero(against):
            reasons[i] = reasons[i] or reason

    add("characters", _ints(batch, "characters") > settings.max_characters)
    if newest is not None:
        candidate = has_address(batch, settings)
        outdated = np.zeros(len(batch), bool)
        outdated[candidate] = newest.drop(*addresses(batch.filter(pa.array(candidate))))
        add("url_duplicate", outdated)
    add("lorem_ipsum", _ints(batch, "lorem_ipsum") > settings.max_lorem_ipsum)
    if settings.javascript == "page":
        add("javascript", _ints(batch, "javascript") > 0)
    add("curly_bracket", _ints(batch, "curly_bracket") > settings.max_curly_bracket)
    if settings.bad_words and settings.bad_words_rule == "tfds-2":
        add("bad_words", _ints(batch, "bad_words") > settings.max_bad_words)
    add("few_sentences", _ints(batch, "sentences") < settings.least_sentences)
    return reasons


def has_address(batch: pa.RecordBatch, settings: C4) -> Bools:
    """Which pages are compared by their address: all that could be C4's and are not too long."""
    possible = np.asarray(batch.column("c4_v1_reason").is_null().to_numpy(zero_copy_only=False))
    found: Bools = possible & (_ints(batch, "characters") <= settings.max_characters)
    return found


def addresses(batch: pa.RecordBatch) -> tuple[Keys, Ranks]:
    """Keys and ranks of pages that have an address; of two as new the place decides, by a hash."""
    ranks = np.empty(len(batch), RANK)
    ranks["time"] = [time_of(timestamp) for timestamp in batch.column("timestamp").to_pylist()]
    places = zip(batch.column("file").to_pylist(), batch.column("offset").to_pylist(), strict=True)
    ranks["id"] = [xxhash.xxh64_intdigest(f"{file}\0{offset}".encode()) for file, offset in places]
    return np.array([url_key(url) for url in batch.column("key").to_pylist()], np.uint64), ranks


def open_cutter(job: BuildJob) -> Cutter:
    """How pages are cut into what is compared."""
    s: C4 = job.settings
    if s.dedup != "spans":
        return into_lines
    trained = s.sentences == "punkt"
    return into_spans(open_punkt(job.path_of(s.punkt), s.punkt_language) if trained else untrained_punkt())


def units_of(batch: pa.RecordBatch, cutter: Cutter) -> tuple[Keys, Ranks, list[Cut]]:
    """Keys and ranks of all units of pages, one after the other, and the pages cut."""
    cuts = [cutter(text) for text in batch.column("text").to_pylist()]
    keys = np.array([key for cut in cuts for key in cut.keys], np.uint64)
    ranks = np.zeros(len(keys), RANK)
    orders = np.array([url_order(url) for url in batch.column("key").to_pylist()], np.uint64)
    ranks["id"] = np.repeat(orders, [len(cut.keys) for cut in cuts])
    return keys, ranks, cuts


def _ints(batch: pa.RecordBatch, name: str) -> np.ndarray:
    return np.asarray(batch.column(f"c4_v1_{name}").to_numpy(zero_copy_only=False))
