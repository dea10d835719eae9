"""The page that trains within a budget, shows what came of it, and puts it on the board."""

from __future__ import annotations

from html import escape
from pathlib import Path

from nicegui import ui

from ditmos.errors import DitmosError
from ditmos.extras import how_to_get, missing
from ditmos.ui.deploying import DeployPart
from ditmos.ui.drawings import short
from ditmos.ui.pieces import Notice, box, button, heading, html
from ditmos.ui.results_part import ResultsPart
from ditmos.ui.training_job import US, TrainingJob, Wanted
from ditmos.ui.visit import Visit

_INSTRUCTIONS = (10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, None)
_RAM = (1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, None)
_FLASH = (32_000, 64_000, 128_000, 256_000, 512_000, 1_000_000, None)
_MACS = (10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, None)
_US = (100, 200, 500, 1_000, 2_000, 5_000, 10_000, None)
_EFFORTS = {"quick": "Minutes", "normal": "Half an hour", "full": "Hours"}
_METHODS = {
    "best": "Routed",
    "wide": "One network",
    "exit": "Early exit",
    "paper": "As published",
    "forest": "Forest",
    "forest-first": "Forest, then network",
    "specialists": "Forest, then specialists",
    "linear": "Linear model",
}
_OWN = {"": "One that is trained first"}
_SPLITS = {
    "": "As suits the data",
    "file": "The data's own",
    "subject": "By person",
    "group": "By recording",
    "random": "By window",
}


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

    def take(self, limit: int) -> None:
        """Have this limit, which becomes a step of the slider."""
        steps = sorted({limit, *(step for step in self._steps if step is not None)})
        self._steps = (*steps, None)
        self._slider.props(f"max={len(steps)}")
        self._slider.set_value(steps.index(limit))
        self._say()

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
                self._results = ResultsPart(visit, lambda run: self._deploy.show(run), self._within)
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
        with box("row"):
            self._method = ui.select(_METHODS, label="Method", value="best").props("dense outlined options-dense")
            self._method.style("flex: 1 1 150px")
            self._split = ui.select(_SPLITS, label="Split", value="").props("dense outlined options-dense")
            self._split.style("flex: 1 1 150px").tooltip("What keeps training and test apart")
            self._seed = ui.number("Seed", value=0, min=0, precision=0).props("dense outlined").style("width: 80px")
        self._behind = ui.select(_OWN, label="Network behind", value="").props("dense outlined options-dense")
        self._behind.bind_visibility_from(self._method, "value", value="forest-first")
        self._limits = {
            "instructions": Limit("Instructions", "a decision", _INSTRUCTIONS),
            US: Limit("Microseconds", "at most", _US),
            "macs": Limit("Multiply-adds", "a decision", _MACS),
            "ram": Limit("RAM", "bytes", _RAM),
            "flash": Limit("Flash", "bytes", _FLASH),
        }
        self._compare = ui.checkbox("Also rivals at the same cost: one network, early exit")
        with box("row"):
            button("Train", self._start, main=True)
            button("Stop", self._stop, hint="What is done stays; Train under the same name goes on")

    def _within(self, instructions: int) -> None:
        self._limits["instructions"].take(instructions)
        self._notice.say(f"The next training may take {instructions:,} instructions a decision", "good")

    def _fill(self) -> None:
        desk = self._visit.desk
        names = {str(desk.folder.root / name): name for name in desk.folder.datasets()}
        if desk.data:
            names = {str(desk.data.resolve()): desk.data.name} | names
        self._settings.set_options(desk.folder.settings(), value=self._settings.value)
        self._data.set_options(names, value=self._data.value or next(iter(names), None))
        runs = desk.folder.runs()
        behind = self._behind.value if self._behind.value in runs else ""
        self._behind.set_options(_OWN | {name: name for name in runs}, value=behind)
        self._results.fill()

    def _start(self) -> None:
        desk = self._visit.desk
        try:
            if lacking := missing("train"):
                raise DitmosError(f"this needs {lacking[0]}: {how_to_get('train')}")
            if desk.job and desk.job.running:
                raise DitmosError("one training at a time: stop this one first")
            if not self._data.value:
                raise DitmosError("name a data set: one in the folder, or --data")
            wanted = Wanted(
                Path(self._data.value),
                desk.folder.new(self._name.value.strip(), ""),
                self._effort.value,
                self._method.value,
                {name: limit.value for name, limit in self._limits.items()},
                desk.folder.path(self._settings.value) if self._settings.value else None,
                self._split.value or None,
                int(self._seed.value or 0),
                self._network(),
                bool(self._compare.value),
            )
            desk.job = TrainingJob(wanted)
            self._notice.clear()
        except DitmosError as error:
            self._notice.say(str(error), "bad")

    def _network(self) -> Path | None:
        """Whose forest-first asks."""
        named = self._method.value == "forest-first" and self._behind.value
        return self._visit.desk.folder.path(self._behind.value) if named else None

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
        if job.running:
            return
        if job.error:
            self._notice.say(job.error, "bad")
        elif job.result:
            self._fill()
            name = self._visit.desk.folder.name(job.wanted.out)
            if self._results.run.value != name:
                self._results.run.set_value(name)
                self._notice.say(f"{name}: trained", "good")


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
    several = f"{job.method}:" if job.method and job.method != job.wanted.method else ""
    left = f"about {job.left} left" if job.left and job.running else ""
    said = "  ".join(part for part in (several, left, job.note) if part)
    return f"{rows}<p class='muted num'>{escape(said)}</p><ul class=list>{chosen}</ul>"
