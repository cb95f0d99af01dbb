"""The figures of a page: a plot each, what it shows in words, and its numbers as a table.

In: what was gathered. Out: `Figure`s, of which those without a single count are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from corpus.review.report import plots, words
from corpus.review.report.counting import Frequent, Histogram
from corpus.review.report.documents import Documents
from corpus.review.report.gather import Report, RunReport
from corpus.review.report.rules import in_words
from corpus.review.report.stages import StageTime

_FATES = ("kept", "rejected", "merged", "bad")
_LANGUAGES = 15


@dataclass(frozen=True)
class Figure:
    """A plot. `says`: what can be seen in it; `head` and `rows`: its numbers, after a column of names."""

    id: str
    title: str
    says: str
    svg: str
    head: list[str]
    rows: list[list[str]]


def fates(report: Report) -> list[Figure]:
    """What became of the records of each source, in shares."""
    found = [(r.title, r.run.counters) for r in report.runs if r.rules and r.run.counters["in"]]
    if not found:
        return []
    shares = [(name, {fate: c[fate] / c["in"] for fate in _FATES}) for name, c in found]
    most = max(found, key=lambda item: item[1]["kept"] / item[1]["in"])
    return [
        Figure(
            "fates",
            "What became of the records of each source",
            f"Shares of the records that could be documents. {most[0]} keeps the largest share, "
            f"{words.share(most[1]['kept'] / most[1]['in'])}.",
            plots.bars(
                shares, {fate: fate for fate in _FATES}, "share of records (%)", "source", plots.SHARES
            ),
            ["source", *_FATES],
            [[name, *(words.share(values[fate]) for fate in _FATES)] for name, values in shares],
        )
    ]


def composition(report: Report) -> list[Figure]:
    """Shares, epochs and bytes a token of each source, the paper's and these."""
    found = []
    for name, title, form, unit, show in (
        ("share", "Share of the tokens drawn", plots.SHARES, "share of tokens (%)", words.share),
        ("epochs", "Epochs", plots.PLAIN, "epochs (passes over a source)", words.fixed),
        ("bytes_per_token", "Bytes a token", plots.PLAIN, "UTF-8 bytes a token", words.fixed),
    ):
        rows = [
            (words.source(s.source), getattr(s, f"paper_{name}"), getattr(s, name)) for s in report.mixture
        ]
        if not any(ours for _, _, ours in rows):
            continue
        drawn = [(n, {"paper": paper or 0, "these runs": ours or 0}) for n, paper, ours in rows]
        svg = plots.pairs(drawn, {"paper": "paper", "these runs": "kept"}, unit, "source", form)
        says = "Of each source the value in table 1 of the paper, and that of these runs below it."
        numbers = [[n, show(paper), show(ours)] for n, paper, ours in rows]
        found.append(Figure(f"mixture-{name}", title, says, svg, ["source", "paper", "these runs"], numbers))
    return found


def funnel(key: str, report: RunReport) -> list[Figure]:
    """From all records to the documents kept, a bar a rule."""
    total, kept = report.run.counters["in"], report.run.counters["kept"]
    if not total:
        return []
    rows = [("records", 0, total, "records")]
    rows += [(s.name, s.left, s.left + s.removed, _colour(s.name)) for s in report.steps]
    rows += [("kept", 0, kept, "kept")]
    numbers = [["records", "all that could be documents", "", "", words.count(total)]]
    numbers += [
        [s.name, s.says, words.count(s.removed), words.share(s.share), words.count(s.left)]
        for s in report.steps
    ]
    return [
        Figure(
            f"{key}-funnel",
            "From records to documents, rule by rule",
            f"Each bar is what one rule took of the records that the rules above it had left; "
            f"{words.count(kept)} of {words.count(total)} remain.",
            plots.waterfall(rows, "records", "rule"),
            ["rule", "what it says", "removed", "of all records", "left"],
            numbers,
        )
    ]


def documents(key: str, report: RunReport) -> list[Figure]:
    """Languages and distributions of a run's documents."""
    found, counted = [], report.documents
    if counted is None or not counted.kept + counted.rejected:
        return []
    settings = report.rules.settings if report.rules else {}
    found += _languages(key, counted)
    found += _histogram(
        f"{key}-length", "Length of documents", counted.length, "length (UTF-8 bytes)", True,
        "A page of which deduplication left nothing counts with its length as crawled."
        if report.run.kind == "crawl-filter" else "",
    )  # fmt: skip
    cutoffs = settings.get("cutoffs", {})
    for language, histogram in counted.perplexity.items():
        limits = [(f"{name} {words.number(at)}", at) for name, at in cutoffs[language].items()]
        found += _histogram(
            f"{key}-perplexity-{len(found)}", f"Perplexity, language {language}", histogram,
            "perplexity (low: like an encyclopaedia)", True,
            "Buckets: head is below the first line, middle between the two, tail beyond.", limits,
        )  # fmt: skip
    least = [_least(settings["min_score"])] if "min_score" in settings else []
    found += _histogram(
        f"{key}-score", "Certainty of the language", counted.score,
        "score of language identification (0 to 1)", False, "", least,
    )  # fmt: skip
    least = [_least(settings["decide"]["min_reference"])] if "decide" in settings else []
    found += _histogram(
        f"{key}-reference", "Quality by the reference classifier", counted.reference,
        "probability of a page that Wikipedia cites", False, "", least,
    )  # fmt: skip
    found += _histogram(
        f"{key}-removed", "Lines lost to deduplication", counted.removed,
        "share of a page's lines (0 to 1)", False, "Empty lines count as repeated ones, as in CCNet.",
    )  # fmt: skip
    return found + _measures(key, report)


def times(key: str, name: str, rows: Sequence[StageTime]) -> list[Figure]:
    """Seconds of each stage."""
    if not rows:
        return []
    head = [
        "stage", "parts", "worker time", "processor time", "MB/s", "rows/s", "median part", "longest part",
        "peak memory", "hosts",
    ]  # fmt: skip
    numbers = [
        [
            r.stage,
            words.count(r.parts),
            words.seconds(r.wall_seconds),
            words.seconds(r.cpu_seconds),
            f"{r.megabytes_per_second:.2f} {r.unit}" if r.megabytes_per_second is not None else words.NONE,
            words.count(r.rows_per_second),
            words.seconds(r.median_part),
            words.seconds(r.longest_part),
            words.scaled(r.peak_rss_bytes, "B"),
            ", ".join(r.hosts[:5]) + (f" and {len(r.hosts) - 5} more" if len(r.hosts) > 5 else ""),
        ]
        for r in rows
    ]
    longest = max(rows, key=lambda r: r.wall_seconds)
    return [
        Figure(
            f"{key}-time",
            f"Time of {name}, by stage",
            f"Seconds that workers spent, summed over a stage's parts; the longest is {longest.stage}.",
            plots.bars(
                [(r.stage, {"time": r.wall_seconds}) for r in rows],
                {"time": "kept"},
                "worker seconds",
                "stage",
                plots.COUNTS if longest.wall_seconds >= 1000 else plots.PLAIN,
            ),
            head,
            numbers,
        )
    ]


def _colour(step: str) -> str:
    return step if step in ("bad", "merged") else "rejected"


def _least(value: float) -> tuple[str, float]:
    return f"least {words.number(value)}", value


def _measures(key: str, report: RunReport) -> list[Figure]:
    """What the rules' thresholds look at, each with its limits."""
    found: list[Figure] = []
    checks = report.rules.checks if report.rules else []
    for column, histogram in report.documents.measured.items() if report.documents else ():
        limits = [
            (f"{'most' if check['sign'] > 0 else 'least'} {words.number(check['limit'])}", check["limit"])
            for check in checks
            if check["column"] == column
        ]
        name, is_share = in_words(column), histogram.edges[-1] == 1
        unit = f"{name} (0 to 1)" if is_share else f"{name} (number)"
        title = name[0].upper() + name[1:]
        found += _histogram(f"{key}-{column}", title, histogram, unit, not is_share, "", limits)
    return found


def _languages(key: str, counted: Documents) -> list[Figure]:
    both = Frequent(counted.kept_languages.capacity)
    both.add(counted.kept_languages.counts.items())
    both.add(counted.rejected_languages.counts.items())
    if set(both.counts) <= {""}:
        return []
    names = [name for name, _ in both.most(_LANGUAGES)]
    kept, rejected = counted.kept_languages.counts, counted.rejected_languages.counts
    rows = [(words.language(n), {"kept": kept.get(n, 0), "rejected": rejected.get(n, 0)}) for n in names]
    numbers = [
        [words.language(n), words.count(kept.get(n, 0)), words.count(rejected.get(n, 0)),
         words.scaled(counted.language_bytes.counts.get(n, 0), "B")]
        for n in names
    ]  # fmt: skip
    more = len(both.counts) - len(names)
    says = "By the documents' language" + (f"; {more} rarer languages are left out." if more > 0 else ".")
    svg = plots.bars(rows, {"kept": "kept", "rejected": "rejected"}, "documents", "language")
    return [
        Figure(
            f"{key}-languages", "Languages", says, svg, ["language", "kept", "rejected", "kept text"], numbers
        )
    ]


def _histogram(
    id_: str,
    title: str,
    histogram: Histogram,
    unit: str,
    logarithmic: bool,
    also: str = "",
    limits: Sequence[tuple[str, float]] = (),
) -> list[Figure]:
    if not histogram.total:
        return []
    shown = histogram.trimmed(plots.BINS)
    numbers = [
        [f"{words.number(low)} to {words.number(high)}", words.count(kept), words.count(rejected)]
        for (low, high), kept, rejected in zip(pairwise(shown.edges), *shown.counts, strict=True)
    ]
    largest = int(shown.counts.sum(axis=0).argmax())
    says = (
        f"{words.count(histogram.total)} documents; the most common values are {numbers[largest][0]}."
        + (f" Not measured: {words.count(histogram.missing)}." if histogram.missing else "")
        + (f" {also}" if also else "")
    )
    svg = plots.distribution(histogram, unit, logarithmic, limits)
    return [Figure(id_, title, says, svg, [unit, "kept", "rejected"], numbers)]
