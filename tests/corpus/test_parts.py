"""Parts: all or nothing, kept when they match, found out when they are altered."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus import manifests, parts
from corpus.errors import CorruptPartError
from corpus.manifests import read_manifest, write_manifest
from corpus.parts import PartSpec, PartWriter
from corpus.tally import BadRecord

SCHEMA = pa.schema([("n", pa.int64())])


def _spec(name: str = "part-00000", **changes: object) -> PartSpec:
    values: dict[str, object] = {"settings": {"a": 1}, "inputs": ("x",), "local_inputs": ("t1",)}
    return PartSpec("stage", name, **{**values, **changes})  # type: ignore[arg-type]


def _work(writer: PartWriter) -> None:
    with writer.parquet("data/part-00000.parquet", SCHEMA) as sink:
        sink.write(pa.RecordBatch.from_pydict({"n": [1, 2, 3]}, schema=SCHEMA))
    writer.tally.count("in", 3)


def _forbidden(writer: PartWriter) -> None:
    raise AssertionError("the part was made again")


def test_a_part_that_matches_is_kept_and_one_that_does_not_is_made_again(tmp_path: Path) -> None:
    root = str(tmp_path)
    made = parts.commit_part(root, _spec(), _work)
    assert made.files[0].rows == 3
    assert made.counters == {"in": 3}
    assert parts.commit_part(root, _spec(), _forbidden) == made
    for other in ({"settings": {"a": 2}}, {"inputs": ("y",)}, {"local_inputs": ("t2",)}):
        with pytest.raises(AssertionError):
            parts.commit_part(root, _spec(**other), _forbidden)
        parts.commit_part(root, _spec(), _work)
    (tmp_path / "data/part-00000.parquet").unlink()
    with pytest.raises(AssertionError):
        parts.commit_part(root, _spec(), _forbidden)


def test_threads_of_a_process_make_one_part_at_a_time(tmp_path: Path) -> None:
    """Kernels keep tables that threads must not share, and engines run tasks in threads."""
    at_once, most = [], []

    def works(writer: PartWriter) -> None:
        at_once.append(1)
        time.sleep(0.02)  # long enough for another thread to come in
        most.append(len(at_once))
        at_once.pop()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: parts.commit_part(str(tmp_path), _spec(f"part-{n}"), works), range(8)))
    assert most == [1] * 8


def test_work_that_fails_leaves_no_part_and_no_file(tmp_path: Path) -> None:
    def fails(writer: PartWriter) -> None:
        with writer.file("data/one.bin") as f:
            f.write(b"x")
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError):
        parts.commit_part(str(tmp_path), _spec(), fails)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_the_same_work_gives_the_same_digest_whenever_and_wherever(tmp_path: Path) -> None:
    one = parts.commit_part(str(tmp_path / "a"), _spec(), _work)
    two = parts.commit_part(str(tmp_path / "b/c"), _spec(local_inputs=("later",)), _work)
    assert one.digest == two.digest


def test_bad_records_are_a_file_of_the_part(tmp_path: Path) -> None:
    def work(writer: PartWriter) -> None:
        for i in range(25_000):
            writer.tally.bad(BadRecord("s", "f", i, "read", "garbage", "m" * 1000, b"\xff" * 100))

    part = parts.commit_part(str(tmp_path), _spec(), work)
    (file,) = part.files
    table = pq.read_table(tmp_path / file.path)
    assert table.num_rows == file.rows == part.counters["bad"] == part.counters["bad/garbage"] == 25_000
    assert len(table["message"][0].as_py()) == 300
    assert len(table["first_bytes"][0].as_py()) == 64


def test_a_bad_record_of_a_batch_that_was_flushed_at_the_end_is_not_lost(tmp_path: Path) -> None:
    part = parts.commit_part(
        str(tmp_path), _spec(), lambda w: w.tally.bad(BadRecord("s", "f", 0, "read", "x", "m"))
    )
    assert part.files[0].rows == 1


def test_altered_files_are_named(tmp_path: Path) -> None:
    part = parts.commit_part(str(tmp_path), _spec(), _work)
    path = tmp_path / part.files[0].path
    whole = path.read_bytes()
    assert parts.check_file(str(tmp_path), part.files[0]) is None
    path.write_bytes(whole[:-1])
    assert "bytes where its record says" in str(parts.check_file(str(tmp_path), part.files[0]))
    path.write_bytes(whole[:10] + bytes([whole[10] ^ 1]) + whole[11:])
    assert "sha256" in str(parts.check_file(str(tmp_path), part.files[0]))
    with (
        pytest.raises(CorruptPartError, match=r"part-00000.parquet.*delete it"),
        parts.open_part_file(str(tmp_path), part.files[0]),
    ):
        pass
    path.unlink()
    assert "missing" in str(parts.check_file(str(tmp_path), part.files[0]))


def test_a_manifest_of_many_parts_keeps_its_entries_in_parquet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifests, "_MANIFEST_ENTRIES", 3)
    made = [parts.commit_part(str(tmp_path), _spec(f"part-{i:05d}"), lambda w: None) for i in range(5)]
    write_manifest(str(tmp_path), "stage", made, {})
    assert "entries" not in read_manifest(str(tmp_path), "stage")[0]
    assert read_manifest(str(tmp_path), "stage")[1] == made
    beside = tmp_path / "stage/manifest.parts.parquet"
    pq.write_table(pq.read_table(beside).slice(1), beside)
    with pytest.raises(CorruptPartError, match=r"manifest.parts.parquet"):
        read_manifest(str(tmp_path), "stage")


def test_parts_out_of_the_plan_are_deleted(tmp_path: Path) -> None:
    made = [parts.commit_part(str(tmp_path), _spec(f"part-{i:05d}"), _work) for i in range(2)]
    write_manifest(str(tmp_path), "stage", made[:1], {})
    assert parts.read_record(str(tmp_path), "stage", "part-00001") is None
