"""Plots as SVG, written by hand: stacked bars and lines over days, bars by name, and sparklines of plain characters.

Pure, with no library: numbers in, text out. Each picture has a ground of its own and follows the reader's choice of
light or dark, wherever it is shown.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

WIDTH, HEIGHT = 640, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 24, 46, 26
_NAMES = 240
_MOST_RULES = 5
_SPARKS = "▁▂▃▄▅▆▇█"
_COLOURS = 6
"""So many series can be told apart; the others share the last colour."""

STYLE = """
.plot { --ground: #ffffff; --ink: #1f2933; --soft: #66717d; --rule: #e3e7ec;
  --c0: #2f6fd0; --c1: #e08a1e; --c2: #1a9484; --c3: #9058c8; --c4: #c9425e; --c5: #8a94a3; }
@media (prefers-color-scheme: dark) { .plot { --ground: #1b2027; --ink: #e6eaf0; --soft: #98a3b0; --rule: #313943;
  --c0: #6ea4f5; --c1: #f2b05e; --c2: #4fc4b3; --c3: #bb92ea; --c4: #f07f97; --c5: #9aa5b2; } }
.plot text { font: 11px system-ui, -apple-system, "Segoe UI", sans-serif; fill: var(--soft); }
.plot .title { font-size: 14px; font-weight: 600; fill: var(--ink); }
.plot .value { fill: var(--ink); }
.plot .rule { stroke: var(--rule); stroke-width: 1; }
"""
"""The colours of all plots; each carries them itself, so that it looks the same by itself as in a page."""


def bars(title: str, labels: Sequence[str], series: Mapping[str, Sequence[float]], *, unit: str = "") -> str:
    """Stacked bars, one for each label; `series` holds as many numbers of at least 0 under each name.

    A series alone may have an empty name: then no legend tells it.
    """
    shown = {name: values for name, values in series.items() if any(values)}
    rules = _rules(max((sum(column) for column in zip(*shown.values(), strict=True)), default=0.0))
    top = rules[-1]
    step = (WIDTH - _LEFT - _RIGHT) / max(len(labels), 1)
    parts = [*_axis(rules, unit), *_dates(labels, step), *_legend([name for name in shown if name])]
    heights = [0.0] * len(labels)
    for number, values in enumerate(shown.values()):
        for place, value in enumerate(values):
            if value > 0:
                y = _y(heights[place] + value, top)
                height = _y(heights[place], top) - y
                box = f'x="{_LEFT + place * step + step * 0.12:.1f}" y="{y:.1f}" width="{step * 0.76:.1f}"'
                tip = f"{labels[place]}: {format_number(value)}{unit}"
                parts.append(f'<rect {box} height="{height:.1f}" fill="{_colour(number)}">{_tip(tip)}</rect>')
                heights[place] += value
    return _frame(title, parts, empty=not shown)


def lines(
    title: str, labels: Sequence[str], series: Mapping[str, Sequence[float | None]], *, unit: str = "", top: float = 0.0
) -> str:
    """A line for each name over the labels; None is a gap. The axis reaches from 0 to `top`, or as far as is needed."""
    known = [value for values in series.values() for value in values if value is not None]
    rules = [top * number / 4 for number in range(5)] if top else _rules(max(known, default=0.0))
    top = rules[-1]
    step = (WIDTH - _LEFT - _RIGHT) / max(len(labels), 1)
    parts = [*_axis(rules, unit), *_dates(labels, step), *(_legend(list(series)) if len(series) > 1 else ())]
    for number, values in enumerate(series.values()):
        points = [
            None if value is None else (_LEFT + (place + 0.5) * step, _y(min(value, top), top))
            for place, value in enumerate(values)
        ]
        parts += [_path(run, _colour(number)) for run in _runs(points)]
        for place, point in enumerate(points):
            if point is not None:
                tip = f"{labels[place]}: {format_number(values[place] or 0)}{unit}"
                at = f'cx="{point[0]:.1f}" cy="{point[1]:.1f}" r="2.5"'
                parts.append(f'<circle {at} fill="{_colour(number)}">{_tip(tip)}</circle>')
    return _frame(title, parts, empty=not known)


def ranking(title: str, values: Mapping[Any, float], *, unit: str = "") -> str:
    """A lying bar for each name with its number behind it, in the order given."""
    top = max(values.values(), default=0.0)
    height = _TOP + 22 * max(len(values), 2)
    parts = []
    for number, (name, value) in enumerate(values.items()):
        y = _TOP + 22 * number
        length = (WIDTH - _NAMES - 90) * value / top if top else 0.0
        parts.append(f'<text x="{_NAMES}" y="{y + 4}" text-anchor="end">{escape(name)}</text>')
        parts.append(
            f'<rect x="{_NAMES + 10}" y="{y - 7}" width="{max(length, 1):.1f}" height="14" rx="2" fill="{_colour(0)}"/>'
        )
        told = f"{format_number(value)}{unit}"
        parts.append(f'<text class="value" x="{_NAMES + 18 + length:.1f}" y="{y + 4}">{escape(told)}</text>')
    return _frame(title, parts, empty=not values, height=height)


def sparkline(values: Iterable[float | None]) -> str:
    """The course of some numbers as a line of text; a gap is a blank."""
    given = list(values)
    top = max((value for value in given if value is not None), default=0.0)
    return "".join(" " if value is None else _spark(value / top if top else 0.0) for value in given)


def data_uri(svg: str) -> str:
    """The picture as an address that holds it."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def format_number(value: float) -> str:
    """A number as short as it can be read: 0.0042, 1.5, 120, 12,000."""
    if not value:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value)) + 1)) if abs(value) < 100 else 0
    told = f"{value:,.{digits}f}"
    return told.rstrip("0").rstrip(".") if "." in told else told


def _spark(share: float) -> str:
    return _SPARKS[min(len(_SPARKS) - 1, round(share * (len(_SPARKS) - 1)))]


def _rules(most: float) -> list[float]:
    """Round numbers from 0 to `most` or beyond, at equal steps of 1, 2 or 5 times a power of ten."""
    if most <= 0:
        return [0.0, 1.0]
    least = most * (1 - 1e-9) / _MOST_RULES
    power = 10.0 ** math.floor(math.log10(least))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least)
    return [step * number for number in range(math.ceil(most / step - 1e-9) + 1)]


def _y(value: float, top: float) -> float:
    return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * value / top


def _colour(number: int) -> str:
    return f"var(--c{min(number, _COLOURS - 1)})"


def _tip(words: str) -> str:
    return f"<title>{escape(words)}</title>"


def _axis(rules: Sequence[float], unit: str) -> Iterable[str]:
    for value in rules:
        y = _y(value, rules[-1])
        yield f'<line class="rule" x1="{_LEFT}" y1="{y:.1f}" x2="{WIDTH - _RIGHT}" y2="{y:.1f}"/>'
        told = escape(f"{format_number(value)}{unit}")
        yield f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{told}</text>'


def _dates(labels: Sequence[str], step: float) -> Iterable[str]:
    every = max(1, math.ceil(len(labels) / 10))
    for place in range(len(labels) - 1, -1, -every):  # so that the last one is always told
        x = _LEFT + (place + 0.5) * step
        yield f'<text x="{x:.1f}" y="{HEIGHT - 9}" text-anchor="middle">{escape(labels[place])}</text>'


def _legend(names: Sequence[str]) -> Iterable[str]:
    x = float(WIDTH - _RIGHT)
    for number in range(len(names) - 1, -1, -1):
        x -= 7 * len(names[number]) + 20
        yield f'<rect x="{x:.0f}" y="14" width="10" height="10" rx="2" fill="{_colour(number)}"/>'
        yield f'<text x="{x + 14:.0f}" y="23">{escape(names[number])}</text>'


def _runs(points: Sequence[tuple[float, float] | None]) -> Iterable[list[tuple[float, float]]]:
    run: list[tuple[float, float]] = []
    for point in (*points, None):
        if point is not None:
            run.append(point)
        elif run:
            yield run
            run = []


def _path(points: Sequence[tuple[float, float]], colour: str) -> str:
    told = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{told}" fill="none" stroke="{colour}" stroke-width="2" stroke-linejoin="round"/>'


def _frame(title: str, parts: Iterable[str], *, empty: bool, height: int = HEIGHT) -> str:
    nothing = f'<text x="{WIDTH / 2}" y="{height / 2 + 10}" text-anchor="middle">nothing in these days</text>'
    inside = nothing if empty else "".join(parts)
    box = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" {box} role="img" aria-label="{escape(title)}">'
        f"<style>{STYLE}</style>"
        f'<rect width="{WIDTH}" height="{height}" rx="8" fill="var(--ground)"/>'
        f'<text class="title" x="14" y="25">{escape(title)}</text>{inside}</svg>'
    )
