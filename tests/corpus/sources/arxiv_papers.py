"""Papers for the tests of the ArXiv source: TeX in, what was read out."""

from __future__ import annotations

from typing import Any

from corpus.settings.arxiv import ArXiv
from corpus.sources.arxiv.paper import Paper, read_paper


def paper(body: str, preamble: str = "", files: dict[str, str] | None = None, **settings: Any) -> Paper:
    """A paper with this preamble and, after a heading, this body."""
    start = f"\\documentclass{{article}}\n{preamble}\n\\begin{{document}}\n\\section{{S}}\n"
    main = f"{start}{body}\n\\end{{document}}\n"
    texts = {"main.tex": main, **(files or {})}
    found = read_paper({name: text.encode() for name, text in texts.items()}, ArXiv(**settings))
    assert found is not None
    return found


def text(body: str, preamble: str = "", files: dict[str, str] | None = None, **settings: Any) -> str:
    """What is left of the body."""
    found = paper(body, preamble, files, **settings)
    head = "\\section{S}\n"
    assert (found.text + "\n").startswith(head)
    return found.text[len(head) :]


def left(body: str, preamble: str = "", **settings: Any) -> dict[str, int]:
    """Calls that stay by name, by reason."""
    return dict(paper(body, preamble, **settings).result.counts.left)
