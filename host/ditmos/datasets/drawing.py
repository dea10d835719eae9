"""A dataset as a picture: some windows of each class, channel by channel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ditmos import atomic
from ditmos.datasets.dataset import Dataset

_CLASSES = 24  # panels at most
_COLUMNS = 4
_CHANNELS = 9  # lines in a panel at most


def draw(dataset: Dataset, path: Path) -> None:
    """Write a picture with a panel for each class, which shows its middle window in real units.

    Raises:
        DitmosError: not a kind of picture, or it cannot be written.
    """
    shown = range(min(dataset.classes, _CLASSES))
    columns = min(_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(3.2 * columns, 2.2 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True).reshape(-1)
    seconds = np.arange(dataset.window) / dataset.fs
    for number, panel in enumerate(panels):
        if number >= len(shown):
            panel.axis("off")
            continue
        mine = np.flatnonzero(dataset.y == number)
        panel.set_title(f"{dataset.class_names[number]} ({len(mine)})", fontsize=8)
        panel.tick_params(labelsize=6)
        if len(mine):
            window = dataset.real(mine[[len(mine) // 2]])[0]
            for name, values in list(zip(dataset.channels, window, strict=True))[:_CHANNELS]:
                panel.plot(seconds, values, linewidth=0.8, label=name)
    panels[0].legend(fontsize=6)
    figure.supxlabel("seconds", fontsize=8)
    figure.supylabel(dataset.units, fontsize=8)
    atomic.write_figure(path, figure, dpi=130)
