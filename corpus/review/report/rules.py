"""What a run's rules are, and what a document's values were when it was held to them.

In: the settings of a run's stage `decide`, and a document's annotated row. Out: the rules in their order, and
`Comparison`s: of a rejected document those up to the one that it failed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from corpus.decide import DUPLICATES
from corpus.overlap.hosts import REASON as OTHER_SOURCE
from corpus.review.runs import OpenedRun
from corpus.review.thresholds import passes
from corpus.tables import read_table

_FIRST = ("removed", OTHER_SOURCE)
_VERDICTS = {True: "passed", False: "failed", None: "not measured"}


class Comparison(NamedTuple):
    """What was compared. `verdict`: ``passed``, ``failed``, or ``not measured``."""

    measure: str
    value: str
    limit: str
    verdict: str


@dataclass(frozen=True)
class Rules:
    """The rules of a run.

    Attributes:
        source: of its documents.
        settings: of stage `decide`, as its manifest has them.
        block: the source's block of the recipe.
    """

    source: str
    settings: Mapping[str, Any]
    block: Mapping[str, Any]

    @property
    def checks(self) -> list[dict[str, Any]]:
        """The thresholds on columns, in the order in which documents are held to them."""
        found: list[dict[str, Any]] = self.settings.get("rules", self.settings.get("checks", []))
        return found

    def says(self, reason: str) -> str:
        """A rule in words, with what it asks for; by its own name where nothing is known of it."""
        words = str(self._known(reason).get("says") or reason.replace("_", " "))
        asked = self._asked(reason)
        return f"{words} (asked for: {asked})" if asked else words

    def _asked(self, reason: str) -> str:
        checks = [check for check in self.checks if check["reason"] == reason]
        if checks:
            return ", ".join(f"{in_words(check['column'])} {_limit(check)}" for check in checks)
        if self.source == "commoncrawl" and self.settings:
            decide = self.settings["decide"]
            asked = {
                "language_score": f"at least {_shown(self.settings['min_score'])}",
                "language": _setting(None, self.settings["languages"]),
                "perplexity": _setting(None, decide["buckets"]),
                "reference": f"at least {_shown(decide['min_reference'])}",
            }
            if reason in asked:
                return asked[reason]
        setting = self._known(reason).get("setting")
        return _setting(setting, self.block.get(setting)) if setting else ""

    def order(self, reasons: list[str]) -> list[str]:
        """Rules in the order in which they are asked; those of a reader or of comparing documents by name."""
        checks = [check["reason"] for check in self.checks]
        if self.source == "commoncrawl":
            known = [*_FIRST, "short", "all_duplicate", "language_score", "language", *DUPLICATES.values()]
            known += [*checks, "perplexity", "reference"]
        else:
            own = sorted(r for r in reasons if r not in (*_FIRST, *checks, *_COMPARED))
            known = [*own, *_FIRST, *checks, *_COMPARED]
        place = {reason: i for i, reason in reversed(list(enumerate(known)))}
        return sorted(reasons, key=lambda reason: (place.get(reason, len(known)), reason))

    def comparisons(self, row: Mapping[str, Any], reason: str | None) -> list[Comparison]:
        """What a document was held to: all of it where it was kept, else up to what it failed."""
        found: list[Comparison] = []
        steps = self._crawl_steps(row) if self.source == "commoncrawl" else self._check_steps(row)
        checked = {check["reason"] for check in self.checks}
        for name, step in steps if self._reached(reason) else ():
            # A reason may stand for a least and a most: the document failed one of them.
            if name == reason and (name not in checked or step.verdict == "failed"):
                return [*found, step._replace(verdict="failed")]
            found.append(step)
        if reason is None:
            return found
        known = self._known(reason)
        if "column" not in known and "setting" not in known:
            return found
        value = row.get(known.get("column", "bytes"))
        unit = "" if "column" in known else " bytes"
        limit = self.block.get(known["setting"]) if "setting" in known else None
        measure = in_words(known.get("column", "length"))
        return [
            *found,
            Comparison(measure, _shown(value) + unit, _setting(known.get("setting"), limit), "failed"),
        ]

    def _known(self, reason: str) -> dict[str, Any]:
        table = read_table("corpus.review.report", "rules.toml")
        found: dict[str, Any] = table.get(self.source, {}).get(reason) or table["any"].get(reason) or {}
        return found

    def _reached(self, reason: str | None) -> bool:
        """Whether a document with this reason was held to any threshold at all."""
        if self.source == "commoncrawl":
            return reason not in (*_FIRST, "short", "all_duplicate")
        return reason is None or reason in _COMPARED or any(c["reason"] == reason for c in self.checks)

    def _check_steps(self, row: Mapping[str, Any]) -> Iterator[tuple[str, Comparison]]:
        for check in self.checks:
            value = row.get(check["column"])
            measure, verdict = in_words(check["column"]), _VERDICTS[passes(check, value)]
            yield check["reason"], Comparison(measure, _shown(value), _limit(check), verdict)

    def _crawl_steps(self, row: Mapping[str, Any]) -> Iterator[tuple[str, Comparison]]:
        settings, decide = self.settings, self.settings["decide"]
        score, language = row.get("lid_v1_score"), row.get("language")
        yield (
            "language_score",
            Comparison(
                "language score", _shown(score), f"at least {_shown(settings['min_score'])}", "passed"
            ),
        )
        yield (
            "language",
            Comparison("language", _shown(language), "one of " + ", ".join(settings["languages"]), "passed"),
        )
        for kind, reason in DUPLICATES.items():
            if (self.block.get("duplicates") or {}).get(kind):
                yield reason, Comparison(in_words(reason), "", "no copy of another page", "passed")
        yield from self._check_steps(row)
        yield "perplexity", self._perplexity(row, language, decide["buckets"])
        if settings.get("classified") and language in settings["classified"]:
            yield (
                "reference",
                Comparison(
                    "reference classifier",
                    _shown(row.get("reference_v1")),
                    f"at least {_shown(decide['min_reference'])}",
                    "passed",
                ),
            )

    def _perplexity(self, row: Mapping[str, Any], language: Any, buckets: list[str]) -> Comparison:
        value = row.get("perplexity_v1")
        cutoffs = self.settings.get("cutoffs", {}).get(language)
        if not cutoffs:
            return Comparison("perplexity", _shown(value), "bucket all: no language model", "passed")
        ranges = {
            "head": f"below {_shown(cutoffs['head'])}",
            "middle": f"{_shown(cutoffs['head'])} to {_shown(cutoffs['middle'])}",
            "tail": f"{_shown(cutoffs['middle'])} and more",
        }
        kept = [f"{name} ({ranges[name]})" for name in ranges if name in buckets]
        return Comparison("perplexity", _shown(value), "bucket " + " or ".join(kept), "passed")


# Reasons that come of comparing documents with each other, after all thresholds.
_COMPARED = (
    "repeated_row", "exact_duplicate", "repeated_path", "older_revision", "same_book", "overlap", "omnibus",
    "older_version",
)  # fmt: skip


def rules_of(run: OpenedRun) -> Rules:
    """The rules of a run of a kind that decides; without thresholds where it was stopped before it did."""
    block = (run.json("recipe.json") or {}).get(run.source) or {}
    settings = run.settings("decide") if "decide" in run.stages else {}
    return Rules(run.source, settings, block)


def in_words(column: str) -> str:
    """A column's name in words: `github_v1_line_length` is "line length"."""
    return column.split("_v1_")[-1].removesuffix("_v1").replace("_", " ")


def _limit(check: Mapping[str, Any]) -> str:
    words = {(1, False): "at most", (-1, False): "at least", (1, True): "below", (-1, True): "above"}
    return f"{words[check['sign'], check['strict']]} {_shown(check['limit'])}"


def _setting(name: str | None, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return "one of " + ", ".join(map(str, value)) if value else "any"
    ends = {"max": "at most", "min": "at least"}
    return f"{ends.get((name or '').split('_')[0], '')} {_shown(value)}".strip()


def _shown(value: Any) -> str:
    """A value in at most six digits, thousands apart."""
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() or abs(value) >= 1e4 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
