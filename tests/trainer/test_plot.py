"""The picture of a run: a line a source, marks where it was resumed, and points that stand for the curve."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.image import imread

from trainer.plot.__main__ import command
from trainer.plot.curves import count, extremes, smooth, spread
from trainer.plot.figure import figure

SOURCES = ["arxiv", "books", "c4", "commoncrawl", "github", "stackexchange", "wikipedia"]
BATCH = 1_000


def train(step: int, sources: Sequence[str] = SOURCES) -> dict[str, Any]:
    loss = {source: 8 / step**0.3 + i / 10 for i, source in enumerate(sources)}
    return {
        "kind": "train",
        "step": step,
        "loss": sum(loss.values()) / len(loss),
        "loss_by_source": loss,
        "tokens_by_source": dict.fromkeys(sources, BATCH // len(sources)),
        "tokens": step * BATCH,
    }


def evaluation(step: int) -> dict[str, Any]:
    return {"kind": "evaluation", "step": step, "bits_per_byte": dict.fromkeys(SOURCES, 2 / step)}


def run(steps: int) -> list[dict[str, Any]]:
    """A run of so many steps, evaluated in the middle and at the end."""
    records: list[dict[str, Any]] = [{"kind": "run", "step": 0}]
    for step in range(1, steps + 1):
        records.append(train(step))
        if step in (steps // 2, steps):
            records.append(evaluation(step))
    return records


def lines(panel: Axes) -> Mapping[str, Any]:
    return {str(line.get_label()): line for line in panel.get_lines()}


def test_every_source_has_a_line_in_both_panels() -> None:
    training, held_out = figure(run(20), "tiny").axes
    assert sorted(lines(training)) == sorted([*SOURCES, "all", "each step"])
    assert sorted(lines(held_out)) == SOURCES
    for source in SOURCES:
        assert lines(training)[source].get_color() == lines(held_out)[source].get_color()
    assert len({line.get_color() for line in lines(held_out).values()}) == len(SOURCES)


def test_lines_go_by_tokens() -> None:
    training, held_out = figure(run(20), "tiny").axes
    assert list(lines(training)["each step"].get_xdata()) == [step * BATCH for step in range(1, 21)]
    assert list(lines(held_out)["c4"].get_xdata()) == [10 * BATCH, 20 * BATCH]
    assert list(lines(held_out)["c4"].get_ydata()) == [2 / 10, 2 / 20]


def test_axes_are_named_with_their_units() -> None:
    picture = figure(run(20), "tiny")
    assert [a.get_ylabel() for a in picture.axes] == ["loss (nats per token)", "bits per byte"]
    assert {a.get_xlabel() for a in picture.axes} == {"tokens seen"}
    assert picture.get_suptitle() == "tiny: 20 steps, 20k tokens"


def test_ends_bear_name_and_value() -> None:
    _, held_out = figure(run(20), "tiny").axes
    assert sorted(text.get_text() for text in held_out.texts) == [f"{source}  0.10" for source in SOURCES]


def test_a_run_never_evaluated_has_one_panel() -> None:
    (training,) = figure([train(1), train(2)], "tiny").axes
    assert len(lines(training)) == len(SOURCES) + 2


def test_resumes_and_skipped_steps_are_marked() -> None:
    records = [
        *run(20),
        {"kind": "run", "step": 8},
        {"kind": "run", "step": 12},
        {"kind": "skipped", "step": 5},
    ]
    found = lines(figure(records, "tiny").axes[0])
    assert list(found["resumed (2)"].get_xdata()) == [8 * BATCH, 12 * BATCH]
    assert list(found["step skipped (1)"].get_xdata()) == [5 * BATCH]


def test_a_source_seen_late_and_a_loss_that_is_missing_are_no_error() -> None:
    late = [train(1, SOURCES[:2]), {**train(2, SOURCES[:2]), "loss": None}, train(3)]
    found = lines(figure(late, "tiny").axes[0])
    assert list(found["wikipedia"].get_xdata()) == [3 * BATCH]
    assert list(found["arxiv"].get_xdata()) == [BATCH, 2 * BATCH, 3 * BATCH]


def test_a_long_run_shows_its_later_steps_and_draws_few_points() -> None:
    training = figure([train(step) for step in range(1, 10_001)], "7b").axes[0]
    assert training.get_ylim()[1] < train(1)["loss"] / 2
    assert all(len(line.get_xdata()) <= 2_000 for line in training.get_lines())


def test_the_command_writes_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in run(20)))
    assert command([str(folder)]) == 0
    assert capsys.readouterr().out == f"{folder / 'loss.png'}\n"
    pixels = imread(folder / "loss.png")
    assert pixels.shape[:2] == (840, 2100)
    assert len(np.unique(pixels.reshape(-1, pixels.shape[2]), axis=0)) > len(SOURCES)
    assert sorted(path.name for path in folder.iterdir()) == ["loss.png", "metrics.jsonl"]


def test_a_run_without_a_step_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"kind": "run", "step": 0}\n')
    assert command([str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"{tmp_path / 'metrics.jsonl'} holds no training step yet\n"
    assert not (tmp_path / "loss.png").exists()


def test_smoothing_weighs_and_leaves_out_what_is_missing() -> None:
    values = np.array([9.0, 9.0, 1.0, np.nan, 5.0, 2.0])
    weights = np.array([1.0, 0.0, 3.0, 1.0, 1.0, 0.0])
    in_windows = [[9.0], [np.nan], [1.0], [1.0, 1.0, 1.0, 5.0], [1.0, 1.0, 1.0, 5.0], [5.0]]  # ± 0 0 1 1 2 2
    np.testing.assert_allclose(smooth(values, weights), [np.mean(window) for window in in_windows])


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=200), st.integers(1, 20))
def test_the_points_drawn_hold_the_extremes(values: list[float], stretches: int) -> None:
    line = np.array(values)
    kept = extremes(line, stretches)
    assert len(kept) <= 2 * stretches
    assert sorted(set(kept)) == list(kept)
    assert line[kept].min() == line.min()
    assert line[kept].max() == line.max()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_labels_lie_apart_and_move_no_more_than_they_must(heights: list[float]) -> None:
    places = np.sort(heights)
    moved = spread(places, 0.05)
    assert np.diff(moved).min(initial=1) >= 0.05 - 1e-9
    assert moved.mean() == pytest.approx(places.mean())
    if np.diff(places).min(initial=1) >= 0.05:
        assert moved == pytest.approx(places)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (950, "950"), (12_000, "12k"), (1.5e6, "1.5M"), (2e9, "2B"), (1.4e12, "1.4T")],
)
def test_counts_for_people(value: float, text: str) -> None:
    assert count(value) == text
