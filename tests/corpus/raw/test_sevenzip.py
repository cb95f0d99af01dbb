"""7z archives as streams: every method, altered and hostile archives, memory."""

from __future__ import annotations

import random
import struct
import zlib
from pathlib import Path
from typing import Any

import py7zr
import pytest

from corpus.raw.damage import Unreadable
from corpus.raw.sevenzip import open_members

METHODS = {
    "lzma2": [{"id": py7zr.FILTER_LZMA2, "preset": 6}],
    "lzma": [{"id": py7zr.FILTER_LZMA, "preset": 6}],
    "bcj": [{"id": py7zr.FILTER_X86}, {"id": py7zr.FILTER_LZMA2, "preset": 6}],
    "bzip2": [{"id": py7zr.FILTER_BZIP2}],
    "deflate": [{"id": py7zr.FILTER_DEFLATE}],
    "copy": [{"id": py7zr.FILTER_COPY}],
}
REASONS = {"bad_7z", "truncated_7z", "7z_bomb", "7z_method", "7z_password"}


def prose(size: int, seed: int) -> bytes:
    rng = random.Random(seed)
    return b" ".join(b"%x" % rng.randrange(5000) for _ in range(size // 4))


FILES = {"one.xml": prose(300_000, 1), "empty": b"", "folder/two.xml": prose(100_000, 2), "three": b"x"}


def archive(path: Path, files: dict[str, bytes], method: str = "lzma2", times: int = 1) -> Path:
    for number in range(times):
        with py7zr.SevenZipFile(path, "a" if number else "w", filters=METHODS[method]) as f:
            for name, data in files.items():
                f.writestr(data, f"{number}/{name}" if times > 1 else name)
    return path


def read_all(path: Path, ratio: int = 1000) -> dict[str, bytes]:
    return {name: stream.read() for name, stream in open_members(str(path), ratio)}


@pytest.mark.parametrize("method", METHODS)
def test_every_file_comes_out_as_it_went_in(method: str, tmp_path: Path) -> None:
    assert read_all(archive(tmp_path / "a.7z", FILES, method)) == FILES


def test_blocks_follow_each_other(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.7z", FILES, times=3)
    assert read_all(path) == {f"{n}/{name}": data for n in range(3) for name, data in FILES.items()}


def test_files_that_are_not_read_are_passed_over(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.7z", FILES, times=2)
    found = [stream.read() for name, stream in open_members(str(path), 1000) if name.endswith("two.xml")]
    assert found == [FILES["folder/two.xml"]] * 2
    begun = [stream.read(10) for _, stream in open_members(str(path), 1000)]
    assert begun == [data[:10] for data in FILES.values()] * 2


def test_a_stream_left_behind_cannot_be_read(tmp_path: Path) -> None:
    members = open_members(str(archive(tmp_path / "a.7z", FILES)), 1000)
    _, first = next(members)
    assert next(members)[0] == "empty"
    _, third = next(members)
    assert third.read(1)
    with pytest.raises(ValueError, match="another file"):
        first.read()


def test_a_bomb_stops_at_the_ratio(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.7z", {"zeros": bytes(300 << 20)})
    read = []

    def run() -> None:
        for _, stream in open_members(str(path), 1000):
            while data := stream.read(1 << 20):
                read.append(len(data))

    with pytest.raises(Unreadable, match="decompress to") as caught:
        run()
    assert caught.value.reason == "7z_bomb"
    assert sum(read) < 100 << 20


@pytest.mark.parametrize(
    "filters", [[{"id": py7zr.FILTER_ZSTD, "level": 3}], [{"id": py7zr.FILTER_BROTLI, "level": 3}]]
)
def test_methods_that_may_give_gigabytes_at_once_are_refused(filters: list[Any], tmp_path: Path) -> None:
    with py7zr.SevenZipFile(tmp_path / "a.7z", "w", filters=filters) as f:
        f.writestr(b"text", "a")
    with pytest.raises(Unreadable) as caught:
        read_all(tmp_path / "a.7z")
    assert caught.value.reason == "7z_method"


def test_a_dictionary_of_gigabytes_is_refused(tmp_path: Path) -> None:
    with py7zr.SevenZipFile(tmp_path / "a.7z", "w", filters=METHODS["lzma2"]) as f:
        f.set_encoded_header_mode(False)
        f.writestr(b"text", "a")
    data = bytearray((tmp_path / "a.7z").read_bytes())
    at = data.index(b"\x21\x21\x01") + 3  # method LZMA2, one byte of properties: its dictionary
    data[at] = 39  # 3 GiB
    offset, size = struct.unpack_from("<QQ", data, 12)
    struct.pack_into("<I", data, 28, zlib.crc32(data[32 + offset : 32 + offset + size]))
    struct.pack_into("<I", data, 8, zlib.crc32(data[12:32]))
    (tmp_path / "a.7z").write_bytes(data)
    with pytest.raises(Unreadable, match="a dictionary of 3221225472 bytes") as caught:
        read_all(tmp_path / "a.7z")
    assert caught.value.reason == "7z_method"


def test_an_encrypted_archive_is_told(tmp_path: Path) -> None:
    with py7zr.SevenZipFile(tmp_path / "a.7z", "w", password="secret") as f:
        f.writestr(b"text", "a")
    with pytest.raises(Unreadable) as caught:
        read_all(tmp_path / "a.7z")
    assert caught.value.reason == "7z_password"


@pytest.mark.parametrize("data", [b"", b"7z", b"7z\xbc\xaf\x27\x1c", b"no archive at all" * 100])
def test_what_is_no_archive_is_told(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.7z").write_bytes(data)
    with pytest.raises(Unreadable) as caught:
        read_all(tmp_path / "a.7z")
    assert caught.value.reason == "bad_7z"


@pytest.mark.parametrize("method", METHODS)
def test_altered_archives_are_read_or_told(method: str, tmp_path: Path) -> None:
    """Every altered byte is found by a checksum, unless it is one that means nothing."""
    small = {name: data[:2000] for name, data in FILES.items()}
    data = archive(tmp_path / "a.7z", small, method).read_bytes()
    rng = random.Random(7)
    told = 0
    for trial in range(300):
        altered = bytearray(data)
        if trial % 3:
            altered[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        else:
            del altered[rng.randrange(len(data)) :]
        (tmp_path / "b.7z").write_bytes(altered)
        found: Any = None
        try:
            found = read_all(tmp_path / "b.7z")
        except Unreadable as error:
            told += error.reason in REASONS
        else:
            assert found == small
    assert told > 250
