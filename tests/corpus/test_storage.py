"""Storage: whole files or none, local or remote, by one set of calls."""

from __future__ import annotations

import gc
import os
import random
import subprocess
import sys
from pathlib import Path

import fsspec
import pytest

from corpus import storage
from tests.conftest import new_bucket


@pytest.fixture(params=["local", "file", "memory", "s3", "gs"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "local":
        return str(tmp_path)
    if request.param == "file":
        return f"file://{tmp_path}"
    if request.param in ("s3", "gs"):
        return new_bucket(request.param, request)
    fsspec.filesystem("memory").store.clear()
    return "memory://bucket"


def test_a_file_is_there_when_the_block_ends_and_not_before(root: str) -> None:
    path = storage.join(root, "deep", "file.bin")
    with storage.write(path) as f:
        f.write(b"one")
        assert not storage.exists(path)
        f.write(b"two")
    assert storage.read_bytes(path) == b"onetwo"
    assert storage.info(path).size == 6


def test_a_block_that_raises_leaves_nothing_and_keeps_what_was_there(root: str) -> None:
    path = storage.join(root, "file.bin")
    storage.write_bytes(path, b"old")

    def fail(target: str) -> None:
        with storage.write(target) as f:
            f.write(b"new")
            raise RuntimeError("half-way")

    for target in (path, storage.join(root, "other.bin")):
        with pytest.raises(RuntimeError):
            fail(target)
    assert storage.read_bytes(path) == b"old"
    assert not storage.exists(storage.join(root, "other.bin"))
    assert [f.path.rsplit("/", 1)[1] for f in storage.find(root)] == ["file.bin"]


_STORES = pytest.mark.parametrize("root", ["s3", "gs"], indirect=True)
_UPLOAD = 5 << 20  # the least that S3 takes at a time


def _unfinished_uploads(root: str) -> list[str]:
    """Of S3: uploads of several parts that were begun and neither ended nor taken back."""
    if not root.startswith("s3://"):
        return []
    fs = fsspec.filesystem("s3", use_listings_cache=False)
    return [upload["Key"] for upload in fs.list_multipart_uploads(root.removeprefix("s3://"))]


@_STORES
@pytest.mark.parametrize("size", [0, 1000, 2 * _UPLOAD + 1000])
def test_an_object_appears_whole_or_not_at_all(root: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_UPLOAD_BYTES", _UPLOAD)
    data, path = random.Random(size).randbytes(size), f"{root}/deep/file.bin"

    def fail() -> None:
        with storage.write(path) as f:
            f.write(data)
            raise RuntimeError("at the end")

    if not (root.startswith("gs://") and size > _UPLOAD):  # this server takes no upload back
        with pytest.raises(RuntimeError):
            fail()
    gc.collect()  # a file that is forgotten must not be uploaded then
    assert storage.find(root) == []
    assert _unfinished_uploads(root) == []
    with storage.write(path) as f:
        for start in range(0, size, 1 << 20):
            f.write(data[start : start + (1 << 20)])
        assert storage.find(root) == []
    assert storage.read_bytes(path) == data
    assert [(f.path, f.size) for f in storage.find(root)] == [(path, size)]
    assert _unfinished_uploads(root) == []


_WRITE_AND_WAIT = f"""
import sys
from corpus import storage
storage._UPLOAD_BYTES = {_UPLOAD}
with storage.write(sys.argv[1]) as f:
    for _ in range(12):
        f.write(bytes(1 << 20))
    print("written", flush=True)
    sys.stdin.read()
"""


@_STORES
def test_of_a_killed_writer_nothing_is_seen(root: str) -> None:
    path = f"{root}/file.bin"
    command = [sys.executable, "-c", _WRITE_AND_WAIT, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"written\n"
        writer.kill()
    assert not storage.exists(path)
    assert storage.find(root) == []
    storage.write_bytes(path, b"again")
    assert storage.read_bytes(path) == b"again"


@_STORES
def test_what_another_process_writes_is_seen_at_once(root: str) -> None:
    storage.write_bytes(f"{root}/folder/one", b"1")
    assert [f.size for f in storage.find(f"{root}/folder/*")] == [1]
    code = "import sys; from corpus import storage; storage.write_bytes(sys.argv[1], b'22')"
    for name in ("one", "two"):
        subprocess.run([sys.executable, "-c", code, f"{root}/folder/{name}"], check=True)
        assert storage.info(f"{root}/folder/{name}").size == 2
        assert storage.read_bytes(f"{root}/folder/{name}") == b"22"
    assert [f.size for f in storage.find(f"{root}/folder")] == [2, 2]


@_STORES
def test_a_few_bytes_of_an_object_are_not_fetched_with_millions(root: str) -> None:
    data = random.Random(1).randbytes(3 << 20)
    storage.write_bytes(f"{root}/file.bin", data)
    with storage.open_read(f"{root}/file.bin", ahead=1 << 10) as f:
        f.seek(1 << 20)
        assert f.read(10) == data[1 << 20 : (1 << 20) + 10]
        assert len(f.cache.cache) <= (1 << 10) + 10  # type: ignore[attr-defined]


def test_find_takes_directories_globs_and_files_sorted(root: str) -> None:
    for name in ("b/2.wet", "a/1.wet", "b/1.txt"):
        storage.write_bytes(storage.join(root, name), name.encode())
    assert [f.path[len(root) + 1 :] for f in storage.find(root)] == ["a/1.wet", "b/1.txt", "b/2.wet"]
    assert [f.path[len(root) + 1 :] for f in storage.find(f"{root}/*/*.wet")] == ["a/1.wet", "b/2.wet"]
    assert [f.size for f in storage.find(f"{root}/a/1.wet")] == [7]
    assert storage.find(f"{root}/nowhere") == []


def test_files_are_read_by_range_and_removed(root: str) -> None:
    path = storage.join(root, "file.bin")
    storage.write_bytes(path, bytes(range(100)))
    with storage.open_read(path) as f:
        f.seek(40)
        assert f.read(3) == bytes([40, 41, 42])
    storage.remove(path)
    storage.remove(path)
    assert not storage.exists(path)
    with pytest.raises(FileNotFoundError):
        storage.info(path)


def test_an_overwritten_file_has_another_identity(tmp_path: Path) -> None:
    path = str(tmp_path / "file.bin")
    storage.write_bytes(path, b"one")
    before = storage.info(path)
    os.utime(path, ns=(0, 0))
    assert storage.info(path) != before


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_what_a_killed_writer_left_is_deleted(tmp_path: Path, scheme: str) -> None:
    left = tmp_path / "annotated" / ".part-00000.parquet.0123.tmp"
    left.parent.mkdir()
    left.write_bytes(b"half")
    (tmp_path / "annotated" / "part-00000.parquet").write_bytes(b"whole")
    storage.remove_temporary(f"{scheme}{tmp_path}")
    assert [p.name for p in left.parent.iterdir()] == ["part-00000.parquet"]
