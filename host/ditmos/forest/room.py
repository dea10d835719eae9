"""What a budget leaves to a forest, and to the network or the specialists behind it."""

from __future__ import annotations

from dataclasses import replace

from ditmos.forest.grow import FLASH, LARGE, NODE, Grown, tree_bytes
from ditmos.planner import chip
from ditmos.planner.budget import Budget, NothingFits, beside_weights
from ditmos.planner.forest_price import ForestPrice, naming_price
from ditmos.training.learn import Task
from ditmos.training.score import RESERVE

USUAL = 2.5  # mean instructions where nobody says how many, as a multiple of the forest's own
ASKED = 0.27  # share of the windows that a network behind a forest is made for
SHARE = 0.65  # of the mean instructions, that a forest takes before what is trained behind it, at most
_SPECIALIST = 8192  # bytes of a specialist, at least


def trees_flash(task: Task, beside: int | None) -> int:
    """Bytes for the trees; ``beside``: of the network's model file, 0 without one, None where it is not there yet.

    Raises:
        NothingFits: none for a tree.
    """
    flash, most = task.budget.flash, FLASH if instructions(task, 1.0) is None else LARGE
    if flash is None:
        return most
    rest, tree = _names(task) + (beside or 0), tree_bytes(task)
    room = min(most, flash // 2) if beside is None else flash - rest
    if room < tree:
        least = 2 * tree if beside is None else rest + tree
        raise NothingFits(f"no forest within {task.budget}, expected more; the smallest takes {least:,} bytes of flash")
    return room


def instructions(task: Task, share: float) -> float | None:
    """For features and votes: a ``share`` of what a decision may take; None where nothing bounds it."""
    budget = task.budget
    limits = [limit for limit in (budget.instructions, budget.dearest) if limit is not None]
    return share * min(limits) if limits else None


def within(task: Task, grown: Grown, price: ForestPrice, size: int, *, alone: bool) -> Grown:
    """As many trees of a forest as ``size`` bytes allow and, where nothing else is to be trained, the instructions.

    Raises:
        NothingFits: not one.
    """
    forest, budget = grown.forest, task.budget
    tree = price.a_tree(forest.trees)
    limits = [limit for limit in (budget.instructions, budget.dearest) if limit is not None and alone]
    nodes = forest.nodes * (2 * NODE if forest.wide else NODE) / forest.trees + 4
    count = min([forest.trees, *((limit - price.alone) // tree + forest.trees for limit in limits), size // nodes])
    if count < 1:
        least = price.alone - (forest.trees - 1) * tree + (budget.front.instructions if budget.front else 0)
        raise NothingFits(
            f"no forest within {budget}, expected more; the smallest takes {least:,.0f} instructions "
            f"({chip.microseconds(least):,.0f} us) and {_names(task) + nodes:,.0f} bytes of flash"
        )
    return grown.fewer(int(count))


def specialists_within(task: Task) -> int:
    """How many: those of the settings, fewer where the flash has no room for them."""
    wanted, flash = task.settings.specialists.count, task.budget.flash
    return wanted if flash is None else max(min(wanted, _left(task, flash) // _SPECIALIST), 2)


def behind(task: Task, forest: ForestPrice, count: int = 0) -> Budget:
    """Of a decision of the network behind a forest, which is asked for a part of the windows; of one of ``count``
    specialists, if there are such. Where the forest leaves nothing, what no network keeps."""
    budget, config = task.budget, task.settings.specialists
    instructions, flash, macs, worst = budget.instructions, budget.flash, budget.macs, budget.worst
    asked = config.asked if count else ASKED
    rest = forest.both + naming_price(count, task.dataset.classes)
    if instructions is not None:
        instructions = max((RESERVE * instructions - forest.alone) / asked - rest, 1.0)
    if worst is not None:
        worst = max(worst - forest.alone - rest, 1.0)
    if flash is not None:  # the network's share, and what is in the file but once
        flash = max(_left(task, flash) // max(count, 1), 0) + _names(task)
    return replace(budget, instructions=instructions, worst=worst, flash=flash, macs=macs and RESERVE * macs / asked)


def _names(task: Task) -> int:
    """Bytes of the file that are neither trees nor weights."""
    dataset = task.dataset
    return beside_weights(dataset.classes, len(dataset.channels), task.budget.front)


def _left(task: Task, flash: int) -> int:
    """Bytes that trees leave of the flash."""
    return flash - _names(task) - trees_flash(task, None)
