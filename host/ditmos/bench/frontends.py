"""`ditmos bench frontend`: front ends on the simulated Cortex-M7. Values of rows that differ from the specification,
instructions from one row to the next, bytes of RAM, and how far integers are from floats; for windows of a set, too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from struct import pack
from typing import Any

import numpy as np

from ditmos.bench import baremetal
from ditmos.bench.float_features import error, labels_changed, raw_samples
from ditmos.bench.golden_fronts import random_eeg, random_front, random_samples, random_sound
from ditmos.datasets import Dataset
from ditmos.datasets.features import through
from ditmos.datasets.kinds import front_end_of, kind_of
from ditmos.errors import DitmosError
from ditmos.frontends import log_bands, log_mel, vitals
from ditmos.frontends.frontend import FrontEnd
from ditmos.frontends.integers import Int16
from ditmos.frontends.memory import memory
from ditmos.frontends.section import encode
from ditmos.model.reference import Model

FULL = 2048  # steps of a sample at full scale
EEG_SCALE = 0.2  # uV of a step

# Bars: instructions from one row to the next, bytes beyond the model, nat.
LOG_MEL_INSTRUCTIONS, EEG_INSTRUCTIONS = 32_000, 7_000
LOG_MEL_BYTES = 3_100
ERROR = 0.002
CHANGED = 0.001  # of the labels
_BYTES = baremetal.PSRAM_SIZE // 2  # of jobs at a time


@dataclass(frozen=True)
class Job:
    """A front end and a recording (time, channels); ``piece``: samples that it takes in at a time; ``window``: rows."""

    front: FrontEnd
    samples: Int16
    piece: int
    window: int = 1


@dataclass(frozen=True)
class Run:
    """differing: values of rows, and writes beyond the memory. least, most: instructions from one row to the next.
    kept, work: bytes of the arena, as C counts them."""

    differing: int
    least: int
    most: int
    kept: int
    work: int


def build(*, portable: bool = False, folder: Path | None = None) -> Path:
    """The program that runs front ends; ``portable``: without the instructions of the M7."""
    name, flags = ("frontends-portable", ["-DDITMOS_PORTABLE"]) if portable else ("frontends", [])
    return baremetal.build(name, [baremetal.HERE / "frontends.c"], baremetal.FRONTEND_PARTS, folder=folder, flags=flags)


def run(elf: Path, jobs: Sequence[Job], timeout: float = 300) -> list[Run]:
    """Raises DitmosError: a front end is refused, or the program fails."""
    runs: list[Run] = []
    for line in baremetal.run(elf, b"".join(map(_input, jobs)) + bytes(24), timeout):
        if line.startswith("refused"):
            raise DitmosError(f"bench: front end {len(runs)} is {line}")
        runs.append(Run(*map(int, line.split())))
    if len(runs) != len(jobs):
        raise DitmosError(f"bench: {len(runs)} answers to {len(jobs)} front ends")
    return runs


def _input(job: Job) -> bytes:
    front = job.front
    section = encode(front, 0, memory(front, job.window).kept)
    rows = np.empty((0, front.channels_out), np.int16)
    if front.rows(len(job.samples)):
        rows = front.uncentred(job.samples)
    head = pack(
        "<6I", len(section), job.window, front.channels_out, len(job.samples), len(rows), job.piece
    )  # fmt: skip
    return head + b"".join(map(baremetal.padded, (section, job.samples.tobytes(), rows.tobytes())))


@dataclass(frozen=True)
class OnSet:
    """A set of raw windows, and a model for it, whose front end is measured; without one that which suits the set.

    windows: that the simulated core takes, evenly from all; 0: all of them.
    """

    dataset: Dataset
    model: Model | None = None
    windows: int = 16


def measure(count: int = 200, sets: Sequence[OnSet] = (), folder: Path | None = None) -> dict[str, Any]:
    """Front ends of the project at several rates, ``count`` random ones, and those of ``sets``, also without the
    instructions of the M7.

    Returns:
        "front_ends", "random" (front ends, values, differing), "sets", and "rows": what must hold, name, value, bar.

    Raises:
        DitmosError: no compiler or emulator, a program fails, a set that has no front end.
    """
    programs = {"M7": build(folder=folder), "portable C": build(portable=True, folder=folder)}
    rng = np.random.default_rng(7)
    named = {f"log-mel, {fs / 1000:g} kHz": _log_mel_job(rng, fs) for fs in (16e3, 8e3, 22.05e3, 44.1e3, 48e3)}
    for channels, fs in ((1, 128.0), (19, 128.0), (1, 500.0)):
        named[f"band power, {channels} x {fs:g} Hz"] = _eeg_job(rng, fs, channels)
    named["vitals, 6 x 16 Hz"] = _vitals_job(rng)
    jobs = list(named.values())
    runs = {name: run(elf, jobs) for name, elf in programs.items()}
    fronts: list[dict[str, Any]] = []
    for i, (name, job) in enumerate(named.items()):
        needed = memory(job.front, job.window)
        m7 = runs["M7"][i]
        fronts.append(
            {
                "name": name,
                "instructions": m7.most,
                "portable": runs["portable C"][i].most,
                "kept": m7.kept,
                "work": m7.work,
                "planned": needed.total,
                "differing": m7.differing + runs["portable C"][i].differing,
                "rms_nat": error(job.front, job.samples[None]),
            }
        )
    chosen = _random_jobs(count)
    differing = sum(r.differing for elf in programs.values() for r in run(elf, chosen))
    values = sum(job.front.rows(len(job.samples)) * job.front.channels_out for job in chosen)
    mel, eeg = fronts[0], fronts[5]
    rows = [
        _bar("values that differ", sum(front["differing"] for front in fronts) + differing, 0),
        _bar("log-mel, instructions a row", mel["instructions"], LOG_MEL_INSTRUCTIONS),
        _bar("band power of a channel, instructions a row", eeg["instructions"], EEG_INSTRUCTIONS),
        _bar("log-mel, bytes of RAM", mel["kept"] + mel["work"], LOG_MEL_BYTES),
        _bar("bytes beyond the plan", sum(abs(f["kept"] + f["work"] - f["planned"]) for f in fronts), 0),
        _bar("integers against floats, rms, nat", max(front["rms_nat"] for front in fronts), ERROR),
    ]
    found = [_on_set(each, list(programs.values())) for each in sets]
    for one in found:
        rows.append(_bar(f"{one['name']}: values that differ", one["differing"], 0))
        rows.append(_bar(f"{one['name']}: integers against floats, rms, nat", one["rms_nat"], ERROR))
        if "changed" in one:
            share = one["changed"] / one["labels"]
            rows.append(_bar(f"{one['name']}: share of the labels that floats change", share, CHANGED))
    return {
        "front_ends": fronts,
        "random": {"front_ends": count, "values": values, "differing": differing},
        "sets": found,
        "rows": rows,
    }


def _bar(name: str, value: float, bar: float) -> dict[str, Any]:
    return {"name": name, "value": value, "bar": bar}


def _on_set(each: OnSet, programs: Sequence[Path]) -> dict[str, Any]:
    """One set's windows; labels of all of them, where there is a model."""
    dataset, model = each.dataset, each.model
    if model:
        front, samples = raw_samples(model, dataset)
        window = model.kept_rows
        if front.summary:  # rows are what is compared
            front = replace(front, operations=front.operations[:-1])
    else:
        prepared = through(dataset, front_end_of(kind_of(dataset)[0], dataset))
        if prepared.front is None or prepared.samples is None:
            raise DitmosError(f"{dataset.name}: its windows need no front end, expected sound, EEG or a wristband's")
        front, samples, window = prepared.front, prepared.samples, prepared.dataset.window
    count = min(each.windows or len(samples), len(samples))
    some = samples[np.linspace(0, len(samples) - 1, count).astype(int)]
    jobs = [Job(front, x, front.hop, window) for x in some]
    size = max(1, _BYTES // len(_input(jobs[0])))
    differing = sum(
        r.differing for elf in programs for i in range(0, count, size) for r in run(elf, jobs[i : i + size])
    )
    found = {
        "name": dataset.name,
        "windows": count,
        "values": count * front.rows(samples.shape[1]) * front.channels_out,
        "differing": differing,
        "rms_nat": error(front, some),
    }
    if model:
        found["labels"] = len(samples)
        found["changed"] = labels_changed(model, dataset, np.arange(len(samples)))
    return found


def _log_mel_job(rng: np.random.Generator, fs: float) -> Job:
    front = log_mel.front_end(fs, 1 / FULL, "", "sound")
    return Job(front, random_sound(rng, fs, 3, FULL).reshape(-1, 1), front.hop, 49)


def _eeg_job(rng: np.random.Generator, fs: float, channels: int) -> Job:
    front = log_bands.front_end(fs, EEG_SCALE, "uV", [f"channel {i}" for i in range(channels)])
    return Job(front, random_eeg(rng, fs, 2, channels).reshape(-1, channels), front.hop, 13)


def _vitals_job(rng: np.random.Generator) -> Job:
    front = vitals.front_end(16.0, 1.0, "", ("BVP", "EDA", "TEMP", "x", "y", "z"), 3)
    return Job(front, random_eeg(rng, 16.0, 30, 6).reshape(-1, 6), front.hop, 27)


def _random_jobs(count: int) -> list[Job]:
    jobs = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        front = random_front(rng, longest=2048 if seed % 8 == 0 else 256)
        samples = random_samples(rng, int(rng.integers(1, 2 * front.samples(3))), front.channels)
        jobs.append(Job(front, samples, int(rng.integers(1, 400)), int(rng.integers(1, 6))))
    return jobs
