"""Build the sample of StackExchange: `python -m corpus.sample.build_stackexchange [FOLDER]`.

Questions and answers (`texts/stackexchange.toml`) in; dumps of sites in the layout of the Internet Archive
out, with planted trouble, under FOLDER (default: the committed `stackexchange/`). The same posts always give
the same rows; bytes of archives also depend on the compressor.
"""

from __future__ import annotations

import bz2
import tomllib
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Any

from corpus.sample import ROOT, TEXTS
from corpus.sample.files import build_by_command, write, write_7z

FOLDER = ROOT / "stackexchange"
POSTS = TEXTS / "stackexchange.toml"
_HEAD = '\ufeff<?xml version="1.0" encoding="utf-8"?>\r\n'
_DAY = "2023-03-05T00:00:00.000"
_WIKI_AFTER = 3  # questions before the first tag wiki
_TIME = 1_678_000_000  # of members of archives

Post = dict[str, Any]


def build(folder: Path) -> None:
    """Write the dumps under the folder."""
    sites = tomllib.loads(POSTS.read_text("utf-8"))
    bread = sites["bread"]
    write_7z(
        folder / "bread.stackexchange.example.7z",
        {
            "Badges.xml": _table("badges", []),
            "Posts.xml": posts(rows(bread)),
            "Tags.xml": _table("tags", _tags()),
        },
        _TIME,
    )
    write_7z(folder / "stackoverflow.example-Posts.7z", {"Posts.xml": posts(_troubled(sites["code"]))}, _TIME)
    write_7z(folder / "stackoverflow.example-Tags.7z", {"Tags.xml": _table("tags", _tags())}, _TIME)
    # Before some answers were written and with what has been deleted since; tags as newer dumps have them.
    older = [{**q, "score": 0, "answers": q.get("answers", [])[:1]} for q in bread[:4]]
    write(folder / "bread.stackexchange.example-2019-06/Posts.xml", posts(rows(older, bars=True)))
    write(folder / "bread.meta.stackexchange.example/Posts.xml", posts(rows(sites["meta"])))
    write(folder / "bread.meta.stackexchange.example/Users.xml", _table("users", ['<row Id="-1" />']))
    doctype = '<!DOCTYPE posts [<!ENTITY x "y"><!ENTITY z "&x;&x;&x;&x;">]>\r\n'
    spanish = posts(rows(sites["es"])).replace("<posts>", doctype + "<posts>", 1)
    write(folder / "es.stackoverflow.example/Posts.xml", spanish)
    chess = bz2.compress(posts(rows(sites["chess"])).encode())
    write(folder / "chess.stackexchange.example/Posts.xml.bz2", chess)
    write(folder / "quilts.stackexchange.example/Posts.xml", "")
    write(folder / "kites.stackexchange.example/Posts.xml.bz2", chess[: len(chess) // 2])


def posts(found: Iterable[str]) -> str:
    """A whole `Posts.xml`."""
    return _table("posts", found)


def rows(questions: Iterable[Post], bars: bool = False) -> Iterator[str]:
    """The rows of questions and their answers, with ids in the order of the file; tag wikis among them."""
    number = 1
    for place, question in enumerate(questions):
        answers = question.get("answers", [])
        accepted = next((number + i for i, a in enumerate(answers, 1) if a.get("accepted")), None)
        marks = "|{}|" if bars else "<{}>"
        tags = marks.format(("|" if bars else "><").join(question["tags"]))
        yield _row(
            Id=number, PostTypeId=1, AcceptedAnswerId=accepted, CreationDate=question["created"],
            Score=question["score"], ViewCount=7 * number, Body=_body(question), Title=question["title"],
            Tags=tags, AnswerCount=len(answers),
        )  # fmt: skip
        for i, answer in enumerate(answers, 1):
            created = answer.get("created", question["created"])
            yield _row(
                Id=number + i, PostTypeId=2, ParentId=number, CreationDate=created, Score=answer["score"],
                Body=_body(answer), CommentCount=0,
            )  # fmt: skip
        number += len(answers) + 1
        if place == _WIKI_AFTER:
            wiki = {"CreationDate": _DAY, "Score": 0, "Body": "What the tag is for."}
            yield from (_row(Id=number + i, PostTypeId=4 + i, **wiki) for i in (0, 1))
            number += 2


def _troubled(questions: Iterable[Post]) -> Iterator[str]:
    """Rows with broken ones among them, each after a good one."""
    trouble = [
        _row(
            Id=901,
            PostTypeId=2,
            ParentId=404,
            CreationDate=_DAY,
            Score=3,
            Body="<p>To a deleted question.</p>",
        ),
        '<row Id="902" PostTypeId="2" ParentId="1" Score="1" Body="<p>Not escaped.</p>" />',
        _row(Id=1, PostTypeId=1, CreationDate=_DAY, Score=9, Body="<p>The same id.</p>", Title="Once more"),
        '<row Id="903" PostTypeId="2" ParentId="1" Score="1" Body="&nbsp;" />',
        _row(
            Id=904,
            PostTypeId=2,
            ParentId=1,
            CreationDate=_DAY,
            Score="+5",
            Body="<p>A score with a sign.</p>",
        ),
        "... 17,408 bytes of the mirror are missing here ...",
        _row(Id=905, PostTypeId=2, ParentId=1, CreationDate=_DAY, Score=8, Body='<p><img src="a.png"></p>'),
        _row(Id=906, PostTypeId=1, CreationDate=_DAY, Score=0, Body="", Title=""),
        '<row Id="907" PostTypeId="2" ParentId="1" Score="1" Body="&#xB;" />',
        _row(Id=908, PostTypeId=6, CreationDate=_DAY, Score=2, Body="<p>A nomination.</p>"),
    ]
    for row in rows(questions):
        yield row
        if trouble:
            yield trouble.pop(0)


def _body(post: Post) -> str:
    return str(post["body"]).strip("\n") + "\n"


def _row(**values: Any) -> str:
    """A row as the dumps write it."""
    attributes = (f'{name}="{_value(value)}"' for name, value in values.items() if value is not None)
    return f"<row {' '.join(attributes)} />"


def _value(value: Any) -> str:
    return escape(str(value), quote=True).replace("&#x27;", "'").replace("\n", "&#xA;")


def _table(name: str, found: Iterable[str]) -> str:
    return f"{_HEAD}<{name}>\r\n" + "".join(f"  {row}\r\n" for row in found) + f"</{name}>"


def _tags() -> list[str]:
    return [_row(Id=1, TagName="a-tag", Count=1)]


if __name__ == "__main__":
    build_by_command(build, FOLDER, __doc__)
