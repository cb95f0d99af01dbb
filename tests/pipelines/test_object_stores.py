"""A run from and to an object store: the bytes of a local run, whoever writes, whatever is killed."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from corpus import storage
from corpus.sample import CRAWL
from tests.conftest import new_bucket
from tests.pipelines.conftest import COMMAND, ROOT, digests, far_digests, llama_corpus


@pytest.fixture(params=["s3", "gs"])
def bucket(request: pytest.FixtureRequest) -> str:
    """A bucket that holds the sample crawl below crawl/."""
    address = new_bucket(request.param, request)
    for path in sorted(CRAWL.rglob("*.gz")):
        storage.write_bytes(f"{address}/crawl/{path.relative_to(CRAWL)}", path.read_bytes())
    return address


def _arguments(bucket: str, *more: str) -> list[str]:
    root = f"{bucket}/crawl"
    return ["crawl-filter", "--input", root, "--input-root", root, "--output", f"{bucket}/run", *more]


def test_a_run_has_the_bytes_of_a_local_one(bucket: str, sample_run: Path) -> None:
    llama_corpus(*_arguments(bucket))
    assert far_digests(f"{bucket}/run") == digests(sample_run)
    assert "everything as written" in llama_corpus("verify", f"{bucket}/run").stdout
    before = {f.path: f.tag for f in storage.find(f"{bucket}/run") if f.path.endswith((".parquet", ".run"))}
    llama_corpus(*_arguments(bucket))
    assert {f.path: f.tag for f in storage.find(f"{bucket}/run") if f.path in before} == before
    path = next(path for path in before if "/documents/" in path)
    storage.write_bytes(path, storage.read_bytes(path)[:-1] + b"?")
    assert f"{path} does not have the sha256" in llama_corpus("verify", f"{bucket}/run", status=1).stdout


@pytest.mark.parametrize("bucket", ["s3"], indirect=True)
def test_two_workers_write_the_same_bytes(bucket: str, sample_run: Path) -> None:
    """What one process wrote another finds, whatever it has listed before."""
    llama_corpus(*_arguments(bucket, "--workers", "2"))
    assert far_digests(f"{bucket}/run") == digests(sample_run)


@pytest.mark.parametrize("bucket", ["s3"], indirect=True)
def test_a_run_that_is_killed_again_and_again_gets_to_its_end(bucket: str, sample_run: Path) -> None:
    rng = random.Random(20190716)
    for _ in range(3):
        process = subprocess.Popen(
            [*COMMAND, *_arguments(bucket)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while not storage.exists(f"{bucket}/run/export/settings.json") and process.poll() is None:
            time.sleep(0.05)
        time.sleep(rng.uniform(0.1, 1.5))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not storage.exists(f"{bucket}/run/manifest.json")
    llama_corpus(*_arguments(bucket))
    assert far_digests(f"{bucket}/run") == digests(sample_run)
    llama_corpus("verify", f"{bucket}/run")


@pytest.mark.parametrize("bucket", ["s3"], indirect=True)
def test_a_store_that_cannot_be_used_is_a_clear_error(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    none = f"{bucket}-that-is-none"
    arguments = ["crawl-filter", "--output", f"{none}/run"]
    assert f"output {none}/run cannot be written" in llama_corpus(*arguments, status=2).stderr
    assert "matches no file" in llama_corpus(*arguments, "--input", f"{none}/crawl", status=2).stderr
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for done in (
        llama_corpus(*_arguments(bucket), status=2),
        llama_corpus("crawl-filter", "--output", f"{bucket}/run", status=2),
    ):
        assert "Unable to locate credentials" in done.stderr
        assert "Traceback" not in done.stderr
