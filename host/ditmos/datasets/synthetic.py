"""Synthetic body-worn motion data: the demo and the tests run with no recordings at hand.

A waist-worn accelerometer (g) and gyroscope (rad/s), 50 Hz, are simulated for people with styles of their own:

* an activity is a posture (which way gravity points in the body's axes, before and after a change of posture), a
  rhythm (cadence with harmonics per axis) and, for some, one impact at a random time;
* a subject has a tempo, a strength, a mounting of the sensor (a rotation up to some 25 degrees) and deviations of the
  harmonics' amplitudes and phases that are all their own;
* a recording has a start phase, a drift of tempo, a gyroscope bias and noise.

Activities come in near pairs (stairs up and down, sit and lie down slowly, fall forward and backward) so that a tiny
network gets most windows right, not all, and people it has not seen are harder.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ditmos.datasets.dataset import Dataset
from ditmos.errors import DitmosError

FS = 50.0
SCALE = 1 / 1024
CHANNELS = ("acc_x", "acc_y", "acc_z", "gyr_x", "gyr_y", "gyr_z")

_UP, _FRONT, _BACK, _SIDE, _LEAN = (0, 0, 1), (0.9, 0, 0.4), (-0.9, 0, 0.4), (0, 0.9, 0.4), (0.45, 0, 0.9)


@dataclass(frozen=True)
class _Activity:
    """``rhythm``: per axis (x forward, y left, z up) amplitudes of harmonics 1, 2, 3 of the cadence, in g."""

    name: str
    start: tuple[float, float, float] = _UP
    end: tuple[float, float, float] = _UP
    transition: float = 0.0  # seconds that the change of posture takes; 0: none
    cadence: float = 0.0  # Hz
    rhythm: tuple[tuple[float, float, float], ...] = ((0, 0, 0), (0, 0, 0), (0, 0, 0))
    impact: float = 0.0  # g


_ACTIVITIES = (
    _Activity("stand"),
    _Activity("sit", start=_LEAN, end=_LEAN),
    _Activity("walk", cadence=0.95, rhythm=((0.08, 0.14, 0.04), (0.12, 0.03, 0.04), (0.05, 0.28, 0.05))),
    _Activity("walk fast", cadence=1.15, rhythm=((0.10, 0.20, 0.06), (0.15, 0.05, 0.05), (0.07, 0.42, 0.09))),
    _Activity("run", cadence=1.4, rhythm=((0.12, 0.35, 0.10), (0.25, 0.10, 0.08), (0.10, 0.95, 0.20))),
    _Activity("stairs up", cadence=0.85, rhythm=((0.10, 0.12, 0.03), (0.13, 0.03, 0.03), (0.07, 0.24, 0.10))),
    _Activity("stairs down", cadence=0.95, rhythm=((0.07, 0.13, 0.08), (0.11, 0.03, 0.06), (0.06, 0.30, 0.16))),
    _Activity("cycle", _LEAN, _LEAN, cadence=1.1, rhythm=((0.07, 0.03, 0.01), (0.10, 0.02, 0.01), (0.05, 0.06, 0.02))),
    _Activity("jump", cadence=0.6, rhythm=((0.1, 0.1, 0.1), (0.05, 0.05, 0.05), (0.45, 0.6, 0.5)), impact=1.5),
    _Activity("sit down", end=_LEAN, transition=1.0, impact=0.25),
    _Activity("lie down", end=_BACK, transition=1.4, impact=0.15),
    _Activity("fall forward", end=_FRONT, transition=0.5, impact=2.2),
    _Activity("fall backward", end=_BACK, transition=0.5, impact=2.2),
    _Activity("fall sideways", end=_SIDE, transition=0.5, impact=2.2),
)  # fmt: skip
MAX_ACTIVITIES = len(_ACTIVITIES)


def generate(
    *,
    subjects: int = 24,
    activities: int = MAX_ACTIVITIES,
    recordings: int = 3,
    windows: int = 4,
    window: int = 151,
    noise: float = 0.04,
    seed: int = 0,
) -> Dataset:
    """``subjects * activities * recordings * windows`` windows of ``window`` rows by 6 channels, int16.

    ``windows`` are cut from each recording without overlap. The same arguments give the same data. Without a split:
    see `ditmos.datasets.splits`.

    Raises:
        DitmosError: a count below 1, or more activities than there are.
    """
    for name, value, low, high in (
        ("subjects", subjects, 1, 10_000),
        ("activities", activities, 1, MAX_ACTIVITIES),
        ("recordings", recordings, 1, 10_000),
        ("windows", windows, 1, 10_000),
        ("window", window, 8, 100_000),
    ):
        if not low <= value <= high:
            raise DitmosError(f"synthetic data: {name} is {value}, expected {low} to {high}")
    if not 0 <= noise <= 10:
        raise DitmosError(f"synthetic data: noise is {noise}, expected 0 to 10 g")
    rng = np.random.default_rng(seed)
    blocks, labels, people = [], [], []
    for person in range(subjects):
        style = _Style(rng)
        for label, activity in enumerate(_ACTIVITIES[:activities]):
            for _ in range(recordings):
                blocks.append(_recording(activity, style, windows, window, noise, rng))
                labels.append(label)
                people.append(person)
    x = np.concatenate(blocks)
    return Dataset(
        x=np.clip(np.rint(x / SCALE), -32768, 32767).astype(np.int16),
        y=np.repeat(labels, windows).astype(np.int64),
        subject=np.repeat(people, windows).astype(np.int64),
        group=np.repeat(np.arange(len(labels)), windows).astype(np.int64),
        class_names=tuple(activity.name for activity in _ACTIVITIES[:activities]),
        channels=CHANNELS,
        scale=SCALE,
        units="g, rad/s",
        fs=FS,
        name="synthetic",
    ).check()


class _Style:
    """How one person moves and wears the sensor."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.tempo = float(np.clip(rng.normal(1, 0.1), 0.75, 1.3))
        self.strength = rng.lognormal(0, 0.25)
        self.amplitude = rng.lognormal(0, 0.35, (3, 3))
        self.phase = rng.normal(0, 0.9, (3, 3))
        self.sway = rng.normal(0, 0.8, (3, 3))  # rad/s per g: the gyroscope's answer to the rhythm
        self.mounting = _rotation(rng.normal(0, 0.18, 3))


def _rotation(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation matrix of a rotation vector in rad (Rodrigues' formula)."""
    angle = max(float(np.linalg.norm(vector)), 1e-9)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def _recording(
    activity: _Activity, style: _Style, windows: int, window: int, noise: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """(windows, window, 6) in g and rad/s. Each window has its own moment of transition and impact."""
    rows = windows * window
    tempo = style.tempo * rng.normal(1, 0.04) * (1 + 0.03 * np.cumsum(rng.normal(0, FS**-0.5, rows)) / FS**0.5)
    phase = 2 * np.pi * (np.cumsum(activity.cadence * tempo) / FS + rng.random())
    harmonics = np.arange(1, 4)[:, None, None] * phase + style.phase[..., None] + np.arange(3)[:, None] * np.pi / 2
    amplitude = np.array(activity.rhythm).T * style.amplitude * style.strength * rng.lognormal(0, 0.12)
    rhythm = (amplitude[..., None] * np.sin(harmonics)).sum(0).T  # (rows, 3)
    sway = (amplitude[..., None] * np.cos(harmonics)).sum(0).T @ style.sway.T

    time = (np.arange(window) / FS)[None, :]
    middle = rng.uniform(0.3, 0.7, (windows, 1)) * window / FS
    progress = 1 / (1 + np.exp(-6 * (time - middle) / max(activity.transition * style.tempo, 0.05)))
    start, end = (np.array(v) / np.linalg.norm(v) for v in (activity.start, activity.end))
    posture = start + progress[..., None] * (end - start) + rng.normal(0, 0.05, (windows, 1, 3))
    turn = np.gradient(posture, 1 / FS, axis=1)[..., [1, 0, 2]] * (-1, 1, 0.3)

    after = time - middle - 0.4 * activity.transition
    ringing = np.exp(-np.maximum(after, 0) / 0.12) * np.sin(2 * np.pi * 6 * after) * (after > 0)
    impact = activity.impact * style.strength * rng.lognormal(0, 0.3, (windows, 1)) * ringing
    direction = rng.normal(0, 0.3, (windows, 1, 3)) + end
    acceleration = posture + rhythm.reshape(windows, window, 3) + impact[..., None] * direction
    rotation = sway.reshape(windows, window, 3) + turn + rng.normal(0, 0.05, 3)
    body = np.concatenate([acceleration @ style.mounting.T, rotation @ style.mounting.T], axis=2)
    return body + rng.normal(0, 1, body.shape) * ([noise] * 3 + [2 * noise] * 3)
