"""What tests of StackExchange share: the real dumps, and another reader of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

SHARED = Path(os.environ.get("LLAMA_CORPUS_SHARED") or Path(__file__).parents[4] / "shared")
DATA = SHARED / "data" / "stackexchange"
FILES = sorted(DATA.glob("*/Posts.xml"))
needs_shared = pytest.mark.skipif(not FILES, reason="the shared data is not here")


def plain_rows(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a file, all attributes, as the standard library's parser reads them."""
    for _, element in ElementTree.iterparse(path):
        if element.tag == "row":
            yield dict(element.attrib)
        element.clear()
