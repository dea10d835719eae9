"""What suits a kind of sensor: views, teachers, and the ranges that the architecture search draws from.

The numbers were chosen on validation data of the sets that docs/results.md names.
"""

from __future__ import annotations

from ditmos.config import AugmentConfig
from ditmos.errors import DitmosError
from ditmos.study.pool import PoolConfig, TeacherConfig
from ditmos.study.views import ViewConfig

PRESETS: dict[str, PoolConfig] = {
    "motion": PoolConfig(
        change=ViewConfig(AugmentConfig(scale=0.08, shift=4, noise=0.03, rotate=12.0), stretch=0.12),
    ),
    "log-mel": PoolConfig(
        change=ViewConfig(AugmentConfig(shift=5, noise=0.1, mask=5), stretch=0.12, warp=0.1, offset=0.15),
    ),
    "eeg": PoolConfig(
        teacher=TeacherConfig(widths=(32, 48, 64, 64, 64), kernels=(15, 9, 7, 5, 3), dropout=0.5),
        change=ViewConfig(AugmentConfig(scale=0.2, noise=0.1), roll=True, flip=True, drop=0.05),
        balanced=True,
    ),
}


def preset(name: str) -> PoolConfig:
    """Raises DitmosError for an unknown name."""
    if name not in PRESETS:
        raise DitmosError(f"preset is {name!r}, expected one of {', '.join(PRESETS)}")
    return PRESETS[name]
