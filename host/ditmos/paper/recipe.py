"""Recipes: which stages, in which order."""

from __future__ import annotations

from collections.abc import Callable

from ditmos.errors import DitmosError
from ditmos.paper.adversarial import train_adversarially
from ditmos.paper.best import train_best
from ditmos.paper.mixture import train_mixture
from ditmos.paper.plain import train_plain
from ditmos.paper.pretraining import pretrain_classifiers, pretrain_selector
from ditmos.paper.session import Session
from ditmos.paper.splitting import split_windows
from ditmos.paper.strong import train_strong

Stage = Callable[[Session], None]

_PREPARATION: tuple[Stage, ...] = (train_strong, split_windows, pretrain_classifiers, pretrain_selector)

RECIPES: dict[str, tuple[Stage, ...]] = {
    # METHOD, part by part
    "paper": (*_PREPARATION, train_adversarially),
    # the same, and then both sides brought together
    "joint": (*_PREPARATION, train_adversarially, train_mixture),
    # whatever makes the routed network best within its budget
    "best": (train_best,),
    # one network and nothing else
    "single": (train_mixture,),
    # the paper's baseline: the same optimiser and schedules, no routing
    "plain": (train_plain,),
    "single-distilled": (train_strong, train_mixture),
}


def stages(recipe: str) -> tuple[Stage, ...]:
    """Raises DitmosError for an unknown recipe."""
    if recipe not in RECIPES:
        raise DitmosError(f"recipe is {recipe!r}, expected one of {', '.join(RECIPES)}")
    return RECIPES[recipe]


def train(session: Session) -> None:
    """Run what is not done yet of the recipe, then put the best network on the validation part in place."""
    todo = stages(session.config.recipe)
    if session.network.selector is None and pretrain_selector in todo:
        raise DitmosError(
            f"recipe {session.config.recipe} needs a selector, expected network.selector; or recipe single"
        )
    for stage in todo:
        stage(session)
    if session.best is None:
        raise DitmosError(f"recipe {session.config.recipe}: no epoch of a whole network was asked for, expected some")
    session.network.load_state_dict(session.best["state"])
    session.network.eval().requires_grad_(False)
