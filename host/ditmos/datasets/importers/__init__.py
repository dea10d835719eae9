"""Recordings as people have them, to a dataset: `import_recordings` is what ``ditmos data import`` calls.

A file's way: ``find`` names its reader; the reader gives recordings (``recording``); ``pattern`` and ``labels`` say
whose and of what they are; ``channels`` gives all the same ones; ``timebase`` joins their signals; ``cutting`` makes
windows; ``assemble`` makes the set; ``report`` says what was guessed and left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ditmos.datasets.dataset import Dataset
from ditmos.datasets.importers.assemble import assemble
from ditmos.datasets.importers.find import find, no_reader
from ditmos.datasets.importers.labels import read_labels
from ditmos.datasets.importers.options import Options
from ditmos.datasets.importers.pattern import SPLITS, Pattern, guess
from ditmos.datasets.importers.presets import PRESETS, Preset, looks_like, merge, preset, unheard
from ditmos.datasets.importers.recording import Recording
from ditmos.datasets.importers.report import Progress, Report
from ditmos.errors import DitmosError

__all__ = ["PRESETS", "Options", "Report", "import_recordings"]


def import_recordings(
    paths: Sequence[Path],
    options: Options | None = None,
    progress: Progress = lambda *_: None,
    name: str = "own",
    known: str | None = None,
) -> tuple[Dataset, Report]:
    """Read files and folders of recordings.

    known: a preset's name, where they are a public set; ``options`` then say what is wanted otherwise.

    Raises:
        DitmosError: nothing to read, no label, a file that was named and cannot be read, options that do not fit.
    """
    options = options or Options()
    options.check()
    report = Report()
    like = looks_like(paths) if known is None else None
    hint = f"; the files look like the public set {like}: --preset {like}" if like else ""
    if like:
        report.guesses.append(hint.lstrip("; "))
    try:
        if known is None:
            recordings = read_recordings(paths, options, report, progress)
        else:
            options, recordings = _read_known(paths, preset(known), options, report, progress)
        return assemble(recordings, options, report, progress, name), report
    except DitmosError as error:
        raise DitmosError(f"{error}{hint}") from None


def _read_known(
    paths: Sequence[Path], known: Preset, options: Options, report: Report, progress: Progress
) -> tuple[Options, list[Recording]]:
    """Recordings of a public set, and the options that hold for it."""
    if len(paths) != 1 or not paths[0].is_dir():
        raise DitmosError(f"{', '.join(map(str, paths))}: expected the folder of the public set")
    if known.read is not None and (vain := unheard(options)):
        raise DitmosError(f"the reader of this public set knows its files: leave out {', '.join(vain)}")
    options = merge(options, known.options)
    if known.read is not None:
        recordings = known.read(paths[0], options, report, progress)
        report.recordings = len(recordings)
        return options, _as_said(recordings, options, report)
    recordings = read_recordings(paths, options, report, progress)
    return options, known.finish(paths[0], recordings, report) if known.finish else recordings


def read_recordings(
    paths: Sequence[Path], options: Options, report: Report, progress: Progress = lambda *_: None
) -> list[Recording]:
    """All recordings, with label, subject and take as far as options, files and paths say them."""
    found, unknown = find(paths, options.labels)
    for path in unknown:
        report.drop(no_reader(path), str(path))
    if not found:
        raise DitmosError(f"{', '.join(map(str, paths))}: no recording, {len(unknown)} files of other kinds")
    pattern = Pattern(options.pattern) if options.pattern else None
    recordings: list[Recording] = []
    for number, item in enumerate(found):
        fields = pattern.match(item.path) if pattern else {}
        if fields is None:
            report.drop(f"the path is not like {options.pattern}", str(item.path))
            continue
        try:
            for recording in item.reader(item.path, options):
                recordings.append(_with_fields(recording, fields))
                for note in recording.notes:
                    report.note(note, recording.path)
        except DitmosError as error:
            if item.named:
                raise
            report.drop(str(error).removeprefix(f"{item.path}: "), str(item.path))
        progress("reading", number + 1, len(found))
    report.recordings = len(recordings)
    if pattern is None and recordings:
        recordings = _guessed(recordings, paths, options, report)
    return _as_said(recordings, options, report)


def _as_said(recordings: list[Recording], options: Options, report: Report) -> list[Recording]:
    """With the subject and the label that hold for all, and labels by time, where the options have them."""
    if options.subject is not None:
        recordings = [replace(r, subject=options.subject) for r in recordings]
    if options.label is not None:
        recordings = [replace(r, label=options.label) for r in recordings]
    if options.labels is not None:
        timed = read_labels(options.labels)
        for note in timed.notes:
            report.note(note, timed.path)
        recordings = [timed.give(recording) for recording in recordings]
        timed.check_times(recordings)
        without = [r.path for r in recordings if not r.spans]
        if len(without) == len(recordings):
            raise DitmosError(f"{timed.path}: no row is for any recording: compare its subject or file with the paths")
        for name in without:
            report.note(f"no row of {timed.path} is for it", name)
    return recordings


def _with_fields(recording: Recording, fields: dict[str, str]) -> Recording:
    split = fields.get("split")
    if split is not None:
        if split.lower() not in SPLITS:
            raise DitmosError(f"{recording.path}: split is {split!r}, expected one of {', '.join(SPLITS)}")
        split = SPLITS[split.lower()]
    return replace(
        recording,
        label=fields.get("label") or recording.label,
        subject=fields.get("subject") or recording.subject,
        take=fields.get("take") or recording.take,
        sensor=fields.get("sensor") or recording.sensor,
        split=split or recording.split,
    )


def _guessed(recordings: list[Recording], paths: Sequence[Path], options: Options, report: Report) -> list[Recording]:
    """Label, subject, sensor and split from the paths, where nothing else says them."""
    labelled = bool(options.label or options.labels) or all(
        r.label or r.spans or any(s.labels is not None for s in r.signals) for r in recordings
    )
    roots = [path if path.is_dir() else path.parent for path in paths]
    fields, said = guess([_below(Path(r.path), roots) for r in recordings])
    known = ["label"] * labelled + ["subject"] * all(r.subject for r in recordings)
    said = [text for text in said if text.split()[0] not in known]
    if said:
        report.guesses.append(f"{', '.join(said)} (a guess: --pattern)")
    result = []
    for recording, own in zip(recordings, fields, strict=True):
        own = {name: value for name, value in own.items() if name != "label" or not labelled}
        kept = {name: getattr(recording, name) or value for name, value in own.items()}
        result.append(_with_fields(recording, kept))
    return result


def _below(path: Path, roots: Sequence[Path]) -> str:
    """The path from the folder that was given; its own name counts where several were given."""
    for root in roots:
        if path.is_relative_to(root):
            below = path.relative_to(root.parent if len(roots) > 1 else root)
            return below.as_posix() if below.parts else path.name
    return path.as_posix()
