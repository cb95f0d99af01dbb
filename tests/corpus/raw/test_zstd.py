"""Files of zstd frames, with and without a dictionary, sound and damaged."""

from __future__ import annotations

import io
import random
import resource
import time

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.recipe import Limits
from corpus.sources.commoncrawl.warc import Record, read_records
from tests.corpus.sources.commoncrawl_files import record

RECORDS = [record(f"Title {n}\n" + f"a line of record {n}\n" * 200, n) for n in range(5)]
ALL = b"".join(RECORDS)
PACKER = zstandard.ZstdCompressor(write_checksum=True)
DICTIONARY = zstandard.train_dictionary(4096, [record(f"Title {n}\na line {n * 7}\n", n) for n in range(500)])
RAW_DICTIONARY = DICTIONARY.as_bytes()
WITH_DICTIONARY = zstandard.ZstdCompressor(dict_data=DICTIONARY)
FRAMES = [PACKER.compress(r) for r in RECORDS]
DICTIONARY_FRAMES = b"".join(map(WITH_DICTIONARY.compress, RECORDS))
NUMBERS = ["0", "1", "2", "3", "4"]


def skippable(data: bytes, magic: bytes = b"\x5d\x2a\x4d\x18") -> bytes:
    return magic + len(data).to_bytes(4, "little") + data


def frame(data: bytes, **limits: int) -> list[tuple[int, str]]:
    found = []
    for item in read_records(io.BytesIO(data), Limits(**limits), frozenset({"conversion"})):
        is_record = isinstance(item, Record)
        name = item.headers[b"warc-record-id"].decode()[10:-1] if isinstance(item, Record) else ""
        assert (
            not isinstance(item, Record) or item.body == RECORDS[int(name) % 5].partition(b"\r\n\r\n")[2][:-4]
        )
        found.append((item.offset, name if is_record else getattr(item, "reason", "")))
    return found


def names(data: bytes, **limits: int) -> list[str]:
    return [name for _, name in frame(data, **limits)]


class TestSoundFiles:
    def test_a_frame_a_record(self) -> None:
        starts = [sum(map(len, FRAMES[:n])) for n in range(5)]
        assert frame(b"".join(FRAMES)) == list(zip(starts, NUMBERS, strict=True))

    def test_one_frame_over_all(self) -> None:
        assert names(PACKER.compress(ALL)) == NUMBERS
        stream = zstandard.ZstdCompressor().compressobj()  # without its length or a checksum
        assert names(stream.compress(ALL) + stream.flush()) == NUMBERS

    @pytest.mark.parametrize("block", [1, 64, 777])
    def test_frames_cut_anywhere(self, block: int) -> None:
        data = ALL[: 9000 if block > 1 else len(RECORDS[0])]
        frames = (PACKER.compress(data[i : i + block]) for i in range(0, len(data), block))
        assert names(b"".join(frames))[0] == "0"

    @pytest.mark.parametrize("dictionary", [RAW_DICTIONARY, PACKER.compress(RAW_DICTIONARY)])
    def test_a_dictionary_at_the_start(self, dictionary: bytes) -> None:
        found = frame(skippable(dictionary) + DICTIONARY_FRAMES)
        assert [name for _, name in found] == NUMBERS
        assert found[0][0] == len(dictionary) + 8

    def test_other_skippable_frames_are_passed_over(self) -> None:
        other = skippable(b"x" * 100_000, b"\x50\x2a\x4d\x18")
        later = skippable(RAW_DICTIONARY)
        assert names(FRAMES[0] + other + FRAMES[1] + later + FRAMES[2] + skippable(b"")) == NUMBERS[:3]
        assert names(other + FRAMES[0]) == ["0"]

    def test_large_records(self) -> None:
        noise = random.Random(1).randbytes(3 << 20)
        data = zstandard.ZstdCompressor().compress(record(noise, 9)) + FRAMES[0]
        items = list(read_records(io.BytesIO(data), Limits(), frozenset({"conversion"})))
        assert [item.body for item in items if isinstance(item, Record)] == [
            noise,
            RECORDS[0].partition(b"\r\n\r\n")[2][:-4],
        ]


class TestDamage:
    def test_an_altered_frame_costs_no_other(self) -> None:
        bad = bytearray(FRAMES[1])
        bad[len(bad) // 2] ^= 0xFF
        start = len(FRAMES[0])
        assert frame(FRAMES[0] + bad + FRAMES[2])[1:] == [(start, "bad_zstd"), (start + len(bad), "2")]

    def test_a_wrong_checksum(self) -> None:
        assert names(FRAMES[0] + FRAMES[1][:-1] + b"?" + FRAMES[2]) == ["0", "bad_zstd", "2"]

    def test_a_cut_frame_before_others(self) -> None:
        assert names(FRAMES[0] + FRAMES[1][:-9] + FRAMES[2] + FRAMES[3]) == ["0", "bad_zstd", "2", "3"]

    @pytest.mark.parametrize("cut", [1, 4, 20, 130])
    def test_a_cut_file(self, cut: int) -> None:
        assert names(FRAMES[0] + FRAMES[1][:-cut]) == ["0", "truncated_zstd"]

    def test_garbage_between_frames(self) -> None:
        assert names(FRAMES[0] + b"junk" + FRAMES[1]) == ["0", "garbage", "1"]

    @pytest.mark.parametrize(
        ("start", "reason"),
        [
            (b"", "bad_zstd"),
            (skippable(b"no dictionary"), "bad_dictionary"),
            (skippable(PACKER.compress(RAW_DICTIONARY)[:-5]), "bad_dictionary"),
            (skippable(PACKER.compress(bytes(33 << 20))), "bad_dictionary"),
            (b"\x5d\x2a\x4d\x18\xff\xff\xff\x7f", "bad_dictionary"),
        ],
    )
    def test_a_file_whose_dictionary_is_missing_or_damaged_is_bad(self, start: bytes, reason: str) -> None:
        assert frame(start + DICTIONARY_FRAMES) == [(0, reason)]

    def test_a_skippable_frame_beyond_the_file(self) -> None:
        assert names(FRAMES[0] + b"\x50\x2a\x4d\x18\xff\xff\xff\x7f" + FRAMES[1]) == [
            "0",
            "truncated_zstd",
            "1",
        ]

    def test_a_bomb_is_left_at_once(self) -> None:
        bomb = PACKER.compress(record(bytes(256 << 20), 7))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert names(FRAMES[0] + bomb + FRAMES[1]) == ["0", "zstd_bomb", "1"]
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 << 10

    @given(st.data())
    @settings(max_examples=200, deadline=None)
    def test_any_damage_ends_and_leaves_the_last_record(self, data: st.DataObject) -> None:
        packed = FRAMES[0] + FRAMES[1]
        at = data.draw(st.integers(4, len(packed) - 1))
        noise = data.draw(st.binary(max_size=20))
        damaged = packed[:at] + noise + packed[at + data.draw(st.integers(0, 20)) :]
        assert read_all(damaged + FRAMES[2])[-1] == "2"

    @pytest.mark.parametrize(
        "junk", [b"\x28\xb5\x2f\xfd" * 100_000, FRAMES[0][:-4] * 2_000], ids=["magic", "cut"]
    )
    def test_the_search_for_the_next_frame_is_linear(self, junk: bytes) -> None:
        before = time.process_time()
        assert read_all(FRAMES[1] + junk + FRAMES[2])[0] == "1"
        assert time.process_time() - before < 10


def read_all(data: bytes) -> list[str]:
    """Numbers and reasons, whatever the bodies."""
    items = read_records(io.BytesIO(data), Limits(), frozenset())
    return [
        i.headers[b"warc-record-id"].decode()[10:-1] if isinstance(i, Record) else i.reason for i in items
    ]
