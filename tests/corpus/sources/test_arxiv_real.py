r"""Real papers in arXiv's layout: each accounted for, every word kept, no macro of the authors left.

What is expected is found by regular expressions over the sources, which know nothing of the expander.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from corpus.build.source import FileRange, ReadContext
from corpus.inputs import resolve
from corpus.recipe import Limits
from corpus.settings.arxiv import ArXiv
from corpus.sources.arxiv import SOURCE
from corpus.tally import Tally
from tests.shared import DATA, needs

BULK = DATA / "arxiv"
pytestmark = needs(BULK)

Files = dict[str, str]

# Main files; by looking.
PAPERS = {
    "1308.90013": "hott-a4-exercises.tex",
    "1403.90002": "ms.tex",
    "1406.90005": "paper.tex",
    "1606.90006": "ms.tex",
    "1611.90003": "ms.tex",
    "1701.90012": "paper.tex",
    "1703.90001": "ms.tex",
    "1805.90004": "ms.tex",
    "1810.90010": "paper.tex",
    "1908.90007": "ms.tex",
    "2006.90008": "ms.tex",
    "2101.90011": "arxiv/main.tex",
    "2109.90009": "ms.tex",
    "2608.90014": "arxiv/main.tex",
}
# LaTeX's own names that a paper redefines for its headings, or after the text that has them.
LATEX = {"section", "subsection", "markboth"}
# Defined in a file that the paper does not read.
UNREAD = {"1908.90007": {"racomment"}}
DEFINED = re.compile(
    r"\\(?:(?:re)?newcommand|providecommand|DeclareRobustCommand|DeclareMathOperator)\*?\s*\{?\s*\\([A-Za-z]+)"
    r"|\\[gex]?def\s*\\([A-Za-z]+)|\\let\s*\\([A-Za-z]+)"
)
WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}")
FILE_NAMES = re.compile(r"\\(?:input|include|bibliography|bibliographystyle)\s*\{[^}]*\}")


@pytest.fixture(scope="module")
def found() -> tuple[dict[str, dict[str, object]], dict[str, int]]:
    tally = Tally(lambda rows: None)
    rows = {}
    for file in resolve([str(BULK)]):
        for batch in SOURCE.read(
            FileRange(file, 0, file.size), ReadContext(ArXiv(), Limits(), {}, 1 << 20), tally
        ):
            rows |= {row["key"]: row for row in batch.to_pylist()}
    return rows, dict(tally.counters)


@pytest.fixture(scope="module")
def sources() -> dict[str, Files]:
    """TeX files of each paper, without comments."""
    papers: dict[str, Files] = {}
    for path in sorted(BULK.glob("*.tar")):
        with tarfile.open(path) as outer:
            for member in outer:
                if member.name.endswith(".gz"):
                    data = gzip.decompress(outer.extractfile(member).read())  # type: ignore[union-attr]
                    papers[Path(member.name).stem] = {n: without_comments(t) for n, t in files(data).items()}
    return papers


def files(data: bytes) -> Files:
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as inner:
            names = [m for m in inner if m.name.endswith((".tex", ".sty"))]
            return {m.name: inner.extractfile(m).read().decode("utf-8", "replace") for m in names}  # type: ignore[union-attr]
    except tarfile.ReadError:
        return {"paper.tex": data.decode("utf-8", "replace")}


def without_comments(text: str) -> str:
    return "\n".join(re.sub(r"(?<!\\)((?:\\\\)*)%.*", r"\1", line) for line in text.split("\n"))


def test_every_submission_is_accounted_for(found) -> None:  # type: ignore[no-untyped-def]
    rows, counters = found
    assert counters == {"framed": 16, "in": 15, "out": 15, "skipped": 1, "skipped/pdf": 1}
    mains = {key: json.loads(row["metadata"])["main"] for key, row in rows.items()}
    edge = "edge-latex-cleaner-main"
    assert mains == PAPERS | {edge: "paper.tex"}
    assert {key: row["arxiv_v1_reason"] for key, row in rows.items() if row["arxiv_v1_reason"]} == {
        edge: "no_section"
    }
    assert [row["arxiv_v1_left"] for row in rows.values()] == [0] * 15


@pytest.mark.parametrize("paper", PAPERS)
def test_no_macro_of_the_authors_is_left(paper: str, found, sources) -> None:  # type: ignore[no-untyped-def]
    rows, _ = found
    defined = {
        name for text in sources[paper].values() for match in DEFINED.findall(text) for name in match if name
    }
    used = set(re.findall(r"\\([A-Za-z]+)", rows[paper]["text"]))
    assert len(defined) >= 3
    assert defined & used - LATEX == UNREAD.get(paper, set())


@pytest.mark.parametrize(
    "paper", [p for p, main in PAPERS.items() if p not in ("1308.90013", "1701.90012", "1908.90007")]
)
def test_every_word_of_the_text_stays(paper: str, found, sources) -> None:  # type: ignore[no-untyped-def]
    """Of papers in one file, between the first heading and the end, but for bibliography and comments."""
    rows, _ = found
    body = sources[paper][PAPERS[paper]].split("\\begin{document}", 1)[1].split("\\end{document}")[0]
    body = body[body.index("\\section") :]
    for gone in ("thebibliography", "comment"):
        body = re.sub(rf"\\begin\{{{gone}\}}.*?\\end\{{{gone}\}}", "", body, flags=re.DOTALL)
    before, after = (Counter(WORD.findall(text)) for text in (FILE_NAMES.sub("", body), rows[paper]["text"]))
    assert before.total() > 900
    assert dict(before - after) == {}


def test_no_comment_bibliography_or_definition_is_left(found) -> None:  # type: ignore[no-untyped-def]
    rows, _ = found
    raw = re.compile(r"\\url\{[^}]*\}|\\begin\{lstlisting\}.*?\\end\{lstlisting\}", re.DOTALL)
    gone = re.compile(r"(?<!\\)%|\\bibitem|\\bibliography\b|\\(?:new|renew|provide)command|\\def\b")
    for key, row in rows.items():
        assert "\n\n\n" not in row["text"], key
        assert not gone.search(raw.sub("", row["text"])), key
