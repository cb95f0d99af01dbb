r"""Macros: what takes their place, hand-expanded, and what stays by name for a limit."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.corpus.sources.arxiv_papers import left, paper, text

# (why, preamble, body, what is left of the body)
EXPANDED = [
    ("braces", r"\newcommand{\x}{data}", r"the \x{} are", "the data are"),
    ("no braces", r"\newcommand\x{data}", r"the {\x} are", "the {data} are"),
    ("a space after the body", r"\newcommand{\x}{data} ", r"\x.", "data."),
    ("a comment after the body", "\\newcommand{\\x}{data}% note\n", r"\x.", "data."),
    ("over lines", "\\newcommand{\\x}%\n  {da%\n   ta}", r"\x.", "data."),
    ("twice in a row", r"\def\x{a}", r"\x\x", "aa"),
    ("at the end of the file", r"\def\x{a}", r"b \x", "b a"),
    ("a word ends at a non-letter", r"\def\x{a}", r"\x1 \x, \x(\xy)", r"a1 a, a(\xy)"),
    ("spaces after a word go", r"\def\x{a}", r"\x b", "ab"),
    ("a line end too", r"\def\x{a}", "\\x\nb", "ab"),
    ("but no end of a paragraph", r"\def\x{a}", "\\x\n\nb", "a\n\nb"),
    ("a control space stays", r"\def\x{a}", r"\x\ b", r"a\ b"),
    ("a command at the body's end stays apart", r"\def\x{\alpha}", r"\x b \x{}b", r"\alpha b \alpha{}b"),
    ("a command before a body's letters", r"\def\x{b}", r"\alpha\x", r"\alpha b"),
    ("escaped backslash and letters", r"\def\x{b}", r"a\\\x", r"a\\b"),
    ("after another backslash it is no macro", r"\def\x{b}", r"a\\x", r"a\\x"),
    ("arguments", r"\newcommand{\p}[2]{(#1, #2)}", r"\p{a}{b c}", "(a, b c)"),
    ("arguments of one token", r"\newcommand{\f}[2]{\frac{#1}{#2}}", r"\f12 \f\alpha\beta", r"\frac{1}{2} \frac{\alpha}{\beta}"),
    ("arguments after spaces", "\\newcommand{\\p}[2]{(#1, #2)}", "\\p {a}\n  {b}", "(a, b)"),
    ("arguments in each other", r"\newcommand{\b}[1]{<#1>}", r"\b{x \b{y \b{z}}}", "<x <y <z>>>"),
    ("an argument with escaped braces", r"\newcommand{\b}[1]{<#1>}", r"\b{\{ \\\} }", r"<\{ \\\} >"),
    ("an argument with a comment with a brace", r"\newcommand{\b}[1]{<#1>}", "\\b{x% }\ny}", "<xy>"),
    ("parameter after a command", r"\newcommand{\v}[1]{\vec#1}", r"\v x", r"\vec x"),
    ("parameter before letters", r"\newcommand{\v}[1]{#1x}", r"\v\alpha", r"\alpha x"),
    ("parameter twice", r"\newcommand{\t}[1]{#1-#1}", r"\t{ab}", "ab-ab"),
    ("default", r"\newcommand{\n}[2][L]{#2_{#1}}", r"\n{u} \n[p]{u} \n[{]}]{u}", "u_{L} u_{p} u_{{]}}"),
    ("default alone", r"\newcommand{\n}[1][k]{n_{#1}}", r"\n, \n[m] \n x", "n_{k}, n_{m} n_{k}x"),
    ("nine arguments", r"\newcommand{\n}[9]{#9#8#7#6#5#4#3#2#1}", r"\n123456789", "987654321"),
    ("a macro in a macro", r"\def\a{<\b>}\def\b{x}", r"\a", "<x>"),
    ("its argument passed on", r"\newcommand{\a}[1]{<\b{#1}>}\newcommand{\b}[1]{(#1)}", r"\a{x}", "<(x)>"),
    ("its argument read behind it", r"\def\a{\b}\newcommand{\b}[1]{(#1)}", r"\a{x}", "(x)"),
    ("renewed: from there on", r"\newcommand{\x}{1}", "\\x\n\\renewcommand{\\x}{2}\n\\x", "1\n2"),
    ("provided: unless defined", r"\newcommand{\x}{1}\providecommand{\x}{2}\providecommand{\y}{3}", r"\x\y", "13"),
    ("robust", r"\DeclareRobustCommand{\x}[1]{<#1>}", r"\x{1}", "<1>"),
    ("starred", r"\newcommand*{\x}[1]{<#1>}\renewcommand*\y{2}", r"\x{1}\y", "<1>2"),
    ("def and its kin", r"\def\a#1#2{#2#1}\long\gdef\b{B}\global\edef\c{\b}", r"\a12\b\c", "21BB"),
    ("edef: the meaning of its moment", r"\def\a{1}\edef\b{\a}\def\a{2}", r"\b\a", "12"),
    ("edef: appended to itself", r"\def\a{1}\edef\a{\a2}", r"\a", "12"),
    ("delimited", r"\def\a#1.#2;{#2-#1}", r"\a x.y z;!", "y z-x!"),
    ("delimited by a command", r"\def\a#1\end@a{<#1>}", r"\a x{\end@a}\end@a.", r"<x{\end@a}>."),
    ("delimited: a group loses its braces", r"\def\a#1.{<#1>}", r"\a{x.y}.", "<x.y>"),
    ("text before the parameters", r"\def\a(#1,#2){[#1|#2]}", r"\a(x,y)", "[x|y]"),
    ("a definition in a body", r"\newcommand{\m}[2]{\newcommand{#1}[1]{#2(##1)}}\m{\f}{F}", r"\f{x}", "F(x)"),
    ("a definition by name", r"\newcommand{\m}[1]{\expandafter\newcommand\csname v#1\endcsname{\mathbf{#1}}}\m{x}", r"\vx y", r"\mathbf{x}y"),
    ("operator", r"\DeclareMathOperator{\tr}{Tr}\DeclareMathOperator*{\am}{arg\,min}", r"\tr A\am_x", r"\operatorname{Tr}A\operatorname*{arg\,min}_x"),
    ("let: the meaning of its moment", r"\def\a{1}\let\b\a\def\a{2}\let\c=\b", r"\a\b\c", "211"),
    ("let: LaTeX's own, then redefined", r"\let\old\emph\renewcommand{\emph}[1]{\old{\bf #1}}", r"\emph{x}", r"\emph{\bf x}"),
    ("let: swapped", r"\let\o\phi\let\phi\varphi\let\varphi\o", r"$\phi\varphi$", r"$\varphi\phi$"),
    ("let: nothing", r"\let\x\relax", r"a\x b", "ab"),
    ("delimiters of mathtools", r"\DeclarePairedDelimiter{\n}{\lVert}{\rVert}", r"\n{x} \n*{y} \n[\big]{z}", r"\lVert x\rVert \left\lVert y\right\rVert \big\lVert z \big\rVert"),
    ("xparse", r"\NewDocumentCommand{\n}{s m O{2} o}{\IfBooleanTF{#1}{*}{-}#2_#3\IfValueT{#4}{^#4}}", r"\n{x} \n*{y}[3][4]", "-x_2 *y_3^4"),
    ("environment", "\\newenvironment{q}[1]{\\begin{quote}#1: }{\\end{quote}}", "\\begin{q}{A}\ntext\n\\end{q}", "\\begin{quote}A:\ntext\n\\end{quote}"),
    ("environment with a default", "\\newenvironment{q}[2][d]{[#1|#2]}{!}", "\\begin{q}{A}x\\end{q}\\begin{q}[e]{B}\\end{q}", "[d|A]x![e|B]!"),
    ("begin and end as macros", "\\def\\be{\\begin{equation}}\\def\\ee{\\end{equation}}", "\\be\nx=1\n\\ee\nwhere", "\\begin{equation}\nx=1\n\\end{equation}\nwhere"),
    ("xspace", r"\newcommand{\x}{data\xspace}", "\\x are, \\x, {\\x} \\x\\ and \\x\n$\\x$", "data are, data, {data} data\\ and data\n$data$"),
    ("ifmmode", r"\def\l{\ifmmode\lambda\else$\lambda$\fi}", "\\l, $2\\l$, \\[\\l\\] \\begin{align}\\l\\end{align} \\l.", r"$\lambda$, $2\lambda$, \[\lambda\] \begin{align}\lambda\end{align} $\lambda$."),
    ("ifnextchar", r"\makeatletter\def\a{\@ifnextchar[{\b}{\b[0]}}\def\b[#1]#2{#2_#1}\makeatother", r"\a{x}\a[1]{y}", "x_0y_1"),
    ("ifnextchar: its own end", r"\makeatletter\def\a#1{(#1)\@ifnextchar\bgroup{\a}{.}}\makeatother", r"\a{x}{y}{z}", "(x)(y)(z)."),
    ("ifstar", r"\makeatletter\def\a{\@ifstar{S}{N}}\makeatother", r"\a*\a.", "SN."),
    ("a dot that is not doubled", r"\makeatletter\DeclareRobustCommand\onedot{\futurelet\@let@token\@onedot}\def\@onedot{\ifx\@let@token.\else.\fi}\def\eg{e.g\onedot}\makeatother", r"\eg, \eg. x", "e.g., e.g. x"),
    ("names with @ in the text", r"\def\x{a}", r"\x@b", "a@b"),
    ("symbols as names", r"\def\*{\cdot}\newcommand{\-}[1]{<#1>}", r"a\*b\-{c}", r"a\cdot b<c>"),
    ("nothing in raw text", r"\def\x{a}", "\\verb|\\x| \\url{\\x} \\begin{verbatim}\n\\x\n\\end{verbatim} \\x", "\\verb|\\x| \\url{\\x} \\begin{verbatim}\n\\x\n\\end{verbatim} a"),
    ("an address in a macro", r"\newcommand{\l}[1]{\href{http://a.example/#1}{#1}}", r"\l{b_c}", r"\href{http://a.example/b_c}{b_c}"),
    ("LaTeX's own structure stays", r"\renewcommand{\section}[1]{X}\def\begin{Y}", "\\section{T}\n\\begin{a}\\end{a}", "\\section{T}\n\\begin{a}\\end{a}"),
    ("a definition's line goes", r"", "a\n\\newcommand{\\x}{1}\nb\n  \\def\\y{2} \nc \\def\\z{3} d\\x\\y\\z", "a\nb\nc d123"),
    ("of an environment: until it ends", r"\def\x{1}", r"\begin{a}\def\x{2}\x\end{a}\x", r"\begin{a}2\end{a}1"),
    ("of a group: until it ends", r"\def\x{1}", r"\begingroup\def\x{2}\gdef\y{3}\x\endgroup\x\y", r"\begingroup2\endgroup13"),
    ("a formula in four sizes", r"\newcommand{\c}{\mathchoice{D}{T}{S}{SS}}", r"$\c$", "$T$"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("preamble", "body", "expected"), [row[1:] for row in EXPANDED], ids=[r[0] for r in EXPANDED]
)
def test_expansion(preamble: str, body: str, expected: str) -> None:
    assert text(body, preamble) == expected
    assert left(body, preamble) == {}


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


def chain(length: int) -> str:
    letters = "abcdefghijklmnopqrstuvwxyz"
    names = [f"m{letters[i // 26]}{letters[i % 26]}" for i in range(length + 1)]
    steps = "".join(f"\\def\\{a}{{\\{b}\\{b}}}" for a, b in zip(names, names[1:], strict=False))
    return f"{steps}\\def\\{names[-1]}{{x}}\\let\\first\\{names[0]}"


def test_depth() -> None:
    assert text(r"\first", chain(3)) == "x" * 8
    assert left(r"\first", chain(9)) == {}
    assert left(r"\first", chain(10)) == {"depth": 1024}
    assert text(r"\first", chain(10), max_depth=0) == r"\first"
    assert text(r"\first", chain(10), max_depth=11) == "x" * 1024


@pytest.mark.parametrize(
    "preamble",
    [
        chain(60),
        r"\def\first{\b\b\b\b\b\b\b\b\b\b}\def\b{\c\c\c\c\c\c\c\c\c\c}\def\c{\d\d\d\d\d\d\d\d\d\d}\def\d{\e\e\e\e\e\e\e\e\e\e}"
        r"\def\e{\f\f\f\f\f\f\f\f\f\f}\def\f{\g\g\g\g\g\g\g\g\g\g}\def\g{\h\h\h\h\h\h\h\h\h\h}\def\h{}",
        r"\def\first{\b{x}}\newcommand{\b}[1]{\c{#1#1#1#1#1#1#1#1}}\newcommand{\c}[1]{\d{#1#1#1#1#1#1#1#1}}"
        r"\newcommand{\d}[1]{\e{#1#1#1#1#1#1#1#1}}\newcommand{\e}[1]{\f{#1#1#1#1#1#1#1#1}}"
        r"\newcommand{\f}[1]{\g{#1#1#1#1#1#1#1#1}}\newcommand{\g}[1]{#1#1#1#1#1#1#1#1}",
    ],
    ids=["doubling", "nothing comes out", "arguments"],
)  # fmt: skip
def test_a_bomb_stops_and_the_paper_stays(preamble: str) -> None:
    start = time.process_time()
    found = paper(
        "before \\ok\n\n\\first\n\nafter \\ok\n\n\\section{T}\nend", preamble + r"\def\ok{OK}", max_depth=1000
    )
    assert time.process_time() - start < 5
    assert found.text == "\\section{S}\nbefore OK\n\n\\first\n\nafter \\ok\n\n\\section{T}\nend"
    assert found.result.counts.left == {"output": 2}
    assert found.result.counts.left_names == {"first": "output", "ok": "output"}


def test_text_in_text_in_text_takes_no_square_of_time() -> None:
    body = "\\b{" * 100_000 + "x" + "}" * 100_000
    start = time.process_time()
    found = paper(body, r"\newcommand{\b}[1]{<#1>}")
    assert time.process_time() - start < 20
    assert found.result.counts.left["output"] > 0
    unclosed = paper("\\b{" * 100_000, r"\newcommand{\b}[1]{<#1>}")
    assert time.process_time() - start < 30
    assert unclosed.text.count("\\b{") == 100_000


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
