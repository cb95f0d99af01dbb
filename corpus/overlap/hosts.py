"""Pages on the hosts of other sources: their documents come to the corpus from those sources' own dumps.

In: a page's address, and names of sources. Out: whether to drop it, for reason ``other_source``. The hosts
are in ``hosts.toml``.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable
from urllib.parse import urlsplit

from corpus.tables import read_table

REASON = "other_source"


class Hosts:
    """The hosts of some sources."""

    def __init__(self, entries: Iterable[str]) -> None:
        """Take entries as in ``hosts.toml``: a domain, or domain/path, each with all below it."""
        self._paths: dict[str, list[str]] = defaultdict(list)
        for entry in entries:
            domain, _, path = entry.partition("/")
            self._paths[domain].append(path)

    def has(self, url: str | None) -> bool:
        """Whether the page at an address is of one of the sources; what is no address is of none."""
        if not url or not self._paths:
            return False
        try:
            parts = urlsplit(url)
            host = (parts.hostname or "").rstrip(".")
        except ValueError:
            return False
        labels = host.split(".")
        for i in range(len(labels) - 1):
            for path in self._paths.get(".".join(labels[i:]), ()):
                if not path or (parts.path + "/").startswith(f"/{path}/"):
                    return True
        return False


@functools.cache
def hosts_of(sources: tuple[str, ...]) -> Hosts:
    """The hosts of the named sources."""
    return Hosts(entry for source in sources for entry in entries_of(source))


@functools.cache
def _table() -> dict[str, list[str]]:
    table = read_table("corpus.overlap", "hosts.toml")
    return {source: sorted(entries) for source, entries in table.items()}


def entries_of(source: str) -> list[str]:
    """The entries of one source: what shapes decisions, beside the recipe."""
    return _table()[source]
