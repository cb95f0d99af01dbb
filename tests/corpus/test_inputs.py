"""Inputs: what the user names becomes an ordered list of files, and splits that respect blocks."""

import gzip
from pathlib import Path

import pytest

from corpus import inputs
from corpus.errors import UserError
from corpus.inputs import InputFile
from corpus.recipe import Dedup


def _touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * len(name))


def test_a_directory_is_read_to_the_bottom_in_order_of_names(tmp_path: Path) -> None:
    _touch(tmp_path, "b/2.wet", "a/1.wet", "b/1.wet", ".hidden")
    files = inputs.resolve([str(tmp_path)])
    assert [f.name for f in files] == ["a/1.wet", "b/1.wet", "b/2.wet"]


def test_the_same_tree_elsewhere_gives_the_same_names(tmp_path: Path) -> None:
    for place in ("here", "there/deep"):
        _touch(tmp_path / place, "x/1.wet", "x/2.wet")
    here = inputs.resolve([str(tmp_path / "here/x/*.wet")])
    there = inputs.resolve([str(tmp_path / "there/deep/x")])
    assert [f.name for f in here] == [f.name for f in there] == ["1.wet", "2.wet"]


def test_a_file_named_twice_counts_once(tmp_path: Path) -> None:
    _touch(tmp_path, "1.wet")
    assert len(inputs.resolve([str(tmp_path), str(tmp_path / "1.wet")])) == 1


@pytest.mark.parametrize("suffix", [".paths", ".paths.gz"])
def test_a_list_keeps_its_order_and_is_relative_to_its_folder(tmp_path: Path, suffix: str) -> None:
    _touch(tmp_path, "CC-MAIN-2019-30/b.wet", "CC-MAIN-2019-30/a.wet")
    text = b"# a comment\nCC-MAIN-2019-30/b.wet\n\nCC-MAIN-2019-30/a.wet\n"
    list_ = tmp_path / f"wet{suffix}"
    list_.write_bytes(gzip.compress(text) if suffix.endswith("gz") else text)
    files = inputs.resolve([str(list_)], str(tmp_path))
    assert [f.name for f in files] == ["CC-MAIN-2019-30/b.wet", "CC-MAIN-2019-30/a.wet"]
    assert {f.dump for f in files} == {"CC-MAIN-2019-30"}
    assert all(f.listed for f in files)


def test_wrong_inputs_are_errors_before_any_work(tmp_path: Path) -> None:
    _touch(tmp_path, "1.wet")
    (tmp_path / "list.paths").write_text("missing.wet\n")
    (tmp_path / "broken.paths.gz").write_bytes(gzip.compress(b"1.wet\n" * 1000)[:-10])
    with pytest.raises(UserError, match="no input"):
        inputs.resolve([])
    with pytest.raises(UserError, match=r"nothing.*matches no file"):
        inputs.resolve([str(tmp_path / "nothing*")])
    with pytest.raises(UserError, match=r"missing.wet, named in the list .*list.paths, does not exist"):
        inputs.resolve([str(tmp_path / "list.paths")])
    with pytest.raises(UserError, match="not readable gzip"):
        inputs.resolve([str(tmp_path / "broken.paths.gz")])
    with pytest.raises(UserError, match="below the input root"):
        inputs.resolve([str(tmp_path / "1.wet")], str(tmp_path / "other"))


def _files(count: int, dump: str, listed: bool) -> list[InputFile]:
    return [InputFile(f"{i:06d}.wet", f"/{i:06d}.wet", 1, "", dump, listed) for i in range(count)]


def test_a_listed_dump_has_ccnets_shards_and_blocks() -> None:
    splits = inputs.plan_splits(_files(72_000, "CC-MAIN-2019-30", listed=True), Dedup())
    assert len(splits) == 1600
    assert {len(s.files) for s in splits} == {45}
    assert [s.block for s in splits] == [i // 50 for i in range(1600)]


def test_a_small_input_is_one_block_of_one_file_a_split() -> None:
    splits = inputs.plan_splits(_files(100, "", listed=False), Dedup())
    assert len(splits) == 100
    assert {s.block for s in splits} == {0}


def test_splits_never_straddle_a_block_or_a_dump() -> None:
    files = _files(7, "CC-MAIN-2018-05", True) + _files(5, "CC-MAIN-2019-30", True)
    splits = inputs.plan_splits(files, Dedup(shards_per_dump=3, shards_per_block=1))
    assert [(s.dump[-7:], s.block, len(s.files)) for s in splits] == [
        ("2018-05", 0, 3),
        ("2018-05", 1, 3),
        ("2018-05", 2, 1),
        ("2019-30", 0, 2),
        ("2019-30", 1, 2),
        ("2019-30", 2, 1),
    ]
    assert [s.ordinal for s in splits] == list(range(6))
