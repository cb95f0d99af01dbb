"""Boilerplate of Project Gutenberg's texts; the texts here are our own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.sources.books.gutenberg import find_body, text_of

LINES = 600
BOOK = "THE LAMPLIGHTER\n\nChapter I\n\nThe lamps were lit at five.\n\nTHE END"
START = "*** START OF THIS PROJECT GUTENBERG EBOOK THE LAMPLIGHTER ***"
END = "*** END OF THIS PROJECT GUTENBERG EBOOK THE LAMPLIGHTER ***"
PRINT = (
    '***START**THE SMALL PRINT!**FOR PUBLIC DOMAIN ETEXTS**START***\nWhy is this "Small Print!" here?\n'
    "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*"
)
LICENCE = "\n".join(["START: FULL LICENSE", *(f"{i}. A term of the licence." for i in range(300))])


def text(raw: str, lines: int = LINES) -> str:
    split = raw.split("\n")
    return text_of(split, find_body(split, lines))


@pytest.mark.parametrize(
    ("why", "raw", "expected"),
    [
        ("both starred markers", f"Header\n{START}\n\n{BOOK}\n\n{END}\n{LICENCE}", BOOK),
        (
            "without a space",
            f"{START.replace('*** S', '***S')}\n{BOOK}\n{END.replace('*** E', '***E')}",
            BOOK,
        ),
        (
            "a title over lines",
            f"***START OF THE PROJECT GUTENBERG EBOOK THE LAMP-\nLIGHTER***\n{BOOK}",
            BOOK,
        ),
        (
            "a starred marker without stars at its end",
            f"*** START OF THE PROJECT GUTENBERG EBOOK X\n{BOOK}\n\nHe said ***",
            f"{BOOK}\n\nHe said ***",
        ),
        ("copyrighted", f"*** START OF THE COPYRIGHTED PROJECT GUTENBERG EBOOK X ***\n{BOOK}", BOOK),
        (
            "a loose end before the starred one",
            f"{START}\n{BOOK}\n\nEnd of the Project Gutenberg EBook of The\nLamplighter, by X\n\n{END}\nx",
            BOOK,
        ),
        ("an old etext", f"Title\n{PRINT}\n\n\n{BOOK}\n\nEnd of The Project Gutenberg Etext of X\n\n", BOOK),
        ("an old etext without an end", f"Title\n{PRINT}\n\n\n{BOOK}\n", BOOK),
        (
            "another form of the old licence's end",
            f"x\n**END THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.08.01*END**\n[Portions of this header"
            f" are copyright\nby somebody.]\n\n{BOOK}",
            BOOK,
        ),
        ("an old licence after a new marker", f"{START}\nOld header\n{PRINT}\n{BOOK}\n{END}", BOOK),
        ("the old licence after the text", f"{BOOK}\n\n{PRINT}\n", BOOK),
        ("the old licence after a starred end", f"{START}\n{BOOK}\n{END}\n\n{PRINT}\n", BOOK),
        (
            "a loose end, then the licence, longer than the book",
            f"{START}\n{BOOK}\n\nEnd of Project Gutenberg's X\n\n{LICENCE}",
            BOOK,
        ),
        ("in German", f"{START}\n{BOOK}\n\nEnde dieses Projekt Gutenberg Etextes Der Lampist\n", BOOK),
        ("in French", f"{START}\n{BOOK}\n\nFin de Project Gutenberg de L'allumeur\n", BOOK),
        ("credits", f"{START}\n\nProduced by A. Volunteer and the Online\nTeam\n\n\n{BOOK}\n{END}", BOOK),
        (
            "credits of an old etext",
            f"{PRINT}\n\nThis etext was prepared by A. Volunteer\n\nScanned by B. <b@mail.example>\n\n{BOOK}",
            BOOK,
        ),
        (
            "where else it is",
            f"{START}\nE-text prepared by A\n\nNote: Project Gutenberg also has an HTML version of this\n"
            f"      file.\n\n{BOOK}",
            BOOK,
        ),
        (
            "makers in several paragraphs",
            f"{START}\nTranscribed from the 1908 Harbour Society edition by C. Volunteer\n\n"
            f"the Online Distributed Proofreading Team at\nhttp://www.pgdp.net\n\n"
            f"(This file was produced from images generously made\navailable by a library)\n\n{BOOK}",
            BOOK,
        ),
        (
            "a transcriber's note is about the text",
            f"{START}\nProduced by A\n\nTranscriber's Note: spelling was kept.\n\n{BOOK}",
            f"Transcriber's Note: spelling was kept.\n\n{BOOK}",
        ),
        (
            "a loose line deep in a short book is the book's",
            f"{START}\n{BOOK}\n\nProduced by her own hand, the lace was fine.\n\nMore.\n{END}",
            f"{BOOK}\n\nProduced by her own hand, the lace was fine.\n\nMore.",
        ),
        (
            "no marker at all",
            f"{BOOK}\n\nProduced by her own hand.",
            f"{BOOK}\n\nProduced by her own hand.",
        ),
        (
            "it names Project Gutenberg, no more: a loose line cuts nothing",
            f"The Project Gutenberg Etext of X\n\n{BOOK}\n\nProduced by her own hand.",
            f"{BOOK}\n\nProduced by her own hand.",
        ),
        (
            "a loose end in the middle is none",
            f"{START}\nOne.\nEnd of Project Gutenberg's first part\n" + "More.\n" * 60,
            "One.\nEnd of Project Gutenberg's first part\n" + "More.\n" * 59 + "More.",
        ),
        (
            "notes inside collected works",
            f"{START}\nAct I\n<<THIS ELECTRONIC VERSION OF THE WORKS IS\nCOPYRIGHT. SERVICE THAT CHARGES FOR"
            f" DOWNLOAD\nTIME OR FOR MEMBERSHIP.>>\nAct II\n{END}",
            "Act I\nTIME OR FOR MEMBERSHIP.>>\nAct II",
        ),
        ("nothing between the markers", f"{START}\n\n{END}", ""),
        ("an empty file", "", ""),
    ],
)
def test_boilerplate(why: str, raw: str, expected: str) -> None:
    assert text(raw) == expected, why


def test_a_marker_beyond_the_header_does_not_begin_the_text() -> None:
    raw = "\n".join(["A line of a long book."] * 700 + [START, BOOK])
    assert text(raw) == raw


def test_lines_without_end_are_looked_at_in_part() -> None:
    """Patterns see the first characters of a line alone: nothing here takes more than linear time."""
    long = "End of Project Gutenberg" + "a.b-" * 500_000 + "@"
    assert text(f"{START}\n{'a' * 2_000_000}\n\nmore") == f"{'a' * 2_000_000}\n\nmore"
    assert text(f"one\n{long}") == "one"
    assert text(" " * 2_000_000 + START) == " " * 2_000_000 + START


@given(
    st.lists(
        st.sampled_from(["", "word", START, END, PRINT, "Produced by A", "End of Project Gutenberg's X"])
    )
)
def test_what_is_left_is_of_the_file_and_in_order(pieces: list[str]) -> None:
    lines = "\n".join(pieces).split("\n")
    body = find_body(lines, LINES)
    kept = text_of(lines, body).split("\n")
    rest = iter(lines)
    assert all(line in rest for line in kept if line)
    assert 0 <= body.start <= body.stop <= len(lines)
