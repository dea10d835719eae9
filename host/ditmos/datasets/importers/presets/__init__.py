"""Public sets: options that fit their published form, and a reader where options are not enough."""

from __future__ import annotations

from collections.abc import Callable
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
    """options: what is said of the set's files. read: its reader, where its files are of no kind of their own. finish:
    what is added to the recordings that the readers give."""

    options: Options
    read: Read | None = None
    finish: Finish | None = None


PRESETS = {
    "pamap2": Preset(pamap2.OPTIONS),
    "sisfall": Preset(sisfall.OPTIONS, read=sisfall.read),
    "speech-commands": Preset(speech_commands.OPTIONS, finish=speech_commands.finish),
    "uci-har": Preset(uci_har.OPTIONS, read=uci_har.read),
    "unimib-shar": Preset(unimib_shar.OPTIONS, read=unimib_shar.read),
    "wisdm": Preset(wisdm.OPTIONS),
}


def preset(name: str) -> Preset:
    """The preset of that name. Raises DitmosError for none."""
    if name not in PRESETS:
        raise DitmosError(f"preset is {name!r}, expected one of {', '.join(PRESETS)}")
    return PRESETS[name]


def merge(said: Options, known: Options) -> Options:
    """The preset's options, but for what the user says."""
    usual = Options()
    own = {f.name: getattr(said, f.name) for f in fields(Options) if getattr(said, f.name) != getattr(usual, f.name)}
    if "rename" in own:
        own["rename"] = {**known.rename, **own["rename"]}
    return replace(known, **own)
