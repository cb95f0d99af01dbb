r"""Macros: what takes their place, hand-expanded, and what stays by name for a limit."""

from __future__ import annotations

import itertools
import time
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.settings.arxiv import ArXiv
from corpus.sources.arxiv.paper import read_paper
from tests.corpus.sources.arxiv_papers import left, paper, text

CASES = tomllib.loads((Path(__file__).parent / "arxiv_cases.toml").read_text("utf-8")).values()


@pytest.mark.parametrize("case", [c for kind in CASES for c in kind], ids=lambda c: c["why"])
def test_expanded_by_hand(case: dict[str, str]) -> None:
    preamble = case.get("preamble", "")
    assert text(case["body"], preamble) == case["expected"]
    assert left(case["body"], preamble) == {}


def test_what_tex_cannot_do_either_stays() -> None:
    assert text(r"a\newcommand{x}{1} b") == r"a\newcommand{x}{1} b"
    assert text("\\x{a", r"\newcommand{\x}[1]{<#1>}") == r"\x{a"
    assert left("\\x{a", r"\newcommand{\x}[1]{<#1>}") == {"arguments": 1}
    assert text(r"\def\x#2{b}\x") == r"\def\x#2{b}\x"


def test_a_macro_in_itself_is_named_and_counted() -> None:
    found = paper(r"\a and \b", r"\def\a{x\a}\def\b{<\c>}\def\c{[\b]}")
    assert found.text.endswith(r"x\a and <[\b]>")
    assert found.result.counts.left == {"recursive": 2}
    assert found.result.counts.left_names == {"a": "recursive", "b": "recursive"}


def chain(length: int, body: str = r"\NEXT\NEXT", arguments: int = 0) -> str:
    r"""Macros of which each calls the next one by its body; ``\first`` calls them all."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    names = [f"m{letters[i // 26]}{letters[i % 26]}" for i in range(length + 1)]
    count = f"[{arguments}]" if arguments else ""
    steps = [
        f"\\newcommand{{\\{name}}}{count}{{{body.replace('NEXT', following)}}}"
        for name, following in itertools.pairwise(names)
    ]
    return "".join(steps) + f"\\def\\{names[-1]}{{x}}\\let\\first\\{names[0]}"


def test_depth() -> None:
    assert text(r"\first", chain(3)) == "x" * 8
    assert left(r"\first", chain(9)) == {}
    assert left(r"\first", chain(10)) == {"depth": 1024}
    assert text(r"\first", chain(10), max_depth=0) == r"\first"
    assert text(r"\first", chain(10), max_depth=11) == "x" * 1024


BOMBS = {
    "doubling": chain(60),
    "nothing comes out": chain(6, r"\NEXT" * 10) + r"\def\mag{}",
    "arguments": chain(6, r"\NEXT{#1#1#1#1#1#1#1#1}", 1)
    + r"\renewcommand{\mag}[1]{#1}\let\f\first\def\first{\f{x}}",
}


@pytest.mark.parametrize("preamble", BOMBS.values(), ids=BOMBS)
def test_a_bomb_stops_and_the_paper_stays(preamble: str) -> None:
    start = time.process_time()
    found = paper(
        "before \\ok\n\n\\first\n\nafter \\ok\n\n\\section{T}\nend", preamble + r"\def\ok{OK}", max_depth=1000
    )
    assert time.process_time() - start < 5
    assert found.text == "\\section{S}\nbefore OK\n\n\\first\n\nafter \\ok\n\n\\section{T}\nend"
    assert found.result.counts.left == {"output": 2}
    assert found.result.counts.left_names == {"first": "output", "ok": "output"}


@pytest.mark.parametrize("preamble", BOMBS.values(), ids=BOMBS)
def test_after_a_bomb_the_paper_is_still_read(preamble: str) -> None:
    main = (
        "\\documentclass{article}" + preamble + "\\begin{document}\\first\n"
        "\\section[short]{T}\n\\begin{verbatim}\n\\section{no}\n\\end{verbatim}\n\\input{part}\n"
        "\\bibliographystyle{plain}\n\\bibliography{x}\n\\printbibliography\n\\printbibliography[a=b]\n"
        "\\begin{thebibliography}{1}\\bibitem{a}\\end{thebibliography}\n\\url{a%b}\n\\end{document}"
    )
    found = read_paper({"m.tex": main.encode(), "part.tex": b"P"}, ArXiv(max_depth=1000))
    assert found is not None
    left = "\\section[short]{T}\n\\begin{verbatim}\n\\section{no}\n\\end{verbatim}\nP\n"
    assert found.text.replace("\\printbibliography[a=b]\n", "") == left + "\\url{a%b}"


def test_text_in_text_in_text_takes_no_square_of_time() -> None:
    body = "\\b{" * 100_000 + "x" + "}" * 100_000
    start = time.process_time()
    found = paper(body, r"\newcommand{\b}[1]{<#1>}")
    assert time.process_time() - start < 20
    assert found.result.counts.left["output"] > 0
    unclosed = paper("\\b{" * 100_000, r"\newcommand{\b}[1]{<#1>}")
    assert time.process_time() - start < 30
    assert unclosed.text.count("\\b{") == 100_000


def test_definitions_within_definitions_within_definitions() -> None:
    nested = "\\edef\\a{" * 3_000 + "x" + "}" * 3_000
    assert text(f"b {nested}c") == "b c"
    calls = "".join(f"\\def\\n@{'a' * i}{{\\n@{'a' * (i + 1)}}}" for i in range(1, 1_500))
    assert text("\\first", f"\\makeatletter{calls}\\def\\first{{\\n@a}}\\makeatother") == "\\n@" + "a" * 10


WORDS = st.lists(
    st.sampled_from(["alpha", "b c", "\n\n", "$x$", r"\emph{d}", "{e}", "1", r"\\", r"\%", "."]), max_size=30
)


@given(WORDS)
def test_a_paper_without_macros_stays_as_it_is(words: list[str]) -> None:
    body = " ".join(words)
    plain = text("\\def\\unused{x}\n" + body)
    lines = [line.rstrip(" ") for line in body.split("\n")]
    expected = "\n".join(lines).strip("\n ")
    assert " ".join(plain.split()) == " ".join(expected.split())


@given(WORDS, st.integers(0, 30))
def test_a_macro_for_a_part_of_the_text_gives_the_text(words: list[str], place: int) -> None:
    """Text of which one word is written as a macro, in braces, is the text with the word in braces."""
    place = min(place, len(words))
    before, after = " ".join(words[:place]), " ".join(words[place:])
    expected = text(f"{before} {{WORD}} {after}")
    assert text(f"{before} {{\\word}} {after}", r"\newcommand{\word}{WORD}") == expected
    assert text(f"{before} \\wrap{{WORD}} {after}", r"\newcommand{\wrap}[1]{{#1}}") == expected
