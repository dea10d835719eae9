"""A model of every kind that the format holds, and what every shipped policy answers on it by the reference."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from ditmos import routing
from ditmos.bench.golden import Style, random_model, random_windows
from ditmos.bench.golden_forests import bare_model, random_forest, random_rows
from ditmos.forest.specialists import centres_of
from ditmos.frontends.frontend import FrontEnd
from ditmos.frontends.window_summary import summary_for
from ditmos.model.clusters import around
from ditmos.model.forest import VOTES, opinions
from ditmos.model.quantized import QuantizedModel
from ditmos.model.reference import Model
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec, without_network
from ditmos.model.use import Rule, Use
from ditmos.model.writer import write_model
from ditmos.planner import feed_of, whole_plan

BRANCH = BranchSpec((ConvSpec(4, 7), ConvSpec(4, 5)), (8,))
CLASSES = 5


def _spec(classifiers: int, selector: bool = True, outputs: int = -1) -> NetworkSpec:
    return NetworkSpec(
        40, 2, CLASSES, classifiers, BRANCH, BRANCH if selector else None, selector_outputs=outputs if selector else -1
    )


KINDS = {
    "routed": _spec(4),
    "early": _spec(4, outputs=4 + CLASSES),
    "plain": _spec(1, selector=False),
    "single": _spec(1),
    "single-early": _spec(1, outputs=CLASSES),
    "ensemble": _spec(3, selector=False),
    "classes-only": _spec(3, outputs=CLASSES),
}
FORESTS = {
    "forest": without_network(40, 2, CLASSES),
    "forest-first": _spec(4),
    "forest-early": _spec(4, outputs=4 + CLASSES),
    "forest-plain": _spec(1, selector=False),
    "specialists": _spec(3, selector=False),
}
POLICIES: list[tuple[str, tuple[int, ...]]] = [
    ("top1", ()),
    ("average", ()),
    ("fallback", (90,)),
    ("early", (10, 60)),
    ("early", (routing.NEVER, 0)),
    ("sticky", (120,)),
    ("vote", (2,)),
    ("budgeted", (1, 3, 60)),
    ("forest", ()),
    ("first", (6, 4)),
    ("first", (5, 8)),
    ("first", (17, 2)),
    ("first", (17, 4, 3)),
    ("first", (9, 3, 2)),
]
_UNCHOSEN = "nothing chooses among the model's classifiers; use average"
_ROUTING = ("top1", "fallback", "early", "sticky", "vote", "budgeted")


def refused(kind: str, policy: str) -> str | None:
    """Why a model cannot be used by a policy, or None."""
    if policy in ("forest", "first"):
        return None if kind in FORESTS and (kind, policy) != ("forest", "first") else "the model has no "
    if kind == "forest":
        return "the model has no classifier"
    nothing = {"ensemble": _ROUTING, "specialists": _ROUTING, "classes-only": set(_ROUTING) - {"early"}}
    return _UNCHOSEN if policy in nothing.get(kind, ()) else None


@dataclass(frozen=True)
class Expected:
    """answers: as `policy_checks.py` prints them, by model, policy and settings."""

    folder: Path
    answers: dict[tuple[str, str, tuple[int, ...]], Any]


def write_models(folder: Path, windows: int) -> Expected:
    """A model file and windows of each kind, and the answers by `reference.Model`."""
    rng = np.random.default_rng(8)
    answers: dict[tuple[str, str, tuple[int, ...]], Any] = {}
    for kind, spec in KINDS.items():
        quantized, x = _varied(rng, spec, windows)
        write_model(folder / f"{kind}.dtm", quantized, whole_plan(spec))
        (folder / f"{kind}.windows").write_bytes(x.tobytes())
        for policy, settings in POLICIES:
            answers[kind, policy, settings] = _answers(Model(quantized), policy, settings, x)
    for kind, spec in FORESTS.items():
        quantized, rows = _with_forest(rng, spec, windows // 2, named=kind == "specialists")
        write_model(folder / f"{kind}.dtm", quantized, whole_plan(spec, feed=feed_of(quantized)))
        (folder / f"{kind}.windows").write_bytes(rows.tobytes())
        for policy, settings in POLICIES:
            answers[kind, policy, settings] = _answers(Model(quantized), policy, settings, rows)
    (folder / "policies.json").write_text(json.dumps([[*KINDS, *FORESTS], POLICIES]))
    return Expected(folder, answers)


def _with_forest(
    rng: np.random.Generator, spec: NetworkSpec, windows: int, *, named: bool
) -> tuple[QuantizedModel, np.ndarray]:
    """A random forest, and a network behind it if ``spec`` has one; rows of samples. named: by the votes."""
    rows, summary = random_rows(rng, windows, spec.window, spec.channels), summary_for(spec.window)
    front = FrontEnd((summary,), 50.0, 1.0, "u", ("a", "b"))
    forest = random_forest(rng, summary.features(rows), spec.classes, trees=6, leaves=20)
    if not spec.classifiers:
        return replace(bare_model(rng, spec, forest, front), use=Use("forest", Rule.ONLY)), rows
    model = _varied(rng, spec, windows)[0]
    forest = replace(forest, opinion=opinions(model.logit_scale))
    if named:
        votes = forest.walk(summary.features(rows), spec.classes)[0].astype(np.int64)
        forest = replace(
            forest, clusters=around(centres_of(votes, spec.classifiers, forest.trees, 0), VOTES * forest.trees)
        )
    rule = Rule.VOTES if named else model.use.rule
    return replace(model, front_end=front, forest=forest, use=Use("first", rule, (9, 4))), rows


def _varied(rng: np.random.Generator, spec: NetworkSpec, windows: int) -> tuple[QuantizedModel, np.ndarray]:
    """A random model and windows; the logits of its selector are centred, so that it does not always say the same."""
    model, x = random_model(rng, spec, Style.TRAINED), random_windows(rng, spec, windows)
    if spec.selector:
        last = model.selector[-1]
        last = replace(last, multiplier=np.maximum(last.multiplier // 2, 1))  # few logits at the ends of int8
        model = replace(model, selector=(*model.selector[:-1], last))
        middle = np.median(Model(model).select_batch(x).astype(np.int64), axis=0)
        shift = np.rint((middle - last.zero_point) * 2.0**32 / last.multiplier).astype(np.int32)
        model = replace(model, selector=(*model.selector[:-1], replace(last, bias=last.bias - shift)))
    return model, x


def _answers(model: Model, policy: str, settings: tuple[int, ...], windows: np.ndarray) -> Any:
    counted, rows = routing.Counter(model), []
    try:
        made = routing.named(policy, settings)
        for window in windows:
            counted.runs = 0
            if model.trees:
                model.feed_reset()
                model.feed(window)
            rows.append([*routing.verdict(model, made(counted, None if model.trees else window)), counted.runs])
    except ValueError as error:
        return str(error)
    return rows


def check(expected: Expected, output: str) -> None:
    """What a device printed is what the reference answers, and no policy fails but by its name."""
    found = [json.loads(line) for line in output.splitlines() if line.startswith("[")]
    assert len(found) == len(expected.answers)
    for kind, policy, settings, answers in found:
        assert answers == expected.answers[kind, policy, tuple(settings)], (kind, policy)
        if why := refused(kind, policy):
            assert isinstance(answers, str) and why in answers, (kind, policy, answers)
        else:
            assert isinstance(answers, list), (kind, policy, answers)
