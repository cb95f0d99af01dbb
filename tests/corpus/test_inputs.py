"""Inputs: what the user names becomes an ordered list of files, and splits that respect blocks."""

import gzip
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest

from corpus import inputs, storage, web
from corpus.cache import CACHE_VARIABLE
from corpus.errors import UserError
from corpus.inputs import InputFile
from corpus.recipe import Dedup, Network
from corpus.web import clients
from tests.corpus.web_server import Fault, Site, serve


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


def test_a_slice_of_a_dump_has_the_blocks_of_the_whole() -> None:
    files = [replace(f, dump_files=56_000) for f in _files(100, "CC-MAIN-2019-30", listed=True)]
    splits = inputs.plan_splits(files, Dedup())
    assert len(splits) == 100
    assert {s.block for s in splits} == {0}
    assert {s.block for s in inputs.plan_splits(_files(100, "CC-MAIN-2019-30", listed=True), Dedup())} == {
        0,
        1,
    }


DUMP = "crawl-data/CC-MAIN-2019-30"
WET = [f"{DUMP}/segments/{n}/wet/CC-MAIN-{n}.warc.wet.gz" for n in (7, 3, 5)]
WARC = [f"{DUMP}/segments/7/warc/CC-MAIN-7.warc.gz"]
LISTS = {
    f"{DUMP}/wet.paths.gz": gzip.compress("\n".join(WET).encode()),
    f"{DUMP}/warc.paths.gz": gzip.compress("\n".join(WARC).encode()),
}


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Site]:
    """CommonCrawl's site, of one small dump; a request more than needed fails."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    quick = web.Client(Network(requests_per_second=1e6, tries=2), lambda seconds: None)
    monkeypatch.setattr(clients, "_client", quick)
    with serve(dict(LISTS)) as site:
        monkeypatch.setattr(inputs, "_SITE", site.address)
        yield site


@pytest.fixture
def bucket() -> str:
    """The same in an object store."""
    fsspec.filesystem("memory").store.clear()
    for name, data in LISTS.items():
        storage.write_bytes(f"memory://bucket/{name}", data)
    return "memory://bucket"


def test_a_dump_by_name_is_its_list_without_a_request_for_each_file(site: Site) -> None:
    files = inputs.resolve(["cc:CC-MAIN-2019-30"])
    assert [f.name for f in files] == WET
    assert [f.path for f in files] == [f"{site.address}/{name}" for name in WET]
    assert {(f.size, f.tag, f.dump, f.listed, f.dump_files) for f in files} == {
        (131_000_000, "", "CC-MAIN-2019-30", True, 0)
    }
    assert [path for _, path, _ in site.requests] == [f"/{DUMP}/wet.paths.gz"]
    (warc,) = inputs.resolve(["cc:CC-MAIN-2019-30/warc"])
    assert (warc.name, warc.size) == (WARC[0], 1_028_000_000)


def test_a_slice_of_a_dump_is_named_like_the_whole(site: Site) -> None:
    files = inputs.resolve(["cc:CC-MAIN-2019-30[0:2]"])
    assert [f.name for f in files] == WET[:2]
    assert {f.dump_files for f in files} == {3}
    for slice_, names in {"[1:]": WET[1:], "[:1]": WET[:1], "[2:9]": WET[2:], "[:]": WET}.items():
        assert [f.name for f in inputs.resolve([f"cc:CC-MAIN-2019-30{slice_}"])] == names


def test_a_dump_from_another_place_has_the_same_names(site: Site, bucket: str) -> None:
    assert [f.name for f in inputs.resolve([f"cc:CC-MAIN-2019-30@{bucket}/"])] == WET
    files = inputs.resolve([f"cc:CC-MAIN-2019-30@{bucket}[0:1]"])
    assert [f.path for f in files] == [f"{bucket}/{WET[0]}"]
    assert inputs.resolve([f"cc:CC-MAIN-2019-30[0:1]@{bucket}"]) == files
    site.files |= {f"mirror/{name}": data for name, data in LISTS.items()}
    mirror = f"{site.address}/mirror"
    assert [f.name for f in inputs.resolve([f"cc:CC-MAIN-2019-30/wet@{mirror}/"])] == WET
    assert [f.path for f in inputs.resolve([f"@{mirror}/{DUMP}/warc.paths.gz"])] == [f"{mirror}/{WARC[0]}"]


def test_dumps_and_files_of_ones_own_may_be_mixed(site: Site, tmp_path: Path) -> None:
    _touch(tmp_path, "own/1.wet")
    files = inputs.resolve(["cc:CC-MAIN-2019-30[:1]", str(tmp_path / "own")])
    assert [f.name for f in files] == ["1.wet", WET[0]]


def test_commoncrawls_lists_are_relative_to_the_site_or_bucket(
    site: Site, bucket: str, tmp_path: Path
) -> None:
    for place in (site.address, bucket):
        files = inputs.resolve([f"@{place}/{DUMP}/wet.paths.gz"])
        assert [(f.name, f.path, f.tag) for f in files] == [(name, f"{place}/{name}", "") for name in WET]
    _touch(tmp_path, *WET)
    list_ = tmp_path / DUMP / "wet.paths"
    list_.write_text("\n".join(WET))
    assert [f.path for f in inputs.resolve([str(list_)])] == [str(tmp_path / name) for name in WET]
    files = inputs.resolve([str(list_)], site.address)
    assert [f.path for f in files] == [f"{site.address}/{name}" for name in WET]
    assert [f.name for f in files] == WET


def test_other_lists_on_the_web_are_relative_to_its_root_and_ask_for_sizes(site: Site) -> None:
    site.files |= {"lists/some.paths": b"data/b.wet\ndata/a.wet\n", "data/a.wet": b"a", "data/b.wet": b"bb"}
    files = inputs.resolve([f"{site.address}/lists/some.paths"])
    assert [(f.name, f.size, f.tag) for f in files] == [("b.wet", 2, "one"), ("a.wet", 1, "one")]
    site.files["lists/some.paths"] += b"data/c.wet\n"
    with pytest.raises(UserError, match=r"data/c.wet, named in the list .*some.paths, does not exist"):
        inputs.resolve([f"@{site.address}/lists/some.paths"])
    assert [f.size for f in inputs.resolve([f"{site.address}/data/b.wet"])] == [2]


def test_wrong_dumps_are_errors_before_any_work(site: Site) -> None:
    for wrong in (
        "cc:",
        "cc:2019-30",
        "cc:CC-MAIN-2019-30/wat",
        "cc:CC-MAIN-2019-30[1]",
        "cc:CC-MAIN-2019-30@",
    ):
        with pytest.raises(UserError, match=r"the form is cc:CC-MAIN-YYYY-WW"):
            inputs.resolve([wrong])
    with pytest.raises(UserError, match=r"CC-MAIN-2019-31/wet.paths.gz.* does not exist: HTTP 404"):
        inputs.resolve(["cc:CC-MAIN-2019-31"])
    with pytest.raises(UserError, match=r"matches no file"):
        inputs.resolve(["cc:CC-MAIN-2019-30[5:9]"])
    site.faults = [Fault(status=503)] * 2
    with pytest.raises(UserError, match=r"cannot be reached for now"):
        inputs.resolve(["cc:CC-MAIN-2019-30"])


def test_a_relative_root_is_taken_from_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "crawl").mkdir()
    (tmp_path / "crawl" / "a.wet").write_text("x")
    monkeypatch.chdir(tmp_path)
    assert [f.name for f in inputs.resolve(["crawl"], ".")] == ["crawl/a.wet"]
