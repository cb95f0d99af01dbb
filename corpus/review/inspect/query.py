"""What documents are looked for: conditions on their decision, their columns and their text.

In: what the user asked for. Out: masks over batches of rows; the columns that these need.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus.errors import UserError
from corpus.kernels.arrays import Bools

_ID = re.compile(r"[0-9a-f]{1,32}")
_CONDITION = re.compile(
    r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*(>=|<=|==|!=|=|>|<)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*"
)
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    ">": pc.greater,
    ">=": pc.greater_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    "==": pc.equal,
    "=": pc.equal,
    "!=": pc.not_equal,
}
_DOMAIN = re.compile(r"[\w-]+(\.[\w-]+)*")
# The host of an address, or one below it; user and port beside it.
_HOST = r"^[a-z][a-z0-9+.-]*://([^/?#@]*@)?([^/?#@]*\.)?{}\.?(:\d*)?([/?#]|$)"


@dataclass(frozen=True)
class Condition:
    """A bound on a numeric column; rows where it is null do not fulfil it."""

    column: str
    operator: str
    value: float


@dataclass(frozen=True)
class Query:
    """Conditions that must all hold; empty ones hold.

    Attributes:
        id: the first hex digits of the document's id.
        key: stands in its key (URL, path, title, arXiv id); where it begins with ``=``, is its key.
        domain: of its URL, with all domains below.
        rule: the reason against it.
        kept: whether it is in the corpus.
        language, bucket: as decided.
        where: bounds on columns.
        text: a regular expression in the syntax of RE2, whose time is linear in the text.
    """

    id: str = ""
    key: str = ""
    domain: str = ""
    rule: str = ""
    kept: bool | None = None
    language: str = ""
    bucket: str = ""
    where: tuple[Condition, ...] = ()
    text: str = ""

    def __post_init__(self) -> None:
        """Check what can be checked without a run.

        Raises:
            UserError: the id is no hex, the domain is none, or the expression cannot be used.
        """
        if self.id and not _ID.fullmatch(self.id):
            raise UserError(
                f"--id {self.id!r}: an id has 32 hex digits (0-9, a-f), of which the first are enough"
            )
        if self.domain and not _DOMAIN.fullmatch(self.domain):
            raise UserError(f"--domain {self.domain!r} is no domain, such as example.com")
        if self.text:
            try:
                pc.match_substring_regex(pa.array([""]), self.text)
            except pa.ArrowInvalid as error:
                raise UserError(f"--text {self.text!r} is no regular expression of RE2: {error}") from error

    def columns(self) -> list[str]:
        """Of the annotated rows, without the text."""
        names = ["key"] if self.key or self.domain else []
        return [*names, *dict.fromkeys(condition.column for condition in self.where)]

    def unfit(self, schema: pa.Schema) -> str:
        """What is wrong with its columns for rows of a schema; empty where nothing is."""
        numeric = [field.name for field in schema if _is_number(field.type)]
        for bound in self.where:
            if bound.column not in numeric:
                what = "holds no numbers" if bound.column in schema.names else "is not there"
                return f"--where: column {bound.column!r} {what}; there are {', '.join(numeric)}"
        return ""

    def decided(self, decisions: pa.RecordBatch) -> Bools:
        """Which rows' decisions fulfil it, bool[n]."""
        masks = []
        if self.id:
            masks.append(pc.starts_with(decisions.column("id"), self.id))
        if self.kept is not None:
            masks.append(pc.equal(decisions.column("kept"), self.kept))
        for name, value in (("reason", self.rule), ("language", self.language), ("bucket", self.bucket)):
            if value:
                masks.append(pc.equal(decisions.column(name), value))
        return _all(masks, decisions.num_rows)

    def measured(self, rows: pa.RecordBatch) -> Bools:
        """Which rows' `columns` fulfil it, bool[n]."""
        masks = []
        if self.key.startswith("="):
            masks.append(pc.equal(rows.column("key"), self.key[1:]))
        elif self.key:
            masks.append(pc.match_substring(rows.column("key"), self.key))
        if self.domain:
            pattern = _HOST.format(re.escape(self.domain))
            masks.append(pc.match_substring_regex(rows.column("key"), pattern, ignore_case=True))
        for condition in self.where:
            values = rows.column(condition.column).cast(pa.float64())
            masks.append(_OPERATORS[condition.operator](values, condition.value))
        return _all(masks, rows.num_rows)

    def told(self, text: pa.Array) -> Bools:
        """Which texts fulfil it, bool[n]."""
        return _all([pc.match_substring_regex(text, self.text)] if self.text else [], len(text))


def condition(text: str) -> Condition:
    """A condition as the user writes it: ``COLUMN OPERATOR NUMBER``.

    Raises:
        UserError: it is not of this form.
    """
    found = _CONDITION.fullmatch(text)
    if not found:
        raise UserError(
            f"--where {text!r}: the form is COLUMN OPERATOR NUMBER, with >, >=, <, <=, == or !=, such as "
            '"perplexity_v1>500"'
        )
    return Condition(found[1], found[2], float(found[3]))


def _is_number(type_: pa.DataType) -> bool:
    return bool(pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_boolean(type_))


def _all(masks: list[pa.Array], n: int) -> Bools:
    found = np.ones(n, bool)
    for mask in masks:
        found &= np.asarray(pc.fill_null(mask, False).to_numpy(zero_copy_only=False))
    return found
