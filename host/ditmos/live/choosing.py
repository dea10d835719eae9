"""Which setting of the events: many in one table, and the one that suits, chosen on validation tracks."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ditmos.errors import DitmosError
from ditmos.events import margin_for
from ditmos.live.judging import Judged, judge, said
from ditmos.live.listening import Hearing
from ditmos.live.track import Track
from ditmos.model.policy import Policy, parse_policy

ON = tuple(round(0.3 + 0.05 * i, 2) for i in range(14))
OFF = 0.6  # of that
WINDOWS = (3, 4, 5, 6, 8, 10)
QUIET_S = 0.8  # after an event
STEADY_ON = (0.5, 0.6, 0.7, 0.8, 0.9)
KEPT = 0.95  # of the windows that are right: what rejecting the unknown leaves of them


@dataclass(frozen=True)
class Row:
    """A setting, as text for the host and the board, and what it does on a track."""

    setting: str
    judged: Judged


def parse_events(text: str, silent: Sequence[int] = ()) -> Policy:
    """A setting as text: ``events(on=0.9, windows=4)``, ``FILE.py:name``. Where the function has an argument ``silent``
    and none is given, it gets the silent classes of the model.

    Raises:
        DitmosError: not such a text, or nothing of that name.
    """
    policy = parse_policy(text, "events")
    if policy.path is None and silent:
        node = ast.parse(policy.expression, mode="eval").body
        for call in (n for n in ast.walk(node) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)):
            assert isinstance(call.func, ast.Name)
            function = parse_policy(call.func.id, "events").load()
            takes = "silent" in inspect.signature(function).parameters
            if takes and not any(k.arg == "silent" for k in call.keywords):
                call.keywords.append(ast.keyword("silent", ast.parse(repr(tuple(silent)), mode="eval").body))
        policy = Policy(text, ast.unparse(node), None, home="events")
    policy.load()
    return policy


def settings(rate: float, *, continuous: bool) -> list[str]:
    """What is tried where nobody names a setting, ``rate`` being windows a second."""
    if continuous:
        spans = sorted({max(1, round(s * rate)) for s in (1.0, 2.0, 4.0, 8.0)})
        return [f"steady(on={on}, off={round(on / 2, 3)}, windows={w})" for w in spans for on in STEADY_ON]
    quiet = round(QUIET_S * rate)
    return [f"events(on={on}, off={round(OFF * on, 3)}, windows={w}, quiet={quiet})" for w in WINDOWS for on in ON]


def rows(
    hearing: Hearing, track: Track, texts: Sequence[str], silent: Sequence[int], *, tolerance: float, since: float = 0,
    report: Callable[[float], None] = lambda done: None,
) -> list[Row]:  # fmt: skip
    """Every setting on one track. Raises DitmosError where a function of the user's own raises."""
    found = []
    for i, text in enumerate(texts):
        policy = parse_events(text, silent)
        with policy.at(track.name):
            events = said(hearing, policy.load())
        found.append(Row(policy.expression, judge(events, track, silent, tolerance, since)))
        report((i + 1) / len(texts))
    return found


def best(found: Sequence[Row]) -> list[Row]:
    """Those that no other one beats in both, missed and false accepts; the fewest missed first."""
    kept: list[Row] = []
    for row in sorted(found, key=lambda row: (row.judged.missed, row.judged.per_hour)):
        if not kept or row.judged.per_hour < kept[-1].judged.per_hour:
            kept.append(row)
    return kept


def choose(found: Sequence[Row], per_hour: float, latency: float | None) -> Row:
    """The fewest missed among those with at most so many false accepts an hour and, if given, no more than ``latency``
    seconds (95 %); of equals the fewest false accepts. Where none keeps to both, the fewest false accepts.

    Raises:
        DitmosError: no rows.
    """
    if not found:
        raise DitmosError("no setting to choose from, expected one or more")

    def keeps(row: Row) -> bool:
        late = row.judged.latency_p95
        return row.judged.per_hour <= per_hour and (latency is None or late is None or late <= latency)

    good = [row for row in found if keeps(row)]
    if good:
        return min(good, key=lambda row: (row.judged.missed, row.judged.per_hour))
    return min(found, key=lambda row: (row.judged.per_hour, row.judged.missed))


def rejecting(setting: str, hearing: Hearing, track: Track, tolerance: float, kept: float = KEPT) -> str:
    """The setting behind `known`, which makes silence of what the model has never seen. Its margin lets through a share
    of ``kept`` of the windows that name rightly what happens, or has just ended, on this track: choose it on validation
    people, and see on another track what that costs."""
    right = []
    for start, end, label in zip(track.start, track.end, track.label, strict=True):
        during = hearing.heard & (hearing.times >= start) & (hearing.times <= end + tolerance)
        named = hearing.scores[during]
        right += [row.tobytes() for row in named[named.argmax(1) == label]]
    return f"known({setting}, {margin_for(right, kept)})"
