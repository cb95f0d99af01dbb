r"""Which files of a submission make its paper, in which encoding, and what of it is its text."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.settings.arxiv import ArXiv
from corpus.sources.arxiv.comments import remove_comments
from corpus.sources.arxiv.encoding import decode
from corpus.sources.arxiv.main_file import main_files
from corpus.sources.arxiv.paper import Paper, read_paper
from tests.corpus.sources.arxiv_papers import paper, text

DOCUMENT = "\\documentclass{article}\n\\begin{document}\n"
SECTION = "\\section{S}\n"
END = "\\end{document}\n"


def read(files: dict[str, str | bytes], **settings: Any) -> Paper:
    encoded = {name: text.encode() if isinstance(text, str) else text for name, text in files.items()}
    found = read_paper(encoded, ArXiv(**settings))
    assert found is not None
    return found


def test_the_main_file_has_most_headings_then_the_usual_name_then_most_text() -> None:
    one, two = DOCUMENT + SECTION + END, DOCUMENT + SECTION + SECTION + END
    assert main_files({"a.tex": one, "b.tex": two, "main.tex": one}) == ["b.tex"]
    assert main_files({"a.tex": one, "main.tex": one, "paper.tex": one}) == ["main.tex"]
    assert main_files({"a.tex": one, "b.tex": one + "more"}) == ["b.tex"]
    assert main_files({"sub/b.tex": one, "a.tex": one}) == ["a.tex"]
    assert main_files({"letter.tex": DOCUMENT + END, "x.tex": one}) == ["x.tex"]


def test_headings_of_the_files_it_reads_count() -> None:
    files = {
        "book.tex": DOCUMENT + "\\input{one}\\include{two}" + END,
        "one.tex": SECTION * 2,
        "two.tex": SECTION,
        "other.tex": DOCUMENT + SECTION * 2 + END,
    }
    assert main_files(files) == ["book.tex"]


def test_a_file_that_another_reads_is_not_the_main_one() -> None:
    files = {
        "main.tex": DOCUMENT + SECTION + END,
        "for-print.tex": "\\def\\colour{black}\n\\input{main}",
        "figure.tex": "\\documentclass{standalone}\n\\begin{document}\\section{F}\\section{G}\\end{document}",
    }
    assert main_files(files) == ["for-print.tex"]


def test_without_a_main_file_all_that_no_other_reads_in_the_order_of_names() -> None:
    assert main_files({"b.tex": SECTION, "a.tex": "\\input{c}", "c.tex": SECTION}) == ["a.tex", "b.tex"]
    found = read({"b.tex": SECTION + "b\n", "a.tex": "\\input{c}\n", "c.tex": "\\section{C}\nc\n"})
    assert found.text == "\\section{C}\nc\n\\section{S}\nb"
    assert main_files({"x.sty": "", "x.bbl": ""}) == []


def test_files_in_files() -> None:
    files = {
        "sections/a.tex": "A1\n\\input{sections/b}\nA2\n",
        "sections/b.tex": "B",
        "c.tex": "C \\subimport{parts/}{d}\n",
        "parts/d.tex": "D\\input{e.tex}\n",
        "parts/e.tex": "E",
        "unread.tex": "never",
    }
    body = "\\input sections/a\n\\include{c}\n\\InputIfFileExists{x}{}{}"
    assert text(body, files=files) == "A1\nB\nA2\nC DE\n\\InputIfFileExists{x}{}{}"


def test_a_missing_file_is_counted_and_its_command_goes() -> None:
    found = paper("a\n\\input{nowhere}\nb \\input{x.bbl} c")
    assert found.text.endswith("a\nb c")
    assert found.result.counts.missing == 1


def test_a_file_that_reads_itself_does_so_once() -> None:
    found = paper("\\input{a}", files={"a.tex": "A\\input{b}", "b.tex": "B\\input{a}\\input{b}"})
    assert found.text.endswith("AB")
    assert found.result.counts.unread == 2


def test_files_that_double_stop_at_the_limit() -> None:
    files = {f"f{i}.tex": f"\\input{{f{i + 1}}}\\input{{f{i + 1}}}" for i in range(15)}
    start = time.process_time()
    found = paper("\\input{f0}\nend", files=files | {"f15.tex": "x" * 1000})
    assert time.process_time() - start < 5
    assert found.text.endswith("end")
    assert len(found.text) <= 5 * 20_000 + 100
    assert found.result.counts.unread > 0
    deep = {f"d{i}.tex": f"\\input{{d{i + 1}}}" for i in range(40)}
    assert paper("\\input{d0}", files=deep).result.counts.unread == 1


def test_a_document_of_its_own_in_a_document() -> None:
    sub = "\\documentclass[main]{subfiles}\n\\newcommand{\\x}{0}\\begin{document}\nSub \\x\n\\end{document}\n"
    assert text("a\n\\subfile{sub}\nb", "\\newcommand{\\x}{1}", files={"sub.tex": sub}) == "a\nSub 1\nb"


def test_macros_of_the_papers_own_packages_and_class() -> None:
    style = "\\newcommand{\\x}[1]{<#1>}\n\\def\\y{\\@own}\n\\newif\\ifshort \\shorttrue\nwords\n"
    files = {
        "own.sty": style,
        "my.cls": "\\RequirePackage{other}\n",
        "other.sty": "\\def\\z{Z}\n\\endinput\n\\def\\z{0}",
    }
    body = "\\x{a} \\y \\z \\ifshort s\\else l\\fi"
    main = "\\documentclass[a4]{my}\n\\usepackage[o]{none,own}\n\\begin{document}\n\\section{S}\n"
    found = read({"main.tex": main + body + "\\end{document}", **files})
    assert found.text == SECTION + "<a> \\y Zs"
    assert found.result.counts.left == {}


def test_a_file_written_in_the_paper() -> None:
    start = "\\begin{filecontents}{a.tex}\nA% note\n\\end{filecontents}\n"
    assert read({"main.tex": start + DOCUMENT + SECTION + "\\input{a}b" + END}).text == SECTION + "Ab"


@pytest.mark.parametrize(
    "heading", ["part", "chapter", "section", "subsection", "subsubsection", "paragraph", "subparagraph"]
)
def test_the_text_begins_at_the_first_heading(heading: str) -> None:
    before = "\\title{T}\n\\begin{abstract}\nA\n\\end{abstract}\n% \\section{no}\n\\verb|\\section{no}|\n"
    for form in ("{H}", "*{H}", "[short]{H}", "\n  {H}"):
        main = DOCUMENT + before + f"\\{heading}{form}\nbody\n" + END
        found = read({"main.tex": main})
        assert (found.text, found.reason) == (f"\\{heading}{form}\nbody", None)


def test_headings_of_the_preamble_and_of_definitions_do_not_count() -> None:
    preamble = (
        "\\documentclass{article}\n\\titleformat{\\section}{\\bf}{}{}{}\n\\newcommand{\\head}[1]{\\section{#1}}\n"
        "\\AtBeginDocument{\\section{no}}\n\\begin{document}\nfront\n"
    )
    assert read({"m.tex": preamble + "\\head{H}\nbody" + END}).text == "\\section{H}\nbody"


def test_a_paper_without_headings_has_a_reason_and_its_text() -> None:
    found = read({"m.tex": DOCUMENT + "old paper\n" + END})
    assert (found.reason, found.text) == ("no_section", "\\begin{document}\nold paper")
    plain = read({"p.tex": "\\magnification 1200\n\\beginsection Introduction\n\n text \\bye"})
    assert plain.reason == "no_section"
    style = read({"m.tex": "\\documentstyle[12pt]{article}\n\\begin{document}\n\\section{S}\nold\n" + END})
    assert (style.reason, style.text) == (None, SECTION + "old")


@pytest.mark.parametrize(
    "appendix",
    ["\\appendix\n\\section{A}\nmore", "\\begin{appendices}\n\\section{A}\nmore\n\\end{appendices}"],
)
def test_appendices_stay_or_go(appendix: str) -> None:
    assert text("body\n" + appendix) == "body\n" + appendix
    assert text("body\n" + appendix, appendix="drop") == "body"


def test_all_behind_the_bibliography_goes_by_switch() -> None:
    for bibliography in (
        "\\bibliography{x}",
        "\\begin{thebibliography}{1}\\bibitem{a}\\end{thebibliography}",
    ):
        body = f"body\n{bibliography}\n\\appendix\n\\section{{A}}\nmore"
        assert text(body) == "body\n\\appendix\n\\section{A}\nmore"
        assert text(body, bibliography="cut") == "body"


def test_title_and_abstract_by_switch() -> None:
    main = (
        "\\documentclass{a}\\newcommand{\\x}{X}\\begin{document}\\title[s]{The {\\x} of T}\n"
        "\\begin{abstract}\nWe \\x.\n\\end{abstract}\n\\section{S}\nbody\\end{document}"
    )
    assert read({"m.tex": main}).text == SECTION + "body"
    assert read({"m.tex": main}, front_matter="keep").text == f"The {{X}} of T\n\nWe X.\n\n{SECTION}body"


def test_environments_and_programs_by_switch() -> None:
    environment = "\\newenvironment{q}{<}{>}"
    assert text("\\begin{q}x\\end{q}", environment) == "<x>"
    assert text("\\begin{q}x\\end{q}", environment, environments="keep") == "\\begin{q}x\\end{q}"
    program = "\\newcommand{\\p}{\\catcode`\\_=12 }"
    assert text("\\p a", program) == "\\p a"
    assert paper("\\p a", program).result.counts.left == {"program": 1}
    assert text("\\p a", program, programs="expand") == "\\catcode`\\_=12 a"


@pytest.mark.parametrize(
    ("declared", "codec"),
    [
        ("utf8", "utf-8"),
        ("latin1", "latin-1"),
        ("latin2", "iso8859-2"),
        ("cp1251", "cp1251"),
        ("koi8-r", "koi8-r"),
        ("applemac", "mac-roman"),
        (None, "cp1252"),
        (None, "utf-8-sig"),
        (None, "utf-16"),
    ],
)
def test_encodings(declared: str | None, codec: str) -> None:
    words = {"iso8859-2": "Wałęsa", "cp1251": "Жуковский", "koi8-r": "Жуковский"}.get(
        codec, "Poincaré – Hölder"
    )
    words = words.replace("–", "-") if codec in ("latin-1", "mac-roman") else words
    package = f"\\usepackage[{declared}]{{inputenc}}\n" if declared else ""
    main = "\\documentclass{article}\n" + package + "\\begin{document}\r\n\\section{S}\r\n" + words + END
    assert read({"m.tex": main.encode(codec)}).text == SECTION + words


def test_one_file_of_another_encoding_takes_nothing_from_the_rest() -> None:
    files = {
        "m.tex": DOCUMENT + SECTION + "naïve \\input{a} \\input{b}" + END,
        "a.tex": "é\x81".encode("latin-1"),
    }
    found = read({**files, "b.tex": b"\xff\x00\x01 end"})
    assert found.text == SECTION + "naïve é\x81 ÿ end"


@given(st.binary(max_size=300))
def test_any_bytes_are_some_text(data: bytes) -> None:
    found = decode(data, None)
    assert found.encode("utf-8").decode("utf-8") == found
    assert not set(found) & set(map(chr, range(32))) - {"\t", "\n"}


@given(st.text(alphabet="ab%\\ \n{}|", max_size=60))
def test_removing_comments_leaves_none_and_loses_nothing_else(source: str) -> None:
    left = remove_comments(source)
    assert remove_comments(left) == left
    assert left.replace("\n", "").replace(" ", "") in _without_line_comments(source)


def _without_line_comments(source: str) -> list[str]:
    """The text without spaces, by a regular expression that knows no raw text."""
    lines = []
    for line in source.split("\n"):
        for at, mark in enumerate(line):
            if mark == "%" and (len(line[:at]) - len(line[:at].rstrip("\\"))) % 2 == 0:
                line = line[:at]
                break
        lines.append(line)
    return ["".join(lines).replace(" ", "")]


PARTS = [
    *"ab\\{}[]%#$1 \n",
    "\\newcommand",
    "\\def",
    "\\let",
    "\\x",
    "\\x",
    "\\begin{a}",
    "\\end{a}",
    "\\if",
    "\\fi",
]


@given(st.lists(st.sampled_from(PARTS), max_size=60).map("".join))
def test_any_text_is_read_to_its_end(source: str) -> None:
    found = read_paper({"m.tex": (SECTION + "a\n\n" + source).encode()}, ArXiv())
    assert found is not None
    assert found.result.counts.left.keys() <= {"recursive", "arguments"}
