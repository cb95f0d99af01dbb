"""What tests of commands across runs share: commands in this process, runs with planted evaluations."""

from __future__ import annotations

import contextlib
import io
import json
import random
import subprocess
from importlib import resources
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipelines.__main__ import main
from tests.pipelines.finished import write_run

ITEM = (
    "A lighthouse keeper counts forty two gulls before breakfast and seventeen more before noon, then loses "
    "count of them. How many gulls had he counted when he stopped for his tea?"
)
ANSWER = (
    "He had counted fifty nine gulls altogether, since forty two and seventeen add up to fifty nine of them."
)
COMMON = "This story is told in every harbour of the north and nobody knows who told it first of all."
_WORDS = (
    "ferry harbour mill market bridge river island valley library stone winter summer boat wheel grain "
    "keeper letter window garden forest engine signal copper ribbon lantern orchard meadow tower anchor "
    "barrel"
)


def call(*args: Any, status: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a subcommand in this process, which is quicker; fail the test unless it ends with `status`."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            returned = main(list(map(str, args)))
        except SystemExit as error:  # argparse
            returned = int(error.code or 0)
    assert returned == status, f"status {returned}\n{out.getvalue()}\n{err.getvalue()}"
    return subprocess.CompletedProcess(args, returned, out.getvalue(), err.getvalue())


def prose(seed: int, words: int) -> str:
    """Sentences of our words that no evaluation has."""
    rng, words_of_ours = random.Random(seed), _WORDS.split()
    sentences = [
        " ".join(rng.choice(words_of_ours) for _ in range(rng.randint(6, 14))).capitalize() + "."
        for _ in range(words // 10)
    ]
    return "\n".join(sentences)


def table(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def listed(path: Path) -> list[str]:
    return path.read_text().splitlines()


def sample_recipe() -> str:
    return (resources.files("corpus") / "recipes" / "sample.toml").read_text("utf-8")


def plant(root: Path) -> Path:
    """Runs and evaluations.

    c4: 0 quotes the item, in other dress, in the middle; 1 the answer at its start; 2 both, again and
    again; 3 is the answer and little more; 4 twelve of its words. All eleven of github have the set phrase.
    """
    texts = [prose(i, 300) for i in range(9)]
    dressed = ITEM.upper().replace(",", " —").replace(" ", "\n", 3)
    texts[0] = f"{texts[0]}\n{dressed}\n{prose(100, 300)}"
    texts[1] = f"{ANSWER}\n{texts[1]}"
    texts[2] = "\n".join(f"{prose(200 + i, 120)}\n{ITEM if i % 2 else ANSWER}" for i in range(11))
    texts[3] = f"Somebody asked.\n{ANSWER}\nThat was all."
    texts[4] += "\n" + " ".join(ANSWER.split()[:12]) + " and so on"
    write_run(root / "c4", "c4", texts)
    write_run(
        root / "github",
        "github",
        [f"{prose(300 + i, 150)}\n{COMMON}\n{prose(400 + i, 150)}" for i in range(11)],
    )
    evals = root / "evals"
    evals.mkdir()
    lines = [{"question": ITEM, "answer": ANSWER}, {"question": "Is it so?", "answer": "It is."}]
    (evals / "gulls.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (evals / "phrases.csv").write_text(f'id,text\n1,"{COMMON}"\n2,"{COMMON} Or so."\n3,short\n')
    (evals / "LICENSE").write_text("not an evaluation")
    return root
