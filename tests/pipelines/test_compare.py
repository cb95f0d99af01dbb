"""The command line compares runs: of the sample with other thresholds, and what it refuses."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import orjson
import pyarrow.parquet as pq
import pytest

from corpus import storage
from pipelines.__main__ import main
from tests.conftest import new_bucket
from tests.pipelines.conftest import llama_corpus
from tests.review.decided import document, write_decided

HOSTILE = (
    "\x1b[31mred\x07\x9b2J \u202egnp.exe [bold]x[/bold] <script>alert(1)</script> שלום\r\nnext\x00"
    + "x" * 1000_000
)


@pytest.fixture(scope="module")
def stricter(sample_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample run, decided again by another recipe."""
    folder = tmp_path_factory.mktemp("stricter")
    saved = Path(__file__).parents[2] / "corpus/recipes/sample.toml"
    recipe, changed = folder / "stricter.toml", saved.read_text()
    for old, new in (
        ("min_reference = 0.5", "min_reference = 0.8"),
        ("head_percentile = 30", "head_percentile = 20"),
    ):
        assert old in changed
        changed = changed.replace(old, new)
    recipe.write_text(changed)
    shutil.copytree(sample_run, folder / "run")
    llama_corpus("redecide", folder / "run", "--recipe", recipe)
    return folder / "run"


def test_the_sample_by_a_stricter_recipe(
    sample_run: Path, stricter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "changed.parquet"
    assert main(["compare", str(sample_run), str(stricter), "--json", "--output", str(output)]) == 0
    (found,) = json.loads(capsys.readouterr().out)["runs"]
    recipe = {s["key"]: (s["a"], s["b"]) for s in found["settings"] if s["where"] == "recipe"}
    assert recipe == {
        "commoncrawl.decide.min_reference": (0.5, 0.8),
        "commoncrawl.perplexity.head_percentile": (30, 20),
    }
    assert [s["key"] for s in found["settings"] if s["where"] == "stages"] == [
        "decide.cutoffs.en.head",
        "decide.cutoffs.fr.head",
    ]
    had, has = (orjson.loads((run / "stats.json").read_bytes())["counters"] for run in (sample_run, stricter))
    documents = {name: sums["documents"] for name, sums in found["documents"].items()}
    assert documents["both"] == had["kept"] + had["rejected"]
    assert documents["kept_both"] + documents["kept_only_a"] == had["kept"]
    assert documents["kept_both"] + documents["kept_only_b"] == has["kept"]
    (change,) = [c for c in found["changes"] if c["kind"] == "fate"]
    assert (change["a"], change["b"], change["documents"]) == ("kept", "reference", had["kept"] - has["kept"])
    for example in change["examples"]:
        (limit,) = example["limits"]
        assert 0.5 <= limit["a"] == limit["b"] < 0.8
        assert (limit["limit_a"], limit["limit_b"]) == ("≥ 0.5", "≥ 0.8")
    rows = pq.read_table(output).to_pylist()
    moved = sum(row["documents"] for row in found["buckets"])
    assert len([r for r in rows if r["fate_a"] != r["fate_b"]]) == change["documents"]
    assert len([r for r in rows if r["fate_a"] == r["fate_b"] == "kept"]) == moved > 0


def test_what_its_reader_sees(sample_run: Path, stricter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(sample_run), str(stricter), "--examples", "1"]) == 0
    first = capsys.readouterr().out
    assert re.search(r"recipe +commoncrawl\.decide\.min_reference +0\.5 +0\.8", first)
    assert re.search(r"kept by A only +\d+", first)
    assert "kept → reference" in first
    assert re.search(r"reference_v1 = 0\.\d+ +wanted in A: ≥ 0\.5", first)
    assert main(["compare", str(sample_run), str(stricter), "--examples", "1"]) == 0
    assert capsys.readouterr().out == first


def test_the_same_run_twice(sample_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(sample_run), f"{sample_run}/"]) == 0
    assert "Nothing differs." in capsys.readouterr().out


def test_hostile_text_is_shown_not_obeyed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = write_decided(tmp_path / "a", [[document(0, text=HOSTILE, key=HOSTILE)]])
    b = write_decided(
        tmp_path / "b", [[document(0, "\x1b]0;title\x07", text=HOSTILE, key=HOSTILE, bucket="\u202e")]]
    )
    assert main(["compare", str(a), str(b)]) == 0
    shown = capsys.readouterr().out
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", shown)
    assert "␛[31mred␇" in shown
    assert "[bold]x[/bold] <script>alert(1)</script>" in shown
    assert len(shown) < 10_000
    assert main(["compare", str(a), str(b), "--json"]) == 0
    assert capsys.readouterr().out.isascii()


def refused(capsys: pytest.CaptureFixture[str], *args: object, status: int = 2) -> str:
    """What the command says that it refuses."""
    assert main(["compare", *map(str, args)]) == status
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


def test_what_cannot_be_compared(
    tmp_path: Path, sample_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_decided(tmp_path / "run", [[document(0)]])
    assert "it is no run" in refused(capsys, run, tmp_path / "nothing")
    other = tmp_path / "other"
    shutil.copytree(run, other)
    manifest = orjson.loads((other / "manifest.json").read_bytes())
    (other / "manifest.json").write_bytes(orjson.dumps({**manifest, "kind": "decontaminate"}))
    assert "nothing to compare" in refused(capsys, run, other)
    assert "unknown option: --runner" in refused(capsys, run, run, "--runner", "spark")
    assert "ends in .parquet" in refused(capsys, run, run, "--output", tmp_path / "x.csv")
    blocked = tmp_path / "file"
    blocked.touch()
    assert "cannot be written" in refused(capsys, run, run, "--output", blocked / "x.parquet")
    with pytest.raises(SystemExit):
        main(["compare", str(run), str(run), "--examples", "-1"])


def test_a_run_that_was_cut_off_or_altered_or_is_older(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, bad = write_decided(tmp_path / "run", [[document(0)]]), tmp_path / "bad"
    shutil.copytree(run, bad)
    (bad / "manifest.json").unlink()
    assert "was cut off" in refused(capsys, run, bad)
    shutil.copy(run / "manifest.json", bad)
    part = bad / "annotated/part-00000.parquet"
    whole = part.read_bytes()
    output = tmp_path / "changed.parquet"
    part.write_bytes(whole[:-100])
    assert str(part) in refused(capsys, run, bad, "--output", output, status=1)
    part.unlink()
    assert f"{part} is missing" in refused(capsys, run, bad, "--output", output, status=1)
    assert not output.exists()
    part.write_bytes(whole)
    stage = bad / "decide/manifest.json"
    stage.write_bytes(stage.read_bytes().replace(b'"version": 1', b'"version": 0'))
    assert "made by an older version (stage decide" in refused(capsys, run, bad)


def test_a_run_that_was_stopped_before_it_decided(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, stopped = write_decided(tmp_path / "run", [[document(0)]]), tmp_path / "stopped"
    shutil.copytree(run, stopped)
    manifest = orjson.loads((run / "manifest.json").read_bytes())
    del manifest["stages"]["decide"]
    (stopped / "manifest.json").write_bytes(orjson.dumps(manifest))
    assert "stopped before its documents were decided" in refused(capsys, run, stopped)


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_runs_in_an_object_store(
    scheme: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket = new_bucket(scheme, request)
    a = write_decided(f"{bucket}/a", [[document(0), document(1)]])
    b = write_decided(f"{bucket}/b", [[document(1, "reference")], [document(0)]])
    assert main(["compare", a, b, "--json", "--output", f"{bucket}/changed.parquet"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["runs"]
    assert [c["documents"] for c in found["changes"]] == [1]
    with storage.open_read(f"{bucket}/changed.parquet") as f:
        assert pq.read_table(f)["id"].to_pylist() == [document(1)["id"]]


def test_folders_of_runs_are_compared_source_by_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, fate in (("a", None), ("b", "reference")):
        write_decided(tmp_path / folder / "crawl", [[document(0, fate)]])
        write_tokens(tmp_path / folder / "tokens", 100 if fate else 200)
    write_shards(tmp_path / "b" / "shards")
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    crawl, tokens = found["runs"]
    assert [row["documents"] for row in crawl["matrix"] if row["a"] != row["b"]] == [1]
    assert tokens["sources"][0]["tokens"] == [200, 100]
    assert tokens["sources"][0]["bytes_per_token"] == [2.0, 4.0]
    assert found["only_b"] == [str(tmp_path / "b" / "shards")]
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    assert "RUN_B alone has such a run" in capsys.readouterr().out
    shutil.copytree(tmp_path / "a/crawl", tmp_path / "a/crawl-2")
    assert "two runs of crawl-filter commoncrawl (crawl, crawl-2)" in refused(
        capsys, tmp_path / "a", tmp_path / "b"
    )


def test_two_mixtures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = write_shards(tmp_path / "a"), write_shards(tmp_path / "b", weight=0.5)
    assert main(["compare", str(a), str(b), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["runs"]
    assert {"where": "recipe", "key": "mixture.weights.books", "a": 1.0, "b": 0.5} in found["settings"]
    assert found["sources"][0]["weight"] == [1.0, 0.5]
    assert main(["compare", str(a), str(b)]) == 0
    assert re.search(r"books +1 → 0\.5 ", capsys.readouterr().out)
    assert main(["compare", str(a), str(a)]) == 0
    assert "Nothing differs." in capsys.readouterr().out
    assert "tokens and shards have no fates" in refused(capsys, a, b, "--output", tmp_path / "x.parquet")


def write_tokens(root: Path, tokens: int) -> Path:
    """The account of a run of stage tokens, without its tokens."""
    stats = {"sources": {"books": {"in": 1, "out": 1, "bytes": 400, "tokens": tokens}}}
    return _write(root, stats, {"kind": "tokens", "runs": [["books", "books", "0" * 64]]})


def write_shards(root: Path, weight: float = 1.0) -> Path:
    """The account of shards, without the shards."""
    book = {"weight": weight, "share": 1.0, "unique": 10, "drawn": 20, "epochs": 2.0, "documents": 3}
    manifest = {"kind": "shards", "mixture": {"weights": {"books": weight}}, "tokens": "0" * 64}
    return _write(root, {"sources": {"books": {**book, "bytes_per_token": 3.5}}}, manifest)


def _write(root: Path, stats: dict[str, object], manifest: dict[str, object]) -> Path:
    root.mkdir(parents=True)
    (root / "stats.json").write_bytes(orjson.dumps(stats))
    rest = {"complete": True, "stages": {}, "stats_sha256": "", "tokenizer": {"sha256": "1" * 64}}
    (root / "manifest.json").write_bytes(orjson.dumps({**manifest, **rest}))
    return root
