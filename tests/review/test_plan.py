"""`llama-corpus plan` on a run of the built-in sample whose records are given the seconds of exact rates."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corpus.review.plan.measured import measure
from corpus.review.plan.rates import rates
from corpus.review.runs import open_run
from corpus.sample import CRAWL
from pipelines.__main__ import main

Record = dict[str, Any]
# CPU seconds of the stages' parts, by their counters; of `annotate` reading again and models.
INDEX, MODELS, ROW, EXPORT, KEY = 2e-5, 4e-5, 1e-2, 6e-5, 5e-4


def _seconds(stage: str, part: Record, keys: float) -> float:
    counters = part["counters"]
    return {
        "index": INDEX * counters.get("bytes_raw", 0),
        "dedup": KEY * keys,
        "annotate": INDEX * counters.get("bytes_raw", 0) + MODELS * counters.get("kept_bytes", 0),
        "decide": ROW * counters.get("in", 0),
        "export": EXPORT * counters.get("bytes", 0),
    }[stage]


def rewrite(root: Path, change: Callable[[str, Record], None]) -> None:
    """Change the records of a run: their local sections are in no digest."""
    for path in root.glob("*/*.part.json"):
        record = json.loads(path.read_text())
        change(path.parent.name, record)
        path.write_text(json.dumps(record))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("plan") / "run"
    assert main(["crawl-filter", "--output", str(root)]) == 0
    merged = {part.name: part.units for part in measure(open_run(str(root))).stage("dedup").parts}

    def exact(stage: str, record: Record) -> None:
        part, local = record["part"], record["local"]
        seconds = _seconds(stage, part, merged.get(part["name"], 0))
        local |= {"process": 1, "process_cpu_seconds": 2.0, "cpu_seconds": seconds, "wall_seconds": seconds}

    rewrite(root, exact)
    return root


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "run")


def plan(capsys: pytest.CaptureFixture[str], *args: object) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["plan", "--json", *map(str, args)]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def stages(found: dict[str, Any], label: str = "commoncrawl") -> dict[str, dict[str, Any]]:
    (chosen,) = (run for run in found["runs"] if run["label"] == label)
    return {stage["stage"]: stage for stage in chosen["stages"]}


def refused(capsys: pytest.CaptureFixture[str], *args: object) -> str:
    capsys.readouterr()
    assert main(["plan", *map(str, args)]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.count("\n") == 1
    return error


def test_rates_are_those_of_the_records(made: Path) -> None:
    found = rates(measure(open_run(str(made))))
    terms = {name: [(t.driver, t.per_unit) for t in rate.terms] for name, rate in found.items()}
    assert terms["index"] == [("bytes_raw", pytest.approx(INDEX))]
    assert terms["dedup"] == [("keys", pytest.approx(KEY))]
    assert terms["annotate"] == [
        ("kept_bytes", pytest.approx(MODELS + INDEX, rel=0.5))
    ]  # WARC: not read twice
    assert terms["decide"] == [("in", pytest.approx(ROW))]
    assert terms["export"] == [("bytes", pytest.approx(EXPORT))]
    assert all(rate.start == pytest.approx(0, abs=1e-9) for name, rate in found.items() if name != "annotate")


def test_the_same_input_takes_what_it_took(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = plan(capsys, "--run", made, "--recipe", "sample", "--input", CRAWL, "--input-root", CRAWL)
    measured = measure(open_run(str(made)))
    for name, stage in stages(found).items():
        took = sum(part.cpu for part in measured.stage(name).parts)
        assert stage["cpu_seconds"] + stage["start_seconds"] == pytest.approx(took, rel=0.02), name
        assert stage["parts"] == len(measured.stage(name).parts) - (name == "dedup")  # that of ids is small
        assert stage["written"] == pytest.approx(measured.stage(name).written, rel=0.02, abs=1500), name
        assert stage["memory"] == max(part.memory for part in measured.stage(name).parts)
    assert found["cpu_seconds"] == pytest.approx(found["wall_seconds"], rel=0.01)


def test_duplicates_change_what_comes_after_them(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["--run", made, "--recipe", "sample", "--volume", "commoncrawl=1GB", "--dumps", 1]
    none, half = (stages(plan(capsys, *base, "--duplicate-rate", rate)) for rate in (0.0, 0.5))
    for name, share in (("index", 1.0), ("decide", 1.0), ("annotate", 0.5), ("export", 0.5)):
        assert half[name]["cpu_seconds"] == pytest.approx(share * none[name]["cpu_seconds"]), name
    assert half["dedup"]["cpu_seconds"] < none["dedup"]["cpu_seconds"]
    assert half["index"]["exchanged"] < none["index"]["exchanged"]
    assert half["export"]["written"] == pytest.approx(0.5 * none["export"]["written"])


def test_ten_times_as_much(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["--run", made, "--recipe", "sample", "--dumps", 1, "--volume"]
    one, ten = (stages(plan(capsys, *base, f"commoncrawl={size}")) for size in ("1GB", "10GB"))
    for name in one:
        assert ten[name]["cpu_seconds"] == pytest.approx(10 * one[name]["cpu_seconds"], rel=0.001), name


def test_workers_share_the_parts_and_start_each(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["--run", made, "--recipe", "llama1", "--dumps", 1, "--workers"]
    one, many = plan(capsys, *base, 1), plan(capsys, *base, 1600)
    assert one["runs"][0]["start_seconds"] == 2.0 * 1.4  # and its end
    assert many["runs"][0]["start_seconds"] == pytest.approx(2.0 + 2.0 * 1.4 * 1600)
    index = stages(many)["index"]
    assert index["parts"] == 1600
    assert index["wall_seconds"] == pytest.approx(stages(one)["index"]["wall_seconds"] / 1600)
    assert index["wall_seconds"] == pytest.approx(index["longest_seconds"])
    endless = stages(plan(capsys, *base, 10**6))["index"]
    assert endless["wall_seconds"] == pytest.approx(index["wall_seconds"])


def test_the_paper_without_its_models(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = plan(capsys, "--run", made, "--recipe", "llama1", "--workers", 1000, "--price-core-hour", 0.5)
    (crawl,) = found["runs"]
    assert (crawl["files"], crawl["splits"], crawl["scopes"]) == (320_000, 8_000, 160)
    assert crawl["volume"] == 5 * 8_378_278_000_000
    assert any("other models than en.arpa.bin" in note for note in crawl["notes"])
    assert any("read HTML" in note for note in crawl["notes"])
    assert any("c4, github, wikipedia" in note for note in found["notes"])
    (cost,) = found["costs"]
    assert cost["cost"] == pytest.approx(1000 * found["wall_seconds"] / 3600 * 0.5)


def test_what_is_read_in_a_log_has_no_escapes_and_says_what_was_assumed(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["plan", "--run", str(made)]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    for text in (
        "commoncrawl",
        "annotate",
        "8,000",
        "7.62 TiB",
        "assumed:",
        "no cost without prices",
        "measured",
    ):
        assert text in out


def test_a_busy_machine_shows(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def waiting(stage: str, record: Record) -> None:
        record["local"]["wall_seconds"] = 4 * record["local"]["cpu_seconds"]

    base = ["--recipe", "sample", "--input", CRAWL, "--input-root", CRAWL, "--run"]
    rewrite(run, waiting)
    found = plan(capsys, *base, run)
    assert any("index 4.0" in note for note in found["runs"][0]["notes"])
    assert found["wall_seconds"] > 3 * found["cpu_seconds"] / 2


def test_without_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no --run to measure by" in refused(capsys, "--recipe", "llama1")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--workers", "0"], "one worker or more"),
        (["--workers", "-3"], "one worker or more"),
        (["--dumps", "0"], "one dump or more"),
        (["--duplicate-rate", "1"], "below 1"),
        (["--duplicate-rate", "nan"], "below 1"),
        (["--price-core-hour", "-1"], "--price-core-hour -1"),
        (["--recipe", "llama9"], "llama9"),
        (["--volume", "commoncrawl=much"], "is no size"),
        (["--volume", "web=1TB"], "SOURCE=SIZE"),
        (["--input", "nowhere/*.gz"], "matches no file"),
        (["--frobnicate"], "unknown option"),
    ],
)
def test_asked_wrongly(made: Path, capsys: pytest.CaptureFixture[str], args: list[str], message: str) -> None:
    assert message in refused(capsys, "--run", made, *args)


def test_a_run_that_was_cut_off(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "manifest.json").unlink()
    assert "cut off" in refused(capsys, "--run", run)


def test_a_run_that_was_stopped_before_its_last_stage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["crawl-filter", "--output", str(tmp_path / "run"), "--until", "dedup"]) == 0
    assert "stopped before its last stage" in refused(capsys, "--run", tmp_path / "run")


def test_records_of_an_older_version(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rewrite(run, lambda stage, record: record["local"].pop("process"))
    assert "older version" in refused(capsys, "--run", run)


def test_a_run_too_small_to_measure_says_how_large_it_must_be(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def quick(stage: str, record: Record) -> None:
        record["local"]["cpu_seconds"] /= 1000

    rewrite(run, quick)
    message = refused(capsys, "--run", run, "--recipe", "sample")
    assert f"stage index of {run}: 0.006 s in 6 parts, where 1.2 MB of raw input would have 0.02 s" in message
    assert "stage annotate" in message


def test_an_empty_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "empty.warc.wet.gz").write_bytes(b"")
    root = tmp_path / "run"
    main(["crawl-filter", "--recipe", "sample", "--input", str(tmp_path / "in"), "--output", str(root)])
    assert f"{root} is empty: no document was read" in refused(capsys, "--run", root)


def test_an_empty_input(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.warc.wet.gz").write_bytes(b"")
    assert "not one byte" in refused(capsys, "--run", made, "--input", tmp_path)


def test_two_runs_of_one_source(made: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "both runs of commoncrawl" in refused(capsys, "--run", made, run)
