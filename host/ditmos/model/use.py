"""How a model is used where nobody says otherwise: who answers, by which policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from ditmos.errors import DitmosError
from ditmos.model.spec import NetworkSpec

MAX_MARGINS = 8
MAX_POLICY = 31  # bytes of its name


class Rule(IntEnum):
    """Which classifier is the first to be asked."""

    ONLY = 0  # there is one, or none
    SELECTOR = 1  # the largest of the selector's first K outputs
    ALL = 2  # no output stands for a classifier: all of them
    VOTES = 3  # the one that the forest's votes name


@dataclass(frozen=True)
class Use:
    """policy: the name of a policy that routing.py ships, or one of the user's own. margins: its settings, whole
    numbers in the order of its arguments; those that are differences of logits count steps of int8."""

    policy: str
    rule: Rule
    margins: tuple[int, ...] = ()


def default_rule(spec: NetworkSpec) -> Rule:
    """The rule that a network of this shape has if nothing else is said."""
    if spec.selector and spec.selector_outputs in (spec.classifiers, spec.classifiers + spec.classes):
        return Rule.SELECTOR
    return Rule.ONLY if spec.classifiers <= 1 else Rule.ALL


def default_use(spec: NetworkSpec) -> Use:
    """The selector's first choice answers; without one, all classifiers together; without a network, the forest."""
    rule = default_rule(spec)
    if spec.classifiers == 0:
        return Use("forest", rule)
    return Use("average" if rule == Rule.ALL else "top1", rule)


def routes(spec: NetworkSpec, rule: Rule) -> int:
    """How many of the selector's outputs stand for classifiers: the first K, or none."""
    return spec.classifiers if rule == Rule.SELECTOR else 0


def exits(spec: NetworkSpec, rule: Rule) -> int:
    """How many outputs behind those are class logits: one a class, or none."""
    return spec.selector_outputs - routes(spec, rule)


def problem_of_rule(spec: NetworkSpec, rule: Rule) -> str:
    """Why a network of this shape cannot have the rule; "" where it can."""
    if rule == Rule.SELECTOR and spec.selector_outputs < spec.classifiers:
        return f"the selector chooses, but has {spec.selector_outputs} outputs for {spec.classifiers} classifiers"
    if exits(spec, rule) not in (0, spec.classes):
        expected = f"{spec.classes} class logits or none"
        return f"{exits(spec, rule)} outputs of the selector stand for no classifier, expected {expected}"
    if rule == Rule.ONLY and spec.classifiers > 1:
        return f"one classifier is asked, but there are {spec.classifiers}"
    if rule == Rule.VOTES and spec.classifiers < 2:
        return f"votes name a classifier, but there is {spec.classifiers or 'none'}"
    return ""


def most_asked(classifiers: int, routes: int, policy: str, settings: Sequence[Any]) -> int:
    """How many classifiers a policy of routing.py may ask of one window; 1 of a policy that is none of those.
    ``settings``: its arguments in their order."""
    twice = policy in ("fallback", "budgeted") or (policy == "early" and tuple(settings[1:]) > (0,))
    most = classifiers if policy == "average" or (policy == "early" and not routes) else 1 + twice
    if policy == "vote":
        most = settings[0] if settings else 3
    return max(min(most, classifiers), 1)


def check_asked(classifiers: int, routes: int, policy: str, settings: Sequence[Any]) -> None:
    """Raises DitmosError where a policy of routing.py may ask more classifiers of a window than the one that a plan
    allows that was made with --once."""
    if (most := most_asked(classifiers, routes, policy, settings)) > 1:
        raise DitmosError(
            f"model: policy {policy} asks up to {most} classifiers of a window, but the plan uses the window up for "
            "one; take a plan without --once, or another policy"
        )


def check_use(spec: NetworkSpec, use: Use) -> None:
    """Raises DitmosError for what a model file does not hold."""
    if not (use.policy.isidentifier() and use.policy.isascii() and len(use.policy) <= MAX_POLICY):
        raise DitmosError(f"model: policy {use.policy!r}, expected a name of at most {MAX_POLICY} letters")
    if len(use.margins) > MAX_MARGINS:
        raise DitmosError(f"model: policy {use.policy} has {len(use.margins)} margins, expected at most {MAX_MARGINS}")
    for margin in use.margins:
        if type(margin) is not int or not -(2**31) <= margin < 2**31:
            raise DitmosError(f"model: margin {margin!r} of policy {use.policy}, expected a whole number of 32 bits")
    if problem := problem_of_rule(spec, use.rule):
        raise DitmosError(f"model: {problem}")
