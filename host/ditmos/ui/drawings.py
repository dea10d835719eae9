"""Drawings that do not move, as SVG in the page's colours: points of a trade, buffers over the run of a plan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_W, _H, _LEFT, _BOTTOM = 560, 250, 64, 34
_KINDS = {"window": "#8C8C8C", "selector": "#0072B2", "classifier": "#E69F00", "carry": "#009E73", "scratch": "#B8BEC7"}


class Point(NamedTuple):
    """x and y in their units; ``text``: what it is, said on hover; ``chosen``: the one that counts."""

    x: float
    y: float
    text: str
    chosen: bool = False


def trade(points: Sequence[Point], x_name: str, y_name: str, *, line: bool = False) -> str:
    """Points in logarithmic x, with a line through them where they are a front."""
    if not points:
        return ""
    lows, highs = (
        (min(p.x for p in points), min(p.y for p in points)),
        (max(p.x for p in points), max(p.y for p in points)),
    )
    left, right = math.log(max(lows[0], 1e-9) / 1.08), math.log(max(highs[0], 1e-9) * 1.08)
    pad = 0.08 * (highs[1] - lows[1]) or max(abs(highs[1]) * 0.05, 1e-6)
    bottom, top = lows[1] - pad, highs[1] + pad

    def place(p: Point) -> tuple[float, float]:
        x = _LEFT + (math.log(max(p.x, 1e-9)) - left) / (right - left or 1) * (_W - _LEFT - 12)
        return x, 8 + (top - p.y) / (top - bottom) * (_H - _BOTTOM - 8)

    parts = [_axis(place, lows, highs, x_name, y_name)]
    if line:
        way = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, sorted(points)))
        parts.append(f'<polyline points="{way}" fill="none" stroke="var(--muted)"/>')
    for p in sorted(points, key=lambda p: p.chosen):
        x, y = place(p)
        look = (
            'r="6" fill="var(--accent)" stroke="var(--card)" stroke-width="2"'
            if p.chosen
            else 'r="3.5" fill="var(--trace)"'
        )
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" {look}><title>{escape(p.text)}</title></circle>')
    said = f"{len(points)} points: {x_name} against {y_name}"
    return _svg(_W, _H, "".join(parts), said)


def _axis(place: Any, lows: tuple[float, float], highs: tuple[float, float], x_name: str, y_name: str) -> str:
    floor = _H - _BOTTOM
    parts = [f'<path d="M{_LEFT} 4V{floor}H{_W - 4}" fill="none" stroke="var(--line)"/>']
    for value in sorted({lows[0], math.sqrt(max(lows[0], 1e-9) * highs[0]), highs[0]}):
        x, _ = place(Point(value, lows[1], ""))
        parts.append(_text(x, floor + 14, short(value), "middle"))
    for value in sorted({lows[1], highs[1]}):
        _, y = place(Point(lows[0], value, ""))
        parts.append(_text(_LEFT - 6, y + 4, short(value), "end"))
    parts.append(_text((_LEFT + _W) / 2, _H - 4, x_name, "middle"))
    parts.append(f'<g transform="rotate(-90 12 {floor / 2:.0f})">{_text(12, floor / 2, y_name, "middle")}</g>')
    return "".join(parts)


def memory(plan: dict[str, Any], step: int | None = None) -> str:
    """What `ditmos.planner.describe.describe` says of a plan: slices to the right by their instructions, the arena
    upwards. ``step``: the slice that runs, whose buffers stand out."""
    slices, buffers, arena = plan["slices"], plan["buffers"], plan["arena_bytes"]
    if not slices:
        return ""
    times = [0.0]
    for part in slices:
        times.append(times[-1] + max(part["instructions"], 1))
    lead = 0.04 * times[-1]
    wide = _W - _LEFT - 8

    def x(time: float) -> float:
        return _LEFT + (time + lead) / (times[-1] + lead) * wide

    def y(byte: float) -> float:
        return 8 + (1 - byte / arena) * (_H - _BOTTOM - 8)

    parts = [f'<path d="M{_LEFT} {y(arena):.1f}V{y(0):.1f}H{_W - 4}" fill="none" stroke="var(--line)"/>']
    for buffer in buffers:
        start = x(times[buffer["first"] - 1]) if buffer["first"] else x(-lead)
        end = x(times[buffer["last"]])
        lives = step is None or buffer["first"] <= step + 1 <= buffer["last"]
        kind = buffer["kind"] if buffer["kind"] != "map" else buffer["holds"].partition(".")[0]
        top = y(buffer["offset"] + buffer["bytes"])
        tall = max(1.0, y(buffer["offset"]) - top)
        said = escape(f"{buffer['holds']}: {buffer['bytes']} bytes at {buffer['offset']}")
        parts.append(
            f'<rect x="{start:.1f}" y="{top:.1f}" width="{max(1.0, end - start):.1f}" height="{tall:.1f}" '
            f'fill="{_KINDS.get(kind, "#8C8C8C")}" opacity="{0.95 if lives else 0.25}" stroke="var(--card)">'
            f"<title>{said}</title></rect>"
        )
        if tall > 13 and end - start > 7 * len(buffer["holds"]) and lives:
            parts.append(_label(start + 4, y(buffer["offset"] + buffer["bytes"] / 2) + 4, buffer["holds"], kind))
    for time in times[1:-1]:
        parts.append(f'<path d="M{x(time):.1f} 8V{y(0):.1f}" stroke="var(--muted)" stroke-dasharray="2 3"/>')
    parts += [_text(_LEFT - 6, y(arena) + 8, f"{arena:,} B", "end"), _text(_LEFT - 6, y(0) + 4, "0", "end")]
    parts.append(_text((_LEFT + _W) / 2, _H - 6, f"{times[-1] / 1000:,.0f} k instructions, estimated", "middle"))
    return _svg(
        _W, _H, "".join(parts), f"{len(buffers)} buffers in an arena of {arena:,} bytes over {len(slices)} slices"
    )


def legend() -> str:
    """Of `memory`."""
    items = "".join(f"<span><i style='background:{colour}'></i>{name}</span>" for name, colour in _KINDS.items())
    return f"<div class=legend>{items}</div>"


def short(value: float) -> str:
    """12.3 k, 0.812."""
    if abs(value) >= 10_000:
        return f"{value / 1000:,.0f} k"
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3f}"


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _label(x: float, y: float, text: str, kind: str) -> str:
    colour = "#fff" if kind in ("selector",) else "#111"
    return f'<text x="{x:.1f}" y="{y:.1f}" style="fill:{colour}">{escape(text)}</text>'


def _svg(wide: int, tall: int, body: str, said: str) -> str:
    return f'<svg class="drawing" viewBox="0 0 {wide} {tall}" role="img" aria-label="{escape(said)}">{body}</svg>'


def lanes(rows: NDArray[np.integer], names: Sequence[str]) -> str:
    """Channels of a window (time, channels) one above the other, each in its own range."""
    tall = 54 if len(names) <= 4 else 24 if len(names) <= 16 else 10
    parts = []
    for c, name in enumerate(names):
        values = rows[:, c].astype(float)
        low, span = values.min(), float(np.ptp(values)) or 1.0
        xs = _LEFT + np.arange(len(values)) / max(len(values) - 1, 1) * (_W - _LEFT - 4)
        ys = tall * c + 3 + (1 - (values - low) / span) * (tall - 6)
        way = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))
        parts.append(f'<polyline points="{way}" fill="none" stroke="var(--trace)" stroke-width="1.2"/>')
        if tall > 12 or c % 2 == 0:
            parts.append(_text(_LEFT - 8, tall * (c + 0.5) + 4, name[:10], "end"))
    return _svg(_W, tall * len(names), "".join(parts), f"The window: {len(names)} channels, {len(rows)} rows")
