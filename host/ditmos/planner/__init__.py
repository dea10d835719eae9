"""Plans: which slices run in which order, what is kept or computed again, and where every buffer lies."""

from ditmos.planner.whole import stream_plan, whole_plan

__all__ = ["stream_plan", "whole_plan"]
