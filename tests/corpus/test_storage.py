"""Storage: whole files or none, local or remote, by one set of calls."""

from __future__ import annotations

import os
from pathlib import Path

import fsspec
import pytest

from corpus import storage


@pytest.fixture(params=["local", "file", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "local":
        return str(tmp_path)
    if request.param == "file":
        return f"file://{tmp_path}"
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


def test_what_a_killed_writer_left_is_deleted(tmp_path: Path) -> None:
    left = tmp_path / "annotated" / ".part-00000.parquet.0123.tmp"
    left.parent.mkdir()
    left.write_bytes(b"half")
    (tmp_path / "annotated" / "part-00000.parquet").write_bytes(b"whole")
    storage.remove_temporary(str(tmp_path))
    assert [p.name for p in left.parent.iterdir()] == ["part-00000.parquet"]
