"""The page that trains within a budget, shows what came of it, and puts it on the board."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from nicegui import ui

from ditmos.atomic import read_json
from ditmos.errors import DitmosError
from ditmos.extras import how_to_get, missing
from ditmos.ui.deploying import DeployPart
from ditmos.ui.drawings import Point, short, trade
from ditmos.ui.folder import RUN
from ditmos.ui.pieces import Notice, box, button, heading, html, table
from ditmos.ui.training_job import TrainingJob, Wanted
from ditmos.ui.visit import Visit

_INSTRUCTIONS = (10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, None)
_RAM = (1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, None)
_FLASH = (32_000, 64_000, 128_000, 256_000, 512_000, 1_000_000, None)
_EFFORTS = {"quick": "Minutes", "normal": "Half an hour", "full": "Hours"}
_METHODS = {"best": "Routed", "wide": "One network", "exit": "Early exit"}


class Limit:
    """A slider over usual limits; its right end is none."""

    def __init__(self, name: str, unit: str, steps: tuple[int | None, ...]) -> None:
        self._steps, self._unit = steps, unit
        with box("slide"):
            ui.label(name)
            self._slider = ui.slider(min=0, max=len(steps) - 1, step=1, value=len(steps) - 1)
            self._slider.props(f'aria-label="{name}"')
            self._said = ui.label().classes("num muted")
        self._slider.on_value_change(lambda: self._say())
        self._say()

    @property
    def value(self) -> int | None:
        return self._steps[int(self._slider.value)]

    def _say(self) -> None:
        self._said.text = "no limit" if self.value is None else f"{short(self.value)} {self._unit}"


class TrainPage:
    """The training belongs to the desk: every page shows the same one."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._shown: object = None
        with box("halves"):
            with box("stack"):
                with box("card stack"):
                    self._form()
                    self._notice = Notice()
                with box("card stack"):
                    heading("Progress")
                    self._progress = html("<p class=muted>Nothing is being trained.</p>")
            with box("stack"):
                with box("card stack"):
                    heading("What came of it")
                    with box("row"):
                        self._run = ui.select({}, label="Training", on_change=lambda event: self._open(event.value))
                        self._run.props("dense outlined options-dense").style("flex: 1 1 160px")
                        self._report = button("Report", self._to_report, hint="Classes, confusion, curves")
                    self._result = html("<p class=muted>Choose a training, or train.</p>")
                self._deploy = DeployPart(visit)
        ui.timer(0.5, self._tick)
        self._fill()

    def _form(self) -> None:
        with box("row"):
            self._data = ui.select({}, label="Data set").props("dense outlined options-dense").style("flex: 1 1 180px")
            self._name = ui.input("Name", value="run").props("dense outlined").style("width: 130px")
            self._settings = ui.select([], label="Settings", clearable=True).props("dense outlined options-dense")
            self._settings.style("width: 150px").tooltip("A TOML file in the folder, as ditmos train --config takes it")
        with box("row"):
            self._effort = ui.toggle(_EFFORTS, value="quick").props("no-caps unelevated dense padding='4px 10px'")
            self._method = ui.toggle(_METHODS, value="best").props("no-caps unelevated dense padding='4px 10px'")
        self._limits = {
            "instructions": Limit("Instructions", "a decision", _INSTRUCTIONS),
            "ram": Limit("RAM", "bytes", _RAM),
            "flash": Limit("Flash", "bytes", _FLASH),
        }
        with box("row"):
            button("Train", self._start, main=True)
            button("Stop", self._stop, hint="What is done stays; Train under the same name goes on")

    def _fill(self) -> None:
        desk = self._visit.desk
        names = {str(desk.folder.root / name): name for name in desk.folder.datasets()}
        if desk.data:
            names = {str(desk.data.resolve()): desk.data.name} | names
        self._settings.set_options(desk.folder.settings(), value=self._settings.value)
        self._data.set_options(names, value=self._data.value or next(iter(names), None))
        self._run.set_options({name: name for name in desk.folder.runs()}, value=self._run.value)

    def _start(self) -> None:
        desk = self._visit.desk
        try:
            if lacking := missing("train"):
                raise DitmosError(f"this needs {lacking[0]}: {how_to_get('train')}")
            if desk.job and desk.job.running:
                raise DitmosError("one training at a time: stop this one first")
            if not self._data.value:
                raise DitmosError("name a data set: one in the folder, or --data")
            budget = {name: limit.value for name, limit in self._limits.items()}
            out = desk.folder.new(self._name.value.strip(), "")
            data = Path(self._data.value)
            settings = desk.folder.path(self._settings.value) if self._settings.value else None
            desk.job = TrainingJob(Wanted(data, out, self._effort.value, self._method.value, dict(budget), settings))
            self._notice.clear()
        except DitmosError as error:
            self._notice.say(str(error), "bad")

    def _stop(self) -> None:
        if self._visit.desk.job:
            self._visit.desk.job.ask_to_stop()

    def _tick(self) -> None:
        job = self._visit.desk.job
        if not self._visit.shown("Train"):
            return
        if self._shown is None:
            self._shown = ""
            self._fill()
        if job is None:
            return
        state = (job, tuple(job.stages.items()), job.note, job.left, job.error, job.running)
        if state == self._shown:
            return
        self._shown = state
        self._progress.content = _progress(job)
        if job.error:
            self._notice.say(job.error, "bad")
        elif job.result and not job.running:
            self._fill()
            name = self._visit.desk.folder.name(job.wanted.out)
            if self._run.value != name:
                self._run.set_value(name)
                self._notice.say(f"{name}: trained", "good")

    def _open(self, name: str | None) -> None:
        if not name:
            return
        try:
            run = self._visit.desk.folder.path(name)
            self._result.content = _result(read_json(run / RUN))
            self._deploy.show(run)
        except (DitmosError, KeyError, TypeError) as error:
            self._notice.say(f"{name}: {error}", "bad")

    def _to_report(self) -> None:
        if self._run.value:
            ui.navigate.to(f"/report?run={self._run.value}", new_tab=True)


def _progress(job: TrainingJob) -> str:
    if not job.stages and job.running:
        return "<p class=muted>It begins.</p>"
    last = list(job.stages)[-1:]
    stages = {name: done if [name] == last and job.result is None else 1.0 for name, done in job.stages.items()}
    rows = "".join(
        f"<div class=stage><span>{escape(name)}</span><div class=meter role=progressbar aria-label='{escape(name)}' "
        f"aria-valuemin=0 aria-valuemax=100 aria-valuenow={100 * done:.0f}><div style='width:{done:.0%}'></div></div>"
        f"<span class='num muted'>{done:.0%}</span></div>"
        for name, done in stages.items()
    )
    chosen = "".join(f"<li>{escape(what)} <span class=muted>({escape(why)})</span></li>" for what, why in job.chosen)
    left = f"about {job.left} left" if job.left and job.running else ""
    said = "  ".join(part for part in (left, job.note) if part)
    return f"{rows}<p class='muted num'>{escape(said)}</p><ul class=list>{chosen}</ul>"


def _result(row: dict[str, Any]) -> str:
    """Figures and, where shapes were searched, accuracy against cost."""
    parts = [row["validation"], row["test"]]
    rows = [
        ["windows", *(f"{part['windows']:,}" for part in parts)],
        ["people", *(str(part["people"]) for part in parts)],
        ["accuracy, int8", *(f"{part['accuracy']:.4f}" for part in parts)],
        ["balanced, int8", *(f"{part['balanced']:.4f}" for part in parts)],
        ["instructions, mean", *(f"{part['instructions']:,}" for part in parts)],
        ["arena, bytes", "", f"{row['arena_bytes']:,}"],
        ["model file, bytes", "", f"{row['flash_bytes']:,}"],
        ["microseconds at 216 MHz, estimated", "", f"{row['microseconds']:,.0f}"],
    ]
    drawn = ""
    if trials := row.get("trials"):
        points = [
            Point(t["instructions"], t["value"], f"{t['shape']}: {t['value']:.3f}", i == 0)
            for i, t in enumerate(trials)
        ]
        drawn = "<h3>What was tried</h3>" + trade(points, "instructions", row["metric"])
    shape = f"<p class='muted mono'>{escape(row['shape'])}</p>"
    return table(("", "validation", "test"), rows, "Figures of the training") + shape + drawn
