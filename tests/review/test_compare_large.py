"""Runs of hundreds of thousands of documents compared: right in either order, in bounded memory."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench.compare import counts, write_runs
from tests.bench.measure import process


@pytest.mark.slow
def test_counts_are_right_and_memory_is_bounded(tmp_path: Path) -> None:
    memory: dict[tuple[str, int], int] = {}
    for documents in (250_000, 1_000_000):
        folder = tmp_path / str(documents)
        write_runs(folder, documents, characters=40)
        found: list[dict[str, Any]] = []
        for name in ("aligned", "shuffled"):
            command = [sys.executable, "-m", "pipelines", "compare", "--json", "--examples", "1"]
            cost = process([*command, str(folder / "a"), str(folder / name)])
            memory[name, documents] = cost.memory
            (run,) = json.loads(cost.output)["runs"]
            assert {(row["a"], row["b"]): row["documents"] for row in run["matrix"]} == counts(documents)
            del run["b"]
            found.append(run)
        assert found[0] == found[1]
    for name in ("aligned", "shuffled"):
        assert memory[name, 1_000_000] < 1.5 * memory[name, 250_000]
