"""LaTeX's own names that the source acts on, from ``commands.toml``."""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import Any

_TABLES: dict[str, Any] = tomllib.loads((resources.files(__package__) / "commands.toml").read_text("utf-8"))


def names(table: str) -> frozenset[str]:
    """The names, without their backslash, in one of the lists."""
    return frozenset(_TABLES[table])


def codecs() -> dict[str, str]:
    """Python's codec of each option of inputenc."""
    return dict(_TABLES["inputenc"])


def characters(table: str) -> str:
    """The characters in one of the strings."""
    return str(_TABLES[table])
