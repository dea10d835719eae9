"""Plans: which slices run in which order, what is kept or computed again, and where every buffer lies."""

from ditmos.planner.front import Candidate, balanced, candidate, choose, default, feed_of, front
from ditmos.planner.whole import stream_plan, whole_plan

__all__ = [
    "Candidate",
    "balanced",
    "candidate",
    "choose",
    "default",
    "feed_of",
    "front",
    "stream_plan",
    "whole_plan",
]
