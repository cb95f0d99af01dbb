"""LaTeX's own names that the source acts on, from ``commands.toml``."""

from __future__ import annotations

from corpus.tables import read_table

_TABLES = read_table("corpus.sources.arxiv", "commands.toml")


def names(table: str) -> frozenset[str]:
    """The names, without their backslash, in one of the lists."""
    return frozenset(_TABLES[table])


def codecs() -> dict[str, str]:
    """Python's codec of each option of inputenc."""
    return dict(_TABLES["inputenc"])


def characters(table: str) -> str:
    """The characters in one of the strings."""
    return str(_TABLES[table])
