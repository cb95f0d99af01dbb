"""StackExchange: dumps of its sites → one document a question, with its answers.

In: archives and `Posts.xml` as the Internet Archive has them (`corpus.sources.stackexchange.sites` says how
files are named). Every question and every answer is one *in*; tag wikis and other types of posts, and
other tables, are *skipped*; an answer in its question's document is *merged*.
"""

from __future__ import annotations

from collections.abc import Sequence

from corpus.build.source import BuildSource
from corpus.errors import UserError
from corpus.inputs import InputFile
from corpus.raw.ranges import byte_ranges
from corpus.rules import Check
from corpus.settings.stackexchange import THRESHOLDS, StackExchange
from corpus.sources.stackexchange.join import ANSWERS, FIELDS
from corpus.sources.stackexchange.posts import NAME
from corpus.sources.stackexchange.sites import holds_posts, site_of
from corpus.sources.stackexchange.stages import stages
from corpus.sources.stackexchange.stream import is_plain


def checks(settings: StackExchange) -> list[Check]:
    """Whether a question must have an answer."""
    if settings.unanswered == "keep":
        return []
    return [Check(column=ANSWERS, reason="unanswered", sign=-1, limit=1.0, strict=False)]


def cut(file: InputFile, split_bytes: int) -> list[tuple[int, int]]:
    """Plain XML anywhere: a row belongs to the range that it begins in."""
    if not is_plain(file.name) or not holds_posts(file):
        return [(0, file.size)]
    return byte_ranges(file.size, split_bytes)


def check_input(files: Sequence[InputFile], settings: StackExchange) -> None:
    """Check that there are posts, and dumps of the sites that the recipe names.

    Raises:
        UserError: there are not.
    """
    sites = {site_of(file) for file in files if holds_posts(file)}
    if not sites:
        raise UserError(
            "no posts in the input: give SITE.7z, SITE-Posts.7z or SITE/Posts.xml (also .gz, .bz2, .xz, .zst)"
        )
    if missing := sorted(set(settings.sites) - sites):
        raise UserError(f"stackexchange.sites: the input has no dump of {', '.join(missing)}")


SOURCE = BuildSource(
    name=NAME,
    version=1,
    libraries=("pyarrow",),
    fields=FIELDS,
    read=None,  # posts become documents in `stages`
    checks=checks,
    stages=stages,
    cut=cut,
    thresholds=THRESHOLDS,
    check_input=check_input,
)
