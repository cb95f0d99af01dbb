"""A store that fails now and then changes nothing in what is written; one that always does is an error."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import fsspec
import pytest

from corpus import storage
from corpus.sample import CRAWL
from tests.conftest import new_bucket
from tests.failing_proxy import (
    DENIED,
    ERROR_IN_200,
    INTERNAL,
    KINDS,
    LOST,
    RESET,
    SHORT,
    SLOW_DOWN,
    FailingStore,
    serve,
)
from tests.pipelines.conftest import COMMAND, ROOT, digests, far_digests, llama_corpus
from tests.shared import DATA, needs

_RATE = 0.05
_PART = 5 << 20  # the least that S3 takes at a time
_REAL = DATA / "commoncrawl"
_ANY_REQUEST = {kind for kind in KINDS if kind != ERROR_IN_200}


@pytest.fixture
def bucket(request: pytest.FixtureRequest) -> str:
    """An empty bucket; this process asks for it where nothing fails."""
    return new_bucket("s3", request)


def _upload(folder: Path, bucket: str) -> str:
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        storage.write_bytes(f"{bucket}/crawl/{path.relative_to(folder)}", path.read_bytes())
    return f"{bucket}/crawl"


def _at(url: str, *args: str, tries: int | None = None) -> subprocess.CompletedProcess[str]:
    """A command that asks the store at this address."""
    environment = {**os.environ, "AWS_ENDPOINT_URL": url, "AWS_EC2_METADATA_DISABLED": "true"}
    if tries:
        environment["AWS_MAX_ATTEMPTS"] = str(tries)
    return subprocess.run(args, cwd=ROOT, env=environment, capture_output=True, text=True)


def _crawl_filter(root: str, output: str, workers: int = 1) -> list[str]:
    options = ["--input", root, "--input-root", root, "--output", output, "--workers", str(workers)]
    return [*COMMAND, "crawl-filter", *options]


def _compare(crawl: Path, local: Path, bucket: str, workers: int, at_least: int) -> None:
    """A run from and to a failing store has the bytes of a local one, as has a second look at it."""
    root, store = _upload(crawl, bucket), FailingStore(seed=16, rate=_RATE)
    with serve(store) as url:
        done = _at(url, *_crawl_filter(root, f"{bucket}/run", workers))
        assert done.returncode == 0, done.stderr
    print(f"{store.requests} requests, {store.failures.total()} failures: {dict(store.failures)}")
    assert store.failures.total() >= at_least
    assert set(store.failures) == _ANY_REQUEST  # all that can befall these requests did
    assert far_digests(f"{bucket}/run") == digests(local)
    assert "everything as written" in llama_corpus("verify", f"{bucket}/run").stdout


def test_the_sample_from_and_to_a_store_that_fails_is_that_of_a_local_run(
    bucket: str, sample_run: Path
) -> None:
    _compare(CRAWL, sample_run, bucket, workers=1, at_least=30)


@pytest.mark.slow
def test_two_workers_write_the_same_bytes(bucket: str, sample_run: Path) -> None:
    _compare(CRAWL, sample_run, bucket, workers=2, at_least=30)


@pytest.mark.slow
@needs(_REAL)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_real_crawl_from_and_to_a_store_that_fails(bucket: str, workers: int, tmp_path: Path) -> None:
    llama_corpus("crawl-filter", "--input", _REAL, "--input-root", _REAL, "--output", tmp_path)
    _compare(_REAL, tmp_path, bucket, workers, at_least=100)


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_beside_what_it_left(bucket: str, sample_run: Path) -> None:
    """Of an upload that a killed process began, and its parts, nothing is seen and nothing taken."""
    root, run = _upload(CRAWL, bucket), f"{bucket}/run"
    fs = fsspec.filesystem("s3", use_listings_cache=False)
    begun = {"Bucket": bucket.removeprefix("s3://"), "Key": "run/annotated/part-00000.parquet"}
    upload = fs.call_s3("create_multipart_upload", **begun)["UploadId"]
    fs.call_s3("upload_part", **begun, UploadId=upload, PartNumber=1, Body=b"half a part")
    with serve(FailingStore(seed=1, rate=_RATE, kinds=(RESET, LOST, SHORT))) as url:
        environment = {**os.environ, "AWS_ENDPOINT_URL": url}
        with subprocess.Popen(
            _crawl_filter(root, run), cwd=ROOT, env=environment, stderr=subprocess.DEVNULL
        ) as process:
            while not storage.find(f"{run}/annotated") and process.poll() is None:
                time.sleep(0.05)
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        assert storage.find(f"{run}/annotated")
        assert not storage.exists(f"{run}/manifest.json")
        done = _at(url, *_crawl_filter(root, run))
    assert done.returncode == 0, done.stderr
    assert far_digests(run) == digests(sample_run)
    assert "everything as written" in llama_corpus("verify", run).stdout


_WRITE = f"""
import random, sys
from corpus import storage
storage._UPLOAD_BYTES = {_PART}
for i in range(6):
    storage.write_bytes(f"{{sys.argv[1]}}/{{i}}", random.Random(i).randbytes({_PART} + i))
"""


@pytest.mark.parametrize("kind", [ERROR_IN_200, LOST])
def test_an_object_of_several_parts_is_whole_whatever_request_fails(kind: str, bucket: str) -> None:
    store = FailingStore(seed=3, rate=0.3, kinds=(kind,))
    with serve(store) as url:
        done = _at(url, sys.executable, "-c", _WRITE, bucket)
    assert done.returncode == 0, done.stderr
    assert store.failures[kind] > 0
    for i in range(6):
        assert storage.read_bytes(f"{bucket}/{i}") == random.Random(i).randbytes(_PART + i)
    fs = fsspec.filesystem("s3", use_listings_cache=False)
    # An upload is begun again when the answer to its beginning is lost: the first stays, unseen.
    assert kind == LOST or fs.list_multipart_uploads(bucket.removeprefix("s3://")) == []


@pytest.mark.parametrize(
    ("kind", "arguments", "address"),
    [
        (SLOW_DOWN, "crawl-filter --output {bucket}/run", "run/manifest.json"),
        (INTERNAL, "crawl-filter --input {bucket}/crawl --output {tmp_path}", "crawl"),
        (DENIED, "verify {bucket}/run", "run/manifest.json"),
    ],
)
def test_a_store_that_always_fails_is_a_clear_error(
    kind: str, arguments: str, address: str, bucket: str, tmp_path: Path
) -> None:
    store = FailingStore(seed=0, rate=1.0, kinds=(kind,))
    with serve(store) as url:
        done = _at(url, *COMMAND, *arguments.format(bucket=bucket, tmp_path=tmp_path).split(), tries=1)
    _says(done, f"{bucket}/{address}")
    assert store.requests == (1 if kind == DENIED else 5)


def test_a_store_that_is_not_there_is_a_clear_error(bucket: str) -> None:
    done = _at("http://127.0.0.1:9", *COMMAND, "crawl-filter", "--output", f"{bucket}/run", tries=1)
    _says(done, f"{bucket}/run/manifest.json")
    assert "http://127.0.0.1:9/" in done.stderr


def test_a_store_that_goes_down_is_a_clear_error_and_the_run_goes_on(bucket: str, sample_run: Path) -> None:
    store = FailingStore(seed=0, rate=1.0, kinds=(SLOW_DOWN,), well=150)
    with serve(store) as url:
        _says(_at(url, *COMMAND, "crawl-filter", "--output", f"{bucket}/run", tries=1), f"{bucket}/run/")
    assert store.failures[SLOW_DOWN] >= 5
    assert storage.find(f"{bucket}/run/**/*.part.json")
    llama_corpus("crawl-filter", "--output", f"{bucket}/run")
    assert far_digests(f"{bucket}/run") == digests(sample_run)


def _says(done: subprocess.CompletedProcess[str], address: str) -> None:
    """What cannot be reached and what to do, without a trace; status 1 where a step met it first."""
    assert done.returncode in (1, 2), done.stderr
    assert f"llama-corpus: {address}" in done.stderr
    assert "cannot be reached" in done.stderr
    assert "AWS_ENDPOINT_URL" in done.stderr
    assert "Traceback" not in done.stderr
