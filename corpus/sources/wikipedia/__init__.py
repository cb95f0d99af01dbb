"""Wikipedia: articles of a wiki's dump of pages, as running text; and the addresses that they cite.

LLaMA (arXiv 2302.13971, section 2.1): dumps of June to August 2022 in 20 languages, without hyperlinks,
comments and other formatting boilerplate.
"""

from __future__ import annotations

from collections.abc import Sequence

from corpus.build import extract
from corpus.build.job import BuildJob
from corpus.build.line import closing_stages
from corpus.build.source import BuildSource, Unique
from corpus.errors import UserError
from corpus.inputs import InputFile
from corpus.rules import Check
from corpus.settings.wikipedia import THRESHOLDS, Wikipedia
from corpus.sources.wikipedia import cited
from corpus.sources.wikipedia.reader import FIELDS, NAME, read
from corpus.sources.wikipedia.site import wiki_codes
from corpus.sources.wikipedia.streams import cut
from corpus.stages import Stage


def checks(settings: Wikipedia) -> list[Check]:
    """What an article is held to."""
    return [Check("wikipedia_v1_characters", "short", -1, settings.min_characters, False)]


def unique(settings: Wikipedia) -> tuple[Unique, ...]:
    """Of a page that comes in several dumps the newest revision stays."""
    return (
        Unique(
            kind="page",
            reason="older_revision",
            key=("language", "wikipedia_v1_page"),
            order=(("timestamp", "descending"), ("wikipedia_v1_revision", "descending")),
        ),
    )


def check_input(files: Sequence[InputFile], settings: Wikipedia) -> None:
    """Check that the recipe's languages are Wikipedia's.

    Raises:
        UserError: one is not.
    """
    unknown = sorted(set(settings.languages) - wiki_codes())
    if unknown:
        raise UserError(f"wikipedia.languages: there is no Wikipedia in {', '.join(map(repr, unknown))}")


def stages(job: BuildJob) -> tuple[Stage, ...]:
    """The usual line, and the list of cited addresses beside it."""
    first = extract.stage(job.source)
    return (first, *cited.stages(), *closing_stages(job, annotated=first.name))


SOURCE = BuildSource(
    name=NAME,
    version=1,
    libraries=("pyarrow",),
    fields=FIELDS,
    read=read,
    checks=checks,
    stages=stages,
    unique=unique,
    cut=cut,
    thresholds=THRESHOLDS,
    check_input=check_input,
)
