"""Files of a dump → its site; sites → language and licence; dumps of sites → those that are used.

In: names of files as the Internet Archive lays them out, an archive a site (`SITE.7z`, of the largest site
an archive a table, `SITE-Posts.7z`) or unpacked (`SITE/Posts.xml`, also compressed). A folder's name may end
with a date or month of the dump.
"""

from __future__ import annotations

import posixpath
import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from corpus.inputs import InputFile
from corpus.settings.stackexchange import StackExchange
from corpus.tables import read_table

_POSTS = re.compile(r"posts\.xml(\.(gz|bz2|xz|zst))?", re.IGNORECASE)
_ARCHIVE = re.compile(r"(?P<site>.+?)(-(?P<table>[A-Z][A-Za-z]+))?\.7z")
_DATE = re.compile(r"[-_.](\d{4}[-_]?\d{2}([-_]?\d{2})?)$")
_LICENSE = re.compile(r"CC BY-SA (\d\.\d)")


@dataclass(frozen=True)
class Dump:
    """A dump of a site: its raw file, how many questions and answers it has, and the time of the latest."""

    file: str
    site: str
    posts: int
    last: str


def holds_posts(file: InputFile) -> bool:
    """Whether a file can hold posts, by its name; the tables of users, votes and so on do not."""
    name = posixpath.basename(file.path)
    archive = _ARCHIVE.fullmatch(name)
    return archive["table"] in (None, "Posts") if archive else bool(_POSTS.fullmatch(name))


def site_of(file: InputFile) -> str:
    """The site of a file of posts: the archive's name, or the folder's."""
    folder, name = posixpath.split(file.path)
    archive = _ARCHIVE.fullmatch(name)
    site = archive["site"] if archive else posixpath.basename(folder).removesuffix("-Posts")
    return _DATE.sub("", site).lower()


def is_meta(site: str) -> bool:
    """Whether it is a site about a site (`meta.math.stackexchange.com`, `ru.meta.stackoverflow.com`)."""
    return "meta" in site.split(".")


def language_of(site: str) -> str:
    """ISO 639-1 code of the language of a site's posts."""
    labels = [label for label in site.split(".") if label != "meta"]
    if labels and labels[0] in _table()["labels"]:
        return labels[0]
    return str(_table()["languages"].get(".".join(labels), "en"))


def license_of(stated: str | None, created: str | None) -> str | None:
    """SPDX identifier of a post's licence: as the post states it, else by its day."""
    known = _LICENSE.fullmatch(stated or "")
    if known:
        return f"CC-BY-SA-{known[1]}"
    if stated or not created:
        return None
    licenses = _table()["licenses"]
    return str(licenses[bisect_right([entry["since"] for entry in licenses], created) - 1]["name"])


def select(dumps: Iterable[Dump], settings: StackExchange) -> dict[str, str | None]:
    """Which dumps are used: by file, None or the reason against.

    Of several dumps of a site that with the latest post is used, of equals the last by name; the others
    are `older_dump`. Of the sites those of `settings.sites`, or the largest by the posts of the dump
    that is used, of equals the first by name; the others are `site`.
    """
    newest: dict[str, Dump] = {}
    found = list(dumps)
    for dump in found:
        best = newest.get(dump.site)
        if best is None or (dump.last, dump.file) > (best.last, best.file):
            newest[dump.site] = dump
    ranked = [
        dump.site
        for dump in sorted(newest.values(), key=lambda d: (-d.posts, d.site))
        if settings.meta == "rank" or not is_meta(dump.site)
    ]
    chosen = set(settings.sites) or set(ranked[: settings.largest or None])
    return {
        dump.file: "older_dump" if newest[dump.site] != dump else None if dump.site in chosen else "site"
        for dump in found
    }


@cache
def _table() -> dict[str, Any]:
    return read_table("corpus.sources.stackexchange", "sites.toml")
