"""Public sets: options that fit their published form, and a reader where options are not enough."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from ditmos.datasets.importers.options import Options
from ditmos.datasets.importers.presets import pamap2, sisfall, speech_commands, uci_har, unimib_shar, wisdm
from ditmos.datasets.importers.recording import Recording
from ditmos.datasets.importers.report import Progress, Report
from ditmos.errors import DitmosError

Read = Callable[[Path, Options, Report, Progress], list[Recording]]
Finish = Callable[[Path, list[Recording], Report], list[Recording]]


@dataclass(frozen=True)
class Preset:
    """options: what is said of the set's files. file: pattern of a name that only this set has. read: its reader, where
    its files are of no kind of their own. finish: what is added to the recordings that the readers give."""

    options: Options
    file: str
    read: Read | None = None
    finish: Finish | None = None


PRESETS = {
    "pamap2": Preset(pamap2.OPTIONS, r"subject10\d\.dat"),
    "sisfall": Preset(sisfall.OPTIONS, r"[DF]\d\d_S[AE]\d\d_R\d\d\.txt", read=sisfall.read),
    "speech-commands": Preset(speech_commands.OPTIONS, r"[0-9a-f]+_nohash_\d+\.wav", finish=speech_commands.finish),
    "uci-har": Preset(uci_har.OPTIONS, r"acc_exp\d\d_user\d\d\.txt|total_acc_x_(train|test)\.txt", read=uci_har.read),
    "unimib-shar": Preset(unimib_shar.OPTIONS, r"acc_data\.mat", read=unimib_shar.read),
    "wisdm": Preset(wisdm.OPTIONS, r"WISDM_ar_v[\d.]+_raw\.txt"),
}


_OF_FILES = (
    *("pattern", "label_column", "subject_column", "take_column", "sensor_column", "time_column", "time_unit"),
    *("encoding", "separator", "decimal", "key"),
)


def looks_like(paths: Sequence[Path]) -> str | None:
    """The public set whose files have such names, if it is one folder."""
    if len(paths) != 1 or not paths[0].is_dir():
        return None
    names = [path.name for path in paths[0].rglob("*.*")]
    return next((known for known, one in PRESETS.items() if any(re.fullmatch(one.file, n, re.I) for n in names)), None)


def preset(name: str) -> Preset:
    """The preset of that name. Raises DitmosError for none."""
    if name not in PRESETS:
        raise DitmosError(f"preset is {name!r}, expected one of {', '.join(PRESETS)}")
    return PRESETS[name]


def unheard(said: Options) -> list[str]:
    """What is said of files, which a reader of a preset knows by itself."""
    return [f"--{name.replace('_', '-')}" for name in _OF_FILES if getattr(said, name) is not None]


def merge(said: Options, known: Options) -> Options:
    """The preset's options, but for what the user says."""
    usual = Options()
    own = {f.name: getattr(said, f.name) for f in fields(Options) if getattr(said, f.name) != getattr(usual, f.name)}
    if "rename" in own:
        own["rename"] = {**known.rename, **own["rename"]}
    return replace(known, **own)
