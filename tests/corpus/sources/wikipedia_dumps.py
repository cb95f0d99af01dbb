"""Small dumps made for tests, and the reading of them."""

from __future__ import annotations

import bz2
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from corpus.build.source import FileRange, ReadContext
from corpus.inputs import InputFile
from corpus.recipe import Limits
from corpus.settings.wikipedia import Wikipedia
from corpus.sources.wikipedia import SOURCE
from corpus.tally import Tally

HEAD = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-{version}/" version="{version}"
    xml:lang="{language}">
  <siteinfo>
    <sitename>Wikipedia</sitename>
    <dbname>{database}</dbname>
    <base>https://{language}.wikipedia.org/wiki/Main_Page</base>
    <namespaces>
      <namespace key="-2" case="first-letter">Media</namespace>
      <namespace key="0" case="first-letter" />
      <namespace key="1" case="first-letter">Talk</namespace>
      <namespace key="6" case="first-letter">{file}</namespace>
      <namespace key="14" case="first-letter">{category}</namespace>
    </namespaces>
  </siteinfo>
"""
END = "</mediawiki>\n"


def head(language: str = "en", version: str = "0.10", **names: str) -> str:
    defaults = {"database": f"{language}wiki", "file": "File", "category": "Category"}
    return HEAD.format(language=language, version=version, **(defaults | names))


def page(
    number: int,
    text: str,
    title: str | None = None,
    namespace: int | None = 0,
    redirect: str = "",
    timestamp: str = "2022-06-01T00:00:00Z",
) -> str:
    ns = "" if namespace is None else f"<ns>{namespace}</ns>\n    "
    target = f'<redirect title="{escape(redirect)}" />\n    ' if redirect else ""
    return f"""  <page>
    <title>{escape(title or f"Page {number}")}</title>
    {ns}<id>{number}</id>
    {target}<revision>
      <id>{number * 10}</id>
      <timestamp>{timestamp}</timestamp>
      <model>wikitext</model>
      <text bytes="{len(text.encode())}" xml:space="preserve">{escape(text)}</text>
    </revision>
  </page>
"""


def multistream(parts: Sequence[str]) -> bytes:
    """Each part a bzip2 stream of its own."""
    return b"".join(bz2.compress(part.encode()) for part in parts)


def input_file(path: Path) -> InputFile:
    return InputFile(path.name, str(path), path.stat().st_size, "", "", False)


def read_file(
    path: Path,
    ranges: Sequence[tuple[int, int]] | None = None,
    limits: Limits | None = None,
    settings: Wikipedia | None = None,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, int]]:
    """Documents, bad records and counters of a dump, read by ranges."""
    bad: list[dict[str, Any]] = []
    tally = Tally(lambda records: bad.extend(records.to_pylist()))
    context = ReadContext(settings or Wikipedia(), limits or Limits(), {}, 1 << 20)
    rows: list[dict[str, Any]] = []
    file = input_file(path)
    for start, end in ranges or [(0, file.size)]:
        for batch in SOURCE.read(FileRange(file, start, end), context, tally):
            rows += batch.to_pylist()
    tally.flush()
    assert tally.counters["in"] == tally.counters["out"] + tally.counters["bad"]
    assert tally.counters["out"] == len(rows)
    return rows, bad, {k: v for k, v in tally.counters.items() if v}
