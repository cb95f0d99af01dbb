"""The curves of a run as a picture: training loss, in all and a source, and bits per byte of held-out text.

In: `metrics.jsonl` of a run (records "train", "evaluation", "run" and "skipped"; losses in nats a token).
Out: a PNG. Command: ``python -m trainer.plot RUN [--output PNG]``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from trainer.errors import TrainerError
from trainer.metrics.log import read_metrics
from trainer.plot.curves import Floats, count, extremes, smooth, spread

Record = Mapping[str, Any]

# Okabe and Ito's colours, which the colour-blind tell apart; the light ones darkened, to be read as text.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#C4619A", "#BF8600", "#3F9FD8", "#7A4B94")
INK, GREY, RED = "#222222", "#8A8A8A", "#C62828"
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "#E8E8E8",
    "xtick.color": INK,
    "ytick.color": INK,
}
_POINTS = 2_000  # a line, more than the picture has pixels across
_LINE_HEIGHT = 0.048  # of a label, in heights of a panel
_SETTLED = 1 / 50  # of a run: its first steps fall so far from ln V that they would leave the rest no room


def loss_curve(metrics: Path, png: Path) -> None:
    """Draw a run's curves into a PNG, named after the run's folder.

    Raises:
        TrainerError: the log cannot be read, or holds no training step.
    """
    records = list(read_metrics(metrics))
    if not any(record["kind"] == "train" for record in records):
        raise TrainerError(f"{metrics} holds no training step yet")
    temporary = png.with_name(png.name + ".tmp")
    with matplotlib.rc_context(STYLE), temporary.open("wb") as f:
        figure(records, metrics.absolute().parent.name).savefig(f, format="png", dpi=150)
        f.flush()
        os.fsync(f.fileno())
    temporary.replace(png)


def figure(records: Sequence[Record], title: str) -> Figure:
    """The picture of a log's records: a panel of training loss, and one of held-out text if evaluated.

    A line's label is the name of its source, or "all" or "each step"; a source has one colour in both panels.
    """
    train = [record for record in records if record["kind"] == "train"]
    evaluations = [record for record in records if record["kind"] == "evaluation"]
    scores = [record["loss_by_source"] for record in train] + [e["bits_per_byte"] for e in evaluations]
    names = sorted({name for score in scores for name in score})
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}
    steps = [0, *(record["step"] for record in train)]
    tokens = np.array([0, *(record["tokens"] for record in train)], float)

    picture = Figure(figsize=(14 if evaluations else 8, 5.6), layout="constrained")
    panels = picture.subplots(1, 2 if evaluations else 1, squeeze=False)[0]
    _training(panels[0], train, tokens[1:], colours)
    for label, kind, marker, colour in (("resumed", "run", "^", GREY), ("step skipped", "skipped", "x", RED)):
        at = [record["step"] for record in records if record["kind"] == kind and record["step"] > 0]
        _mark(panels[0], np.interp(at, steps, tokens), f"{label} ({len(at)})", marker, colour)
    panels[0].legend(
        handles=[line for line in panels[0].get_lines() if line.get_label() not in ("all", *colours)],
        loc="upper right",
        frameon=False,
    )
    if evaluations:
        at = [record["step"] for record in evaluations]
        _held_out(panels[1], evaluations, np.interp(at, steps, tokens), colours)
    for panel in panels:
        panel.set_xlim(0, 1.01 * tokens[-1])
        panel.set_xlabel("tokens seen")
        panel.xaxis.set_major_locator(MaxNLocator(6))
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count(value)))
    picture.suptitle(
        f"{title}: {steps[-1]:,} steps, {count(tokens[-1])} tokens", x=0.008, ha="left", weight="bold"
    )
    return picture


def _training(panel: Axes, train: Sequence[Record], tokens: Floats, colours: Mapping[str, str]) -> None:
    panel.set_title("Training loss, running mean")
    panel.set_ylabel("loss (nats per token)")
    loss = np.array([record["loss"] for record in train], float)
    kept = extremes(loss, _POINTS // 2)
    panel.plot(tokens[kept], loss[kept], color=GREY, alpha=0.6, linewidth=0.7, label="each step")
    curves = {"all": smooth(loss, np.ones(len(loss)))}
    for name in colours:
        losses = np.array([record["loss_by_source"].get(name) for record in train], float)
        weights = np.array([record["tokens_by_source"].get(name, 0) for record in train], float)
        curves[name] = smooth(losses, weights)
    shown = np.unique(np.linspace(0, len(train) - 1, _POINTS).astype(int))
    for name, curve in curves.items():
        there = shown[np.isfinite(curve[shown])]
        width, above = (2.2, 4) if name == "all" else (1.4, 3)
        colour = colours.get(name, INK)
        panel.plot(tokens[there], curve[there], color=colour, linewidth=width, zorder=above, label=name)
    skipped = int(len(train) * _SETTLED) if len(train) > 500 else 0
    _limit(panel, np.concatenate([curve[skipped:] for curve in curves.values()]))
    _label_ends(panel, {"all": INK, **colours})


def _held_out(panel: Axes, evaluations: Sequence[Record], tokens: Floats, colours: Mapping[str, str]) -> None:
    panel.set_title("Held-out text")
    panel.set_ylabel("bits per byte")
    late = tokens >= tokens[-1] * _SETTLED
    values = []
    for name, colour in colours.items():
        scores = np.array([record["bits_per_byte"].get(name) for record in evaluations], float)
        there = np.isfinite(scores)
        panel.plot(
            tokens[there], scores[there], color=colour, linewidth=1.4, marker="o", markersize=3.5, label=name
        )
        values.append(scores[late])
    _limit(panel, np.concatenate(values))
    _label_ends(panel, colours)


def _mark(panel: Axes, tokens: Floats, label: str, marker: str, colour: str) -> None:
    """Small marks on the axis of tokens, none where there are no tokens."""
    if len(tokens):
        panel.plot(
            tokens,
            np.full(len(tokens), 0.015),
            linestyle="none",
            marker=marker,
            markersize=5,
            color=colour,
            label=label,
            transform=panel.get_xaxis_transform(),
        )


def _limit(panel: Axes, values: Floats) -> None:
    """Show these values whole."""
    finite = values[np.isfinite(values)]
    if len(finite):
        low, high = finite.min(), finite.max()
        margin = 0.06 * (high - low) or 0.1
        panel.set_ylim(low - margin, high + margin)


def _label_ends(panel: Axes, colours: Mapping[str, str]) -> None:
    """Names and last values at the right, each beside the end of its line, apart where they would overlap."""
    low, high = panel.get_ylim()
    curves = {str(line.get_label()): np.asarray(line.get_ydata()) for line in panel.get_lines()}
    ends = sorted((float(curves[name][-1]), name) for name in colours if len(curves[name]))
    heights = np.array([(value - low) / (high - low) for value, _ in ends])
    for (value, name), height, place in zip(ends, heights, spread(heights, _LINE_HEIGHT), strict=True):
        panel.annotate(
            f"{name}  {value:.2f}",
            (1, height),
            (1.035, place),
            xycoords="axes fraction",
            textcoords="axes fraction",
            color=colours[name],
            va="center",
            weight="bold" if name == "all" else "normal",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colours[name],
                "linewidth": 0.6,
                "relpos": (0, 0.5),
                "shrinkA": 0,
                "shrinkB": 0,
            },
        )
