"""ArXiv: bulk tars of LaTeX submissions -> papers as text, with the authors' macros expanded."""

from __future__ import annotations

from corpus.build.line import usual_stages
from corpus.build.source import BuildSource, Unique
from corpus.rules import Check
from corpus.settings.arxiv import THRESHOLDS, ArXiv
from corpus.sources.arxiv.read import FIELDS, NAME, read


def checks(settings: ArXiv) -> list[Check]:
    """Minerva's limits on tokens, where the recipe names a tokenizer."""
    if not settings.tokenizer:
        return []
    per_character = settings.max_tokens_per_character
    return [
        Check("arxiv_v1_tokens", "too_many_tokens", 1, float(settings.max_tokens), strict=False),
        Check("arxiv_v1_tokens_per_character", "tokens_per_character", 1, per_character, strict=False),
    ]


def unique(settings: ArXiv) -> tuple[Unique, ...]:
    """Of the versions of a paper the newest stays; of one version the one read last by its file's name."""
    return (
        Unique(
            kind="version",
            reason="older_version",
            key=("key",),
            order=(("arxiv_v1_version", "descending"), ("file", "descending"), ("offset", "ascending")),
        ),
    )


def used_assets(settings: ArXiv) -> list[str]:
    """The tokenizer, if the recipe names one."""
    return [settings.tokenizer] if settings.tokenizer else []


SOURCE = BuildSource(
    name=NAME,
    version=1,
    libraries=("pyarrow", "isal", "sentencepiece"),
    fields=FIELDS,
    read=read,
    checks=checks,
    stages=usual_stages,
    unique=unique,
    assets=used_assets,
    thresholds=THRESHOLDS,
)
