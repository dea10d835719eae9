"""Colours of classifiers: Okabe and Ito's, which colour-blind people tell apart; beyond eight, lighter and darker ones.

Colour never stands alone: a block says the classifier's number, too.
"""

from __future__ import annotations

from ditmos.framing import ALL, FOREST, NOBODY, SELECTOR

OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#8C8C8C")
OTHERS = {NOBODY: "#C9CED6", SELECTOR: "#4B5563", ALL: "#111827", FOREST: "#6B4F2A"}
_STEPS = (0.0, 0.35, -0.3, 0.6, -0.5, 0.2, -0.15, 0.75)  # towards white, or black


def classifier_colour(k: int) -> str:
    """Of classifier k, 0 to 63."""
    return _shade(OKABE_ITO[k % len(OKABE_ITO)], _STEPS[k // len(OKABE_ITO) % len(_STEPS)])


def colours_of(classifiers: int) -> dict[int, str]:
    """Of everybody who may answer, as routing.py numbers them."""
    return {k: classifier_colour(k) for k in range(classifiers)} | OTHERS


def _shade(colour: str, step: float) -> str:
    end = 255 if step > 0 else 0
    parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(part + (end - part) * abs(step)):02X}" for part in parts)
