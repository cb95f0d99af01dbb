"""Stage `annotate` of C4's rebuild: of each page the lines that stay in it, and what is measured of them.

In: the cleaned pages of a split, and the answers about their addresses and lines. Out:
``annotated/NAME.parquet``, row by row: `DOCUMENT` and `FIELDS` of `corpus.sources.c4.columns`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus.annotate.columns import scatter
from corpus.annotate.english import langdetect
from corpus.build.extract import FOLDER as ANNOTATED
from corpus.build.job import BuildJob
from corpus.dedup.newest import NewestFilter
from corpus.kernels.arrays import Bools
from corpus.parts import PartWriter
from corpus.schema import DOCUMENT
from corpus.settings.c4 import C4
from corpus.sources.c4 import ranked, rebuild
from corpus.sources.c4.columns import FIELDS
from corpus.sources.c4.cuts import Cutter, left
from corpus.sources.c4.pages import Measures
from corpus.stages import Stage, Task

_SCHEMA = pa.schema([*DOCUMENT, *FIELDS])


def stage(settings: C4) -> Stage:
    """The stage."""
    kinds = [rebuild.URL] * settings.newest + [rebuild.LINE] * (settings.dedup != "none")
    return Stage(
        name=rebuild.ANNOTATE,
        tasks=rebuild.parts_of_extract,
        work=annotate,
        aligned=(rebuild.EXTRACT, *map(ranked.runs_of, kinds)),
        needs=tuple(map(ranked.answers_of, kinds)),
        settings=rest_settings,
        version=rebuild.VERSION,
        libraries=("pyarrow", "langdetect", "nltk"),
        folder=ANNOTATED,
    )


def rest_settings(job: BuildJob) -> dict[str, Any]:
    """What shapes the columns."""
    return {
        "pages": rebuild.cut_settings(job),
        "sentences": [job.settings.sentences, job.settings.punkt_language],
        "models": job.model_hashes,
        "rejected": job.build.rejected,
    }


def annotate(job: BuildJob, task: Task, writer: PartWriter) -> None:
    """Annotate the pages of a split.

    Counters: ``duplicate_lines``, ``repeated_lines``; ``detected``, pages whose language was asked.
    """
    settings: C4 = job.settings
    paths = {name: job.path_of(name) for name in job.source.assets(settings)}
    measures = Measures(settings, paths)
    newest = rebuild.open_newest(job, task.name)
    lines = ranked.open_filter(job, rebuild.LINE, task.name) if settings.dedup != "none" else None
    cutter = rebuild.open_cutter(job)
    with writer.parquet(f"{ANNOTATED}/{task.name}.parquet", _SCHEMA) as sink:
        for batch in rebuild.read_pages(job, task.name):
            rest = _Rest(batch, rebuild.page_reasons(batch, settings, newest))
            if lines is not None:
                rest.take_units(lines, cutter)
            rest.measure(measures, settings)
            for name in ("duplicate_lines", "repeated_lines"):
                writer.tally.count(name, rest.total(name))
            writer.tally.count("detected", len(rest.candidates()))
            sink.write(rest.batch(job.build.rejected == "text"))


class _Rest:
    """A batch of pages while reasons are found; columns are null where a page was not reached."""

    def __init__(self, batch: pa.RecordBatch, reasons: list[str | None]) -> None:
        self._batch = batch
        self._reasons = reasons
        self._texts: list[str] = batch.column("text").to_pylist()
        self.columns: dict[str, pa.Array] = {}

    def candidates(self) -> np.ndarray:
        """Rows that nothing speaks against so far."""
        return np.array([i for i, reason in enumerate(self._reasons) if reason is None], np.int64)

    def take_units(self, lines: NewestFilter, cutter: Cutter) -> None:
        """Leave each page the lines, or spans, that stay in it, each once."""
        rows = self.candidates()
        keys, ranks, cuts = rebuild.units_of(self._batch.take(pa.array(rows)), cutter)
        dropped = lines.drop(keys, ranks).tolist()
        elsewhere, repeated = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
        start = 0
        for i, cut in enumerate(cuts):
            stop = start + len(cut.keys)
            self._texts[rows[i]], elsewhere[i], repeated[i] = left(cut, dropped[start:stop])
            start = stop
        self._put("duplicate_lines", rows, elsewhere)
        self._put("repeated_lines", rows, repeated)

    def total(self, name: str) -> int:
        """Sum of a column."""
        column = self.columns.get(f"c4_v1_{name}")
        return (pc.sum(column).as_py() or 0) if column is not None else 0

    def measure(self, measures: Measures, settings: C4) -> None:
        """Count sentences, then detect the language and look for bad words where they are enough."""
        rows = self.candidates()
        self._reject("all_duplicate", rows, np.array([not self._texts[row] for row in rows], bool))
        rows = self.candidates()
        sentences = measures.sentences(self._chosen(rows))
        self._put("unique_sentences", rows, sentences)
        self._reject("few_unique_sentences", rows, sentences < settings.least_sentences)
        rows = self.candidates()
        found = [langdetect().detect(self._texts[row]) for row in rows]
        self._languages = dict(zip(rows.tolist(), (code for code, _ in found), strict=True))
        self._put("english", rows, np.array([p if code == "en" else 0.0 for code, p in found], np.float64))
        if settings.bad_words and settings.bad_words_rule == "tfds-3":
            self._put("bad_words", rows, measures.bad_words(self._chosen(rows)))

    def batch(self, all_text: bool) -> pa.RecordBatch:
        """The annotated batch; without `all_text` a page with a reason has no text."""
        texts = pa.array(self._texts, pa.string())
        arrays = []
        for field in _SCHEMA:
            if field.name == "text":
                wanted = pa.array([all_text or reason is None for reason in self._reasons], pa.bool_())
                arrays.append(pc.if_else(wanted, texts, pa.scalar(None, pa.string())))
            elif field.name == "bytes":
                arrays.append(pc.binary_length(texts).cast(pa.int64()))
            elif field.name == "language":  # ISO 639-1, without langdetect's regions of Chinese
                codes = (self._languages.get(i) for i in range(len(self._batch)))
                arrays.append(pa.array([code and code.partition("-")[0] for code in codes], pa.string()))
            elif field.name == "c4_v1_reason":
                arrays.append(pa.array(self._reasons, pa.string()))
            elif field.name in self.columns:
                arrays.append(self.columns[field.name])
            elif self._batch.schema.get_field_index(field.name) >= 0:
                arrays.append(self._batch.column(field.name))
            else:
                arrays.append(pa.nulls(len(self._batch), field.type))
        return pa.RecordBatch.from_arrays(arrays, schema=_SCHEMA)

    def _chosen(self, rows: np.ndarray) -> pa.StringArray:
        return pa.array([self._texts[row] for row in rows], pa.string())

    def _put(self, name: str, rows: np.ndarray, values: np.ndarray) -> None:
        self.columns[f"c4_v1_{name}"] = scatter(pa.array(values), rows, len(self._batch))

    def _reject(self, reason: str, rows: np.ndarray, against: Bools) -> None:
        for row in rows[against]:
            self._reasons[row] = reason
