"""Every source's sample through the real command: accounts, the same bytes, resume, new thresholds."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from corpus import recipe
from corpus.registry import BUILDS
from tests.builds import as_toml, rows, sample_of
from tests.pipelines.conftest import COMMAND, ROOT, digests, llama_corpus

_KILLS = 3


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folder of each source's straight run, made when it is first asked for; not to be changed."""

    class Runs(dict[str, Path]):
        def __missing__(self, source: str) -> Path:
            self[source] = tmp_path_factory.mktemp("build") / source
            llama_corpus("build", source, "--output", self[source])
            return self[source]

    return Runs()


@pytest.mark.parametrize("source", sorted(BUILDS))
def test_the_sample_is_accounted_for_and_whole(source: str, runs: dict[str, Path]) -> None:
    run = runs[source]
    counters = json.loads((run / "stats.json").read_bytes())["counters"]
    assert counters["in"] == sum(counters[name] for name in ("kept", "rejected", "bad", "merged"))
    documents = rows(run, "documents")
    assert len(documents) == counters["kept"] > 0
    assert counters["rejected"] > 0
    assert len({d["id"] for d in documents}) == len(documents)
    assert all(d["text"].strip() and d["bytes"] == len(d["text"].encode()) for d in documents)
    assert {d["source"] for d in documents} == {source}
    assert counters["bad"] == len(rows(run, "bad"))
    assert "everything as written" in llama_corpus("verify", run).stdout


@pytest.mark.parametrize("source", sorted(BUILDS))
def test_two_workers_and_a_remote_file_system_write_the_same_bytes(
    source: str, runs: dict[str, Path], tmp_path: Path
) -> None:
    llama_corpus("build", source, "--output", tmp_path / "two", "--workers", 2)
    assert digests(tmp_path / "two") == digests(runs[source])
    where = f"file://{sample_of(source)}"
    args = ("--input", where, "--input-root", where, "--output", f"file://{tmp_path}/remote")
    llama_corpus("build", source, *args)
    assert digests(tmp_path / "remote") == digests(runs[source])


@pytest.mark.parametrize("source", sorted(BUILDS))
def test_kill_9_at_random_moments_changes_no_byte(source: str, runs: dict[str, Path], tmp_path: Path) -> None:
    timing = json.loads((runs[source] / "timing.json").read_bytes())
    seconds = sum(stage["wall_seconds"] for stage in timing.values()) + 0.5  # between stages it works too
    rng = random.Random(source)
    output = tmp_path / "run"
    command = [*COMMAND, "build", source, "--output", str(output)]
    for _ in range(_KILLS):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(command, cwd=ROOT, **quiet) as process:  # type: ignore[call-overload]
            while not (output / "export" / "settings.json").exists() and process.poll() is None:
                time.sleep(0.01)
            time.sleep(rng.uniform(0, seconds))
            process.send_signal(signal.SIGKILL)
    llama_corpus("build", source, "--output", output)
    assert digests(output) == digests(runs[source])
    assert not list(output.rglob("*.tmp"))


def test_new_thresholds_need_no_new_reading(runs: dict[str, Path], tmp_path: Path) -> None:
    """And the same command with the old recipe would mix two, so it is refused."""
    run = tmp_path / "run"
    shutil.copytree(runs["github"], run)
    raw = recipe.to_dict(recipe.load("sample"))
    raw["github"]["max_line_length"] = 60
    strict = tmp_path / "strict.toml"
    strict.write_text(as_toml(raw))
    read = {path: path.stat().st_mtime_ns for path in (run / "annotated").iterdir()}

    before = len(rows(run, "documents"))
    llama_corpus("redecide", run, "--recipe", strict)
    assert 0 < len(rows(run, "documents")) < before
    assert read == {path: path.stat().st_mtime_ns for path in (run / "annotated").iterdir()}
    refused = llama_corpus("build", "github", "--output", run, status=2)
    assert "llama-corpus redecide" in refused.stderr
    llama_corpus("redecide", run, "--recipe", "sample")
    assert digests(run) == digests(runs["github"])


def test_what_the_user_got_wrong_is_told_before_any_work(tmp_path: Path) -> None:
    wrong = {
        ("--input", str(tmp_path / "none")): "matches no file",
        ("--until", "nowhere"): "has the stages extract",
        ("--recipe", "nothing"): "no built-in recipe",
        ("--no-such-option",): "unknown option",
    }
    for args, message in wrong.items():
        done = llama_corpus("build", "books", "--output", tmp_path / "run", *args, status=2)
        assert message in done.stderr
        assert not (tmp_path / "run").exists()
    assert "invalid choice" in llama_corpus("build", "nothing", "--output", tmp_path, status=2).stderr


def test_a_dry_run_says_what_would_be_done_and_does_nothing(tmp_path: Path) -> None:
    shown = llama_corpus("build", "wikipedia", "--output", tmp_path / "run", "--dry-run").stdout
    assert "every key of [wikipedia]" in shown
    assert "cited" in shown
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("source", sorted(BUILDS))
def test_documents_have_one_schema(source: str, runs: dict[str, Path]) -> None:
    schemas = {pq.read_schema(path) for path in (runs[source] / "documents").rglob("*.parquet")}
    assert len(schemas) == 1
