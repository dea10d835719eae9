"""Plans: which slices run in which order, what is kept or computed again, and where every buffer lies."""

from ditmos.planner.whole import whole_plan

__all__ = ["whole_plan"]
