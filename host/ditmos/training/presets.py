"""What suits a kind of sensor: views, teachers, and the ranges that the architecture search draws from.

The numbers were chosen on validation data, or by cross-validation over training and validation subjects, of the sets
that docs/results.md names.
"""

from __future__ import annotations

from dataclasses import dataclass

from ditmos.errors import DitmosError
from ditmos.training.config import AugmentConfig
from ditmos.training.pool import PoolConfig
from ditmos.training.teachers import TeacherConfig
from ditmos.training.views import ViewConfig


@dataclass(frozen=True)
class Preset:
    """spectral: the channels are frequency bands (`ditmos.training.space.draw_branch`)."""

    pool: PoolConfig
    spectral: bool = False


PRESETS: dict[str, Preset] = {
    "motion": Preset(
        PoolConfig(change=ViewConfig(AugmentConfig(scale=0.08, shift=4, noise=0.03, rotate=12.0), stretch=0.12)),
    ),
    # few people, and each wears the sensor in another way
    "motion-strong": Preset(
        PoolConfig(change=ViewConfig(AugmentConfig(scale=0.15, shift=8, noise=0.1, rotate=40.0), stretch=0.25)),
    ),
    "log-mel": Preset(
        PoolConfig(change=ViewConfig(AugmentConfig(shift=5, noise=0.1, mask=5), stretch=0.12, warp=0.1, offset=0.15)),
        spectral=True,
    ),
    "eeg": Preset(
        PoolConfig(
            teacher=TeacherConfig(widths=(32, 48, 64, 64, 64), kernels=(15, 9, 7, 5, 3), dropout=0.5),
            change=ViewConfig(AugmentConfig(scale=0.2, noise=0.1), roll=True, flip=True, drop=0.05),
            balanced=True,
        ),
    ),
    "eeg-bands": Preset(
        PoolConfig(
            teacher=TeacherConfig(dropout=0.5, handmade=True),
            change=ViewConfig(AugmentConfig(noise=0.2), offset=0.3, drop=0.1),
            balanced=True,
        ),
        spectral=True,
    ),
}


def preset(name: str) -> Preset:
    """Raises DitmosError for an unknown name."""
    if name not in PRESETS:
        raise DitmosError(f"preset is {name!r}, expected one of {', '.join(PRESETS)}")
    return PRESETS[name]
