"""Draw the picture of README and the site: `python docs/tools/picture.py` writes docs/picture.svg.

A window of samples, the selector's opinion of six classifiers, the one that runs, its label. Samples and opinions are
made up here; a test holds the committed file to what this prints.
"""

from __future__ import annotations

import math
from pathlib import Path

WIDTH, HEIGHT = 860, 300
INK, PALE, QUIET, LIVE, PAPER = "#1f2a30", "#d5dde1", "#8b979d", "#00897b", "#ffffff"
AXES = ("#00897b", "#5c6bc0", "#ef6c00")
LOGITS = (1.1, -0.9, 2.6, 0.2, -1.8, -0.4)
CHOSEN = LOGITS.index(max(LOGITS))


def box(x: float, y: float, w: float, h: float, *, line: str = INK, fill: str = PAPER, width: float = 1.5) -> str:
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="6" fill="{fill}" stroke="{line}" '
        f'stroke-width="{width:g}"/>'
    )


def text(
    x: float, y: float, words: str, *, size: int = 14, ink: str = INK, anchor: str = "middle", bold: bool = False
) -> str:
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{ink}" text-anchor="{anchor}"{weight}>{words}</text>'


def arrow(x1: float, y1: float, x2: float, y2: float, *, ink: str = INK, dashed: bool = False) -> str:
    """A line with a head at its right end."""
    dash = ' stroke-dasharray="4 4"' if dashed else ""
    middle = (x1 + x2) / 2
    line = f'<path d="M{x1:g} {y1:g} C{middle:g} {y1:g} {middle:g} {y2:g} {x2 - 7:g} {y2:g}" fill="none" stroke="{ink}"'
    head = f'<path d="M{x2:g} {y2:g} l-9 -4.5 v9 z" fill="{ink}"/>'
    return f'{line} stroke-width="1.6"{dash}/>{head}'


def signal(x: float, y: float, w: float, h: float) -> list[str]:
    """Three channels of somebody who walks."""
    drawn = []
    for channel, ink in enumerate(AXES):
        points = []
        for i in range(61):
            t = i / 60
            wave = math.sin(14 * t + channel) + 0.4 * math.sin(31 * t + 2 * channel) + 0.15 * math.sin(97 * t)
            points.append(f"{x + w * t:.1f},{y + h * (channel + 0.5) / 3 - wave * h / 11:.1f}")
        drawn.append(f'<polyline points="{" ".join(points)}" fill="none" stroke="{ink}" stroke-width="1.6"/>')
    return drawn


def bars(x: float, y: float, w: float) -> list[str]:
    """The selector's logits; the highest one is marked."""
    low, high = min(LOGITS), max(LOGITS)
    drawn = []
    for k, logit in enumerate(LOGITS):
        length = 8 + (w - 8) * (logit - low) / (high - low)
        ink = LIVE if k == CHOSEN else PALE
        drawn.append(f'<rect x="{x:g}" y="{y + 15 * k:g}" width="{length:.1f}" height="10" rx="2" fill="{ink}"/>')
    return drawn


def picture() -> str:
    parts = [box(1, 1, WIDTH - 2, HEIGHT - 2, line=PALE)]
    parts += [text(95, 34, "window", bold=True), box(25, 50, 140, 180, line=PALE), *signal(33, 58, 124, 164)]
    parts += [text(95, 252, "samples of a sensor", size=12, ink=QUIET)]
    parts += [arrow(165, 140, 222, 140)]
    parts += [text(300, 34, "selector", bold=True), box(222, 50, 156, 180), *bars(238, 95, 124)]
    parts += [
        text(300, 78, "a tiny network", size=12, ink=QUIET),
        text(300, 216, "who will be right?", size=12, ink=QUIET),
    ]
    parts += [text(533, 34, "six classifiers in flash", bold=True)]
    for k in range(len(LOGITS)):
        y, live = 50 + 31 * k, k == CHOSEN
        parts.append(arrow(378, 140, 446, y + 12, ink=LIVE if live else PALE, dashed=not live))
        parts.append(
            box(
                446,
                y,
                174,
                25,
                line=LIVE if live else PALE,
                fill="#e0f2f1" if live else PAPER,
                width=2 if live else 1.2,
            )
        )
        parts.append(
            text(533, y + 17, f"classifier {k}" + (" runs" if live else ""), size=13, ink=INK if live else QUIET)
        )
    parts += [text(533, 252, "one is asked, the others take no time", size=12, ink=QUIET)]
    parts += [arrow(620, 50 + 31 * CHOSEN + 12, 690, 140, ink=LIVE)]
    parts += [text(765, 34, "label", bold=True), box(690, 115, 150, 50, line=LIVE, fill="#e0f2f1", width=2)]
    parts += [text(765, 145, f"(&#39;walk&#39;, {CHOSEN})", size=16)]
    parts += [f'<path d="M300 230 v34 h233 v-4" fill="none" stroke="{INK}" stroke-width="1.2" stroke-dasharray="2 3"/>']
    parts += [text(416, 282, "its feature maps are used again", size=12, ink=QUIET)]
    style = "font-family: system-ui, sans-serif"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" style="{style}">'
    title = "<title>A selector picks one of six tiny classifiers for each window</title>"
    return "\n".join([head, title, *parts, "</svg>", ""])


if __name__ == "__main__":
    Path(__file__).parents[1].joinpath("picture.svg").write_text(picture())
