"""The command line as its user runs it, and one straight run of the sample that tests look at."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corpus import storage
from tests.pipelines import across

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "pipelines")
# What may differ between equal runs: times, hosts, absolute paths.
LOCAL_FILES = ("timing.json", "inputs.json", "recipe.json", "after.json")

Run = Callable[..., subprocess.CompletedProcess[str]]


def llama_corpus(*args: Any, status: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a subcommand; fail the test unless it ends with `status`."""
    done = subprocess.run([*COMMAND, *map(str, args)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == status, f"status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def digests(run: Path) -> dict[str, str]:
    """SHA-256 of every file of a run that must be the same on every machine."""
    return {
        str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(run.rglob("*"))
        if path.is_file() and path.name not in LOCAL_FILES and not path.name.endswith(".part.json")
    }


def far_digests(run: str) -> dict[str, str]:
    """The same of a run at an address."""
    return {
        file.path.removeprefix(run + "/"): hashlib.sha256(storage.read_bytes(file.path)).hexdigest()
        for file in storage.find(run)
        if file.path.rsplit("/", 1)[-1] not in LOCAL_FILES and not file.path.endswith(".part.json")
    }


@pytest.fixture(scope="session")
def sample_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in sample, run straight through; not to be changed."""
    output = tmp_path_factory.mktemp("sample") / "run"
    llama_corpus("crawl-filter", "--output", output)
    return output


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs and evaluations that are planted in them (`across.plant`); not to be changed."""
    return across.plant(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="session")
def cleaned(planted: Path) -> Path:
    """What decontamination makes of them; not to be changed."""
    runs, output = (planted / "github", planted / "c4"), planted / "out"
    across.call("decontaminate", *runs, "--evaluations", planted / "evals", "--remove", "--output", output)
    return output
