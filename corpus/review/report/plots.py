"""Plots as static SVG that takes its colours from the page: light and dark, on paper and on a phone.

In: plain rows. Out: the text of an ``<svg>`` at most `WIDTH` pixels wide. Vega-Lite draws; nothing is fetched
and no script is left in it. Colours are CSS variables of ``page.css``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import altair as alt
import numpy as np
import vl_convert

from corpus.review.report.counting import Histogram

WIDTH = 350  # fits a phone unscaled, so that its letters can be read
_HEIGHT = 190
_ROW = 19  # pixels of a bar with its gap
BINS = 40
_LABEL = 150
# Formats of numbers on an axis: 12k, 5 %, 3.87.
COUNTS, SHARES, PLAIN = "~s", "~%", "~g"
Row = tuple[str, Mapping[str, float]]  # a label, and a value by series
_FILLED = "var(--{})"


def bars(
    rows: Sequence[Row],
    colours: dict[str, str],
    unit: str,
    name: str,
    form: str = COUNTS,
) -> str:
    """A horizontal bar a row, its series stacked.

    Args:
        rows: label, and value by series.
        colours: CSS variable of each series, in the order of stacking.
        unit: title of the axis of values; name: of that of labels.
        form: `COUNTS`, `SHARES` or `PLAIN`.
    """
    data, order = [], list(colours)
    for label, values in rows:
        start = 0.0
        for series in order:
            end = round(start + values.get(series, 0), 9)  # shares add up to no more than one
            data.append({"label": label, "series": series, "start": start, "end": end})
            start = end
    chart = (
        alt.Chart(alt.Data(values=data))
        .mark_bar()
        .encode(
            x=alt.X("start:Q", title=unit, axis=_numbers(form)),
            x2="end:Q",
            y=alt.Y(
                "label:N", title=name, sort=[label for label, _ in rows], axis=alt.Axis(labelLimit=_LABEL)
            ),
            color=_colour(colours),
        )
    )
    return _svg(chart, 64 + _ROW * len(rows))


def pairs(rows: Sequence[Row], colours: dict[str, str], unit: str, name: str, form: str) -> str:
    """Horizontal bars beside each other, a group a row; as `bars` else."""
    data = [{"label": label, "series": s, "value": v} for label, values in rows for s, v in values.items()]
    chart = (
        alt.Chart(alt.Data(values=data))
        .mark_bar()
        .encode(
            x=alt.X("value:Q", title=unit, axis=_numbers(form)),
            y=alt.Y(
                "label:N", title=name, sort=[label for label, _ in rows], axis=alt.Axis(labelLimit=_LABEL)
            ),
            yOffset=alt.YOffset("series:N", sort=list(colours)),
            color=_colour(colours),
        )
    )
    return _svg(chart, 64 + 2 * _ROW * len(rows))


def waterfall(rows: Sequence[tuple[str, float, float, str]], unit: str, name: str) -> str:
    """A horizontal bar a row from one value to another, so that each begins where the one before ended.

    Args:
        rows: label, lower and upper value, CSS variable of the colour.
    """
    data = [{"label": label, "start": a, "end": b, "colour": _FILLED.format(c)} for label, a, b, c in rows]
    chart = (
        alt.Chart(alt.Data(values=data))
        .mark_bar()
        .encode(
            x=alt.X("start:Q", title=unit, axis=_numbers(), scale=alt.Scale(zero=True)),
            x2="end:Q",
            y=alt.Y("label:N", title=name, sort=[row[0] for row in rows], axis=alt.Axis(labelLimit=_LABEL)),
            color=alt.Color("colour:N", scale=None),
        )
    )
    return _svg(chart, 64 + _ROW * len(rows))


def distribution(
    histogram: Histogram, unit: str, logarithmic: bool, limits: Sequence[tuple[str, float]] = ()
) -> str:
    """Kept documents with the rejected on top of them, and limits as vertical lines.

    Args:
        limits: name and value of each.
    """
    shown = histogram.trimmed(BINS)
    data = []
    for (low, high), kept, rejected in zip(pairwise(shown.edges), *shown.counts, strict=True):
        ends = {"low": float(low), "high": float(high)}
        data.append(ends | {"start": 0, "end": int(kept), "series": "kept"})
        data.append(ends | {"start": int(kept), "end": int(kept + rejected), "series": "rejected"})
    reach = [shown.edges[0], shown.edges[-1], *(value for _, value in limits)]
    scale = alt.Scale(type="log" if logarithmic else "linear", domain=[min(reach), max(reach)], nice=False)
    axis = _numbers(values=_round(min(reach), max(reach))) if logarithmic else _numbers(PLAIN)
    colours = {"kept": "kept", "rejected": "rejected"}
    drawn: Any = (
        alt.Chart(alt.Data(values=data))
        .mark_rect()
        .encode(
            x=alt.X("low:Q", title=unit, scale=scale, axis=axis),
            x2="high:Q",
            y=alt.Y("start:Q", title="documents", axis=_numbers()),
            y2="end:Q",
            color=_colour(colours),
        )
    )
    if limits:
        span = np.log([min(reach), max(reach)]) if logarithmic else np.array([min(reach), max(reach)])
        layers = [drawn]
        for line, (name, value) in enumerate(limits):
            right = (np.log(value) if logarithmic else value) > span @ (0.4, 0.6)
            layers += _limit(name, value, line, "right" if right else "left")
        drawn = alt.layer(*layers).resolve_scale(y="independent")
    return _svg(drawn, _HEIGHT)


def _limit(name: str, value: float, line: int, align: str) -> list[alt.Chart]:
    """A dashed line, and its name on a line of its own above the bars, on the side that has room for it."""
    data = alt.Chart(alt.Data(values=[{"at": value, "name": name, "line": 2 + 13 * line}]))
    rule = data.mark_rule(color=_FILLED.format("limit"), strokeDash=[4, 3], strokeWidth=1.5).encode(x="at:Q")
    place: dict[str, Any] = {"x": "at:Q", "y": alt.Y("line:Q", scale=None, axis=None), "text": "name:N"}
    text: dict[str, Any] = {
        "align": align,
        "baseline": "top",
        "fontSize": 11,
        "dx": 3 if align == "left" else -3,
    }
    halo = data.mark_text(stroke=_FILLED.format("page"), strokeWidth=3, **text).encode(**place)
    return [rule, halo, data.mark_text(color=_FILLED.format("limit"), **text).encode(**place)]


def _round(low: float, high: float) -> list[float]:
    """Round values of a logarithmic axis: powers of ten, and the shorter it is the more between them."""
    decades = np.log10(high / low)
    steps = (1.0,) if decades > 2.5 else (1.0, 2.0, 5.0) if decades > 1 else (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
    first, last = int(np.floor(np.log10(low))), int(np.ceil(np.log10(high)))
    return [step * 10.0**k for k in range(first, last + 1) for step in steps if low <= step * 10.0**k <= high]


def _numbers(form: str = COUNTS, **options: Any) -> alt.Axis:
    return alt.Axis(format=form, labelFlush=True, tickCount=5, **options)


def _colour(colours: dict[str, str]) -> alt.Color:
    scale = alt.Scale(domain=list(colours), range=[_FILLED.format(name) for name in colours.values()])
    legend = alt.Legend(orient="top", title=None, symbolType="square") if len(colours) > 1 else None
    return alt.Color("series:N", scale=scale, legend=legend)


def _svg(chart: Any, height: int) -> str:
    """Draw a chart, without what only a script would use."""
    text = {
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "labelFontSize": 11,
        "titleFontSize": 11,
    }
    drawn = (
        chart.properties(
            width=WIDTH, height=height, autosize=alt.AutoSizeParams(type="fit", contains="padding")
        )
        .configure(background="transparent", aria=False, padding=2)
        .configure_axis(
            gridColor=_FILLED.format("grid"), domainColor=_FILLED.format("axis"),
            tickColor=_FILLED.format("axis"), titleFontWeight="normal", **text,
        )
        .configure_legend(**text)
        .configure_view(stroke=None)
    )  # fmt: skip
    svg = vl_convert.vegalite_to_svg(drawn.to_dict())
    svg = re.sub(r'<path class="(?:fore|back)ground"[^>]*/>', "", svg)
    svg = re.sub(r' (?:role|aria-[a-z]+|pointer-events|xmlns:xlink|version)="[^"]*"', "", svg)
    return re.sub(r"(\d\.\d\d)\d+", r"\1", svg)
