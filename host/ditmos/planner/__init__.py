"""Plans: which slices run in which order, what is kept or computed again, and where every buffer lies."""

from ditmos.planner.search import Candidate, candidate, choose, front
from ditmos.planner.whole import stream_plan, whole_plan

__all__ = ["Candidate", "candidate", "choose", "front", "stream_plan", "whole_plan"]
