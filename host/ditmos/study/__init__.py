"""The best use of a budget: one recipe for routed networks and for their rivals, architecture search, sweeps, tables.

Data flow: `pool` (teachers, augmented views, soft labels) -> `fit` (one student network) -> `score` (float and int8,
accuracy and mean cost) -> `sweep` (many of them, resumable) -> `summary` and `page`.
"""
