"""What tests of StackExchange share: the real dumps, and another reader of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from tests.shared import DATA, needs

REAL_DUMPS = DATA / "stackexchange"
FILES = sorted(REAL_DUMPS.glob("*/Posts.xml"))
needs_shared = needs(REAL_DUMPS)


def plain_rows(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a file, all attributes, as the standard library's parser reads them."""
    for _, element in ElementTree.iterparse(path):
        if element.tag == "row":
            yield dict(element.attrib)
        element.clear()
