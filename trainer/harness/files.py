"""Files of published evaluations → rows with the columns that lm-evaluation-harness's tasks read.

In: a folder with a folder an evaluation, its files as their authors publish them. Out: by split, a
`datasets.Dataset`. The functions are named by the task files in `tasks/`; all take the folder, and
ignore what else a task tells of itself.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from datasets import Dataset  # type: ignore[import-untyped]

from trainer.errors import TrainerError

Splits = dict[str, Dataset]
_PRONOUNS = {
    "male": {"$NOM_PRONOUN": "he", "$POSS_PRONOUN": "his", "$ACC_PRONOUN": "him"},
    "female": {"$NOM_PRONOUN": "she", "$POSS_PRONOUN": "her", "$ACC_PRONOUN": "her"},
    "neutral": {"$NOM_PRONOUN": "they", "$POSS_PRONOUN": "their", "$ACC_PRONOUN": "them"},
}
_CATEGORIES = {  # of bias: Nangia et al. 2020, table 2
    "age", "disability", "gender", "nationality", "physical-appearance", "race-color", "religion",
    "sexual-orientation", "socioeconomic",
}  # fmt: skip


def hellaswag(folder: str, **_: Any) -> Splits:
    """activity_label, ctx_a, ctx_b, endings, label: rowanz/hellaswag."""
    columns = ("activity_label", "ctx_a", "ctx_b", "endings", "label")
    return _split("validation", _json_lines(Path(folder, "hellaswag"), columns))


def winogrande(folder: str, **_: Any) -> Splits:
    """context_options (the blank filled either way), continuation, gold (index of the right one)."""
    return _split(
        "validation", _json_lines(Path(folder, "winogrande"), ("context_options", "continuation", "gold"))
    )


def gsm8k(folder: str, **_: Any) -> Splits:
    """question, answer: openai/grade-school-math."""
    return _split("test", _json_lines(Path(folder, "gsm8k"), ("question", "answer")))


def mmlu(folder: str, subject: str, **_: Any) -> Splits:
    """question, choices, answer (0 to 3) of one subject: columns question, A, B, C, D, answer.

    Copies are about whose quotation marks are not doubled; rows that this cuts in more fields are left out,
    and counted on standard error.
    """
    path = Path(folder, "mmlu", "test", f"{subject.removeprefix('mmlu_')}_test.csv")
    columns = ("question", *"ABCD", "answer")
    table = list(_table(path, columns))
    rows = [row for row in table if len(row) == len(columns) and row["answer"] in list("0123")]
    if len(rows) < len(table):
        print(f"{path}: {len(table) - len(rows)} of {len(table)} rows left out, damaged", file=sys.stderr)
    return _split(
        "test",
        (
            {
                "question": row["question"],
                "choices": [row[letter] for letter in "ABCD"],
                "answer": int(row["answer"]),
            }
            for row in rows
        ),
    )


def truthfulqa(folder: str, **_: Any) -> Splits:
    """question, mc1_targets, mc2_targets (choices and labels): sylinrl/TruthfulQA's table of answers."""
    columns = ("Question", "Best Answer", "Correct Answers", "Incorrect Answers")
    rows = []
    for row in _table(_only(Path(folder, "truthfulqa"), "*.csv"), columns):
        best, right, wrong = (
            [answer.strip() for answer in row[column].split(";") if answer.strip()] for column in columns[1:]
        )
        rows.append(
            {"question": row["Question"]} | _targets("mc1", best, wrong) | _targets("mc2", right, wrong)
        )
    return _split("validation", rows)


def crows_pairs(folder: str, **_: Any) -> Splits:
    """sent_more, sent_less, bias_type: nyu-mll/crows-pairs."""
    columns = ("sent_more", "sent_less", "bias_type")
    path = _only(Path(folder, "crows_pairs"), "*.csv")
    rows = [{column: row[column] for column in columns} for row in _table(path, columns)]
    if lacking := _CATEGORIES - {row["bias_type"] for row in rows}:
        raise TrainerError(f"{path}: has no pairs of {', '.join(sorted(lacking))}, each of which has a score")
    return _split("test", rows)


def winogender(folder: str, **_: Any) -> Splits:
    """sentence, pronoun, occupation, participant, gender, label: rudinger/winogender-schemas.

    The label is 0 where the pronoun refers to the occupation, 1 where to the participant.
    """
    templates = Path(folder, "winogender", "templates.tsv")
    forms = {}
    columns = ("occupation(0)", "other-participant(1)", "answer", "sentence")
    for row in _table(templates, columns, "\t"):
        (forms[row["occupation(0)"], row["answer"]],) = (
            form for form in _PRONOUNS["male"] if form in row["sentence"]
        )
    rows = []
    for row in _table(templates.with_name("all_sentences.tsv"), ("sentid", "sentence"), "\t"):
        occupation, participant, answer, gender, _txt = row["sentid"].split(".")
        rows.append(
            {
                "sentence": row["sentence"],
                "pronoun": _PRONOUNS[gender][forms[occupation, answer]],
                "occupation": occupation,
                "participant": participant,
                "gender": gender,
                "label": int(answer),
            }
        )
    return _split("test", rows)


def _targets(name: str, right: list[str], wrong: list[str]) -> dict[str, Any]:
    labels = [1] * len(right) + [0] * len(wrong)
    return {f"{name}_targets": {"choices": right + wrong, "labels": labels}}


def _split(name: str, rows: Iterable[dict[str, Any]]) -> Splits:
    return {name: Dataset.from_list(list(rows))}


def _json_lines(folder: Path, columns: Iterable[str]) -> Iterator[dict[str, Any]]:
    path = _only(folder, "*.jsonl")
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                yield {column: row[column] for column in columns}
            except (ValueError, KeyError, TypeError) as error:
                raise TrainerError(f"{path}, line {number}: no row of this evaluation ({error!r})") from error


def _table(path: Path, columns: Iterable[str], delimiter: str = ",") -> Iterator[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, delimiter=delimiter)
            if lacking := set(columns) - set(rows.fieldnames or ()):
                raise TrainerError(f"{path}: lacks the columns {', '.join(sorted(lacking))}")
            yield from rows
    except OSError as error:
        raise TrainerError(f"{path}: cannot be read ({error.strerror})") from error


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise TrainerError(f"{folder} must hold one file {pattern}, and holds {len(found)}")
    return found[0]
