"""Commands across runs: what is wrong is told before any work, and nothing is mixed or altered."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.pipelines.across import call
from tests.pipelines.conftest import digests
from tests.pipelines.finished import write_run


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("cut off", "it is no run, or one that was cut off"),
        ("no folder", "it is no run, or one that was cut off"),
        ("other kind", "is a run of kind 'tokens'"),
        ("not JSON", "is not valid JSON"),
        ("until decide", "was stopped before its documents were written"),
        ("altered", "is not what manifest.json says"),
        ("no manifest of export", "its documents cannot be read"),
        ("twice", "this run, or a copy of it, is given twice"),
        ("into itself", "is one of the runs"),
        ("nothing kept", "no page was kept there"),
    ],
)
@pytest.mark.parametrize("command", ["cross-dedup", "decontaminate"])
def test_what_is_no_finished_run_is_refused_before_any_work(
    planted: Path, tmp_path: Path, command: str, change: str, message: str
) -> None:
    run, other = tmp_path / "run", write_run(tmp_path / "other", "wikipedia", [])
    shutil.copytree(planted / "c4", run)
    output = tmp_path / "out"
    manifest = run / "manifest.json"
    body = json.loads(manifest.read_bytes())
    if change == "cut off":
        manifest.unlink()
    elif change == "no folder":
        shutil.rmtree(run)
    elif change == "other kind":
        manifest.write_text(json.dumps(body | {"kind": "tokens"}))
    elif change == "not JSON":
        manifest.write_text("{")
    elif change == "until decide":
        manifest.write_text(json.dumps(body | {"stages": {}, "complete": False}))
    elif change == "altered":
        (run / "export/manifest.json").write_text((run / "export/manifest.json").read_text() + " ")
    elif change == "no manifest of export":
        (run / "export/manifest.json").unlink()
    elif change == "twice":
        other = tmp_path / "copy"
        shutil.copytree(run, other)
    elif change == "into itself":
        output = run
    elif change == "nothing kept":
        shutil.rmtree(run)
        write_run(run, "c4", [])
    evaluations = ("--evaluations", planted / "evals") if command == "decontaminate" else ()
    refused = call(command, run, other, *evaluations, "--output", output, status=2)
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr
    assert output == run or not output.exists()


def test_a_file_of_documents_that_was_altered_stops_it(planted: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(planted / "c4", run)
    path = run / "documents/en/part-00001.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    failed = call(
        "decontaminate", run, "--evaluations", planted / "evals", "--output", tmp_path / "o", status=1
    )
    assert "part-00001.parquet does not have the sha256 of its record" in failed.stderr
    assert not (tmp_path / "o/manifest.json").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--evaluations", "EVALS/none.jsonl"), "does not exist"),
        (("--evaluations", "EVALS/LICENSE"), "its ending tells no format"),
        (("--evaluations", "EVALS", "--fields", "label"), "no evaluation has a field label"),
        (("--evaluations", "EVALS", "--ngram", "60"), "give a smaller --ngram"),
        (("--evaluations", "EVALS", "--ngram", "many"), "neither 'auto' nor a number"),
        (("--evaluations", "EVALS", "--no-such-option"), "unknown option: --no-such-option"),
        (("--evaluations", "BAD"), "line 1: not valid JSON"),
    ],
)
def test_a_wrong_evaluation_or_option_is_refused_before_any_work(
    planted: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    (tmp_path / "bad.jsonl").write_text("not JSON\n")
    places = {"EVALS": str(planted / "evals"), "BAD": str(tmp_path / "bad.jsonl")}
    given = [_replaced(option, places) for option in options]
    refused = call("decontaminate", planted / "c4", *given, "--output", tmp_path / "o", status=2)
    assert message in refused.stderr
    assert not (tmp_path / "o").exists()


def _replaced(option: str, places: dict[str, str]) -> str:
    for name, place in places.items():
        option = option.replace(name, place)
    return option


def test_one_run_alone_has_nothing_to_be_compared_with(planted: Path, tmp_path: Path) -> None:
    refused = call("cross-dedup", planted / "c4", "--output", tmp_path / "o", status=2)
    assert "give two or more" in refused.stderr


def test_other_settings_or_evaluations_are_not_mixed_in(planted: Path, cleaned: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    shutil.copytree(cleaned, output)
    runs = (planted / "c4", planted / "github")
    everything = ("--evaluations", planted / "evals", "--remove", "--output", output)
    refused = call("decontaminate", *runs, *everything, "--ngram", 8, status=2)
    assert "of other settings" in refused.stderr
    one = ("--evaluations", planted / "evals/gulls.jsonl", "--remove", "--output", output)
    assert "of other evaluations" in call("decontaminate", *runs, *one, status=2).stderr
    assert "of other runs" in call("decontaminate", runs[0], *everything, status=2).stderr
    assert digests(output) == digests(cleaned)


def test_dry_run_says_what_would_be_done_and_writes_nothing(planted: Path, tmp_path: Path) -> None:
    done = call(
        "decontaminate",
        planted / "c4",
        "--evaluations",
        planted / "evals",
        "--output",
        tmp_path / "o",
        "--dry-run",
    )
    assert "9 documents in 3 files" in done.stdout
    assert not (tmp_path / "o").exists()
    done = call("cross-dedup", planted / "c4", planted / "github", "--output", tmp_path / "o", "--dry-run")
    assert "11 documents in 4 files" in done.stdout
    assert not (tmp_path / "o").exists()
