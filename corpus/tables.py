"""Tables of data beside the code that uses them: TOML files inside the packages."""

from __future__ import annotations

import functools
import tomllib
from importlib import resources
from typing import Any


@functools.cache
def read_table(package: str, name: str) -> dict[str, Any]:
    """The TOML file `name` beside the modules of a package; read once a process, not to be changed."""
    return tomllib.loads((resources.files(package) / name).read_text("utf-8"))
