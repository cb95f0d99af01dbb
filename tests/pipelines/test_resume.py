"""A run killed at any moment goes on, and its bytes are those of a run that was never stopped."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from pathlib import Path

from corpus.sample import CRAWL
from tests.pipelines.conftest import COMMAND, ROOT, digests, llama_corpus

_KILLS = 10


def _start(output: Path) -> subprocess.Popen[bytes]:
    command = [*COMMAND, "crawl-filter", "--output", str(output)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_kill_9_at_ten_random_moments_changes_no_byte(sample_run: Path, tmp_path: Path) -> None:
    timing = json.loads((sample_run / "timing.json").read_text())
    seconds = sum(stage["wall_seconds"] for stage in timing.values())
    rng = random.Random(20190716)
    killed = 0
    for attempt in range(_KILLS):
        output = tmp_path / str(attempt)
        process = _start(output)
        while not (output / "export" / "settings.json").exists():  # written before the first part
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 1.2 * seconds))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        llama_corpus("crawl-filter", "--output", output)
        assert digests(output) == digests(sample_run)
        assert not list(output.rglob("*.tmp"))
    assert killed >= _KILLS // 2, "the kills came after the end"


def test_a_run_that_is_killed_again_and_again_gets_to_its_end(sample_run: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    for delay in (0.2, 0.5, 0.8, 1.1):
        process = _start(output)
        while not (output / "export" / "settings.json").exists():
            time.sleep(0.01)
        time.sleep(delay)
        process.kill()
        process.wait()
    llama_corpus("crawl-filter", "--output", output)
    assert digests(output) == digests(sample_run)


def test_two_workers_write_the_same_bytes_as_one(sample_run: Path, tmp_path: Path) -> None:
    llama_corpus("crawl-filter", "--output", tmp_path / "run", "--workers", 2)
    assert digests(tmp_path / "run") == digests(sample_run)


def test_through_a_remote_file_system_the_bytes_are_the_same(sample_run: Path, tmp_path: Path) -> None:
    """`file://` addresses take the way of object stores: fsspec, not the local calls."""
    args = ("--input", f"file://{CRAWL}", "--input-root", f"file://{CRAWL}", "--output", f"file://{tmp_path}")
    llama_corpus("crawl-filter", *args)
    assert digests(tmp_path) == digests(sample_run)
    llama_corpus("verify", f"file://{tmp_path}")


def test_a_finished_run_is_not_done_again(sample_run: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    llama_corpus("crawl-filter", "--output", output)
    parts = [p for p in output.rglob("*") if p.suffix in (".parquet", ".run", ".answer")]
    before = {p: p.stat().st_mtime_ns for p in parts}
    llama_corpus("crawl-filter", "--output", output)
    assert before == {p: p.stat().st_mtime_ns for p in before}


def test_a_part_that_is_lost_is_made_again(sample_run: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    llama_corpus("crawl-filter", "--output", output)
    (output / "annotated" / "part-00002.parquet").unlink()
    (output / "index" / "part-00001.part.json").unlink()
    llama_corpus("crawl-filter", "--output", output)
    assert digests(output) == digests(sample_run)
