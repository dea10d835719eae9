"""What the simulated board has counted of a sweep (onboard.py), as instructions of the decisions of its rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ditmos.atomic import read_json
from ditmos.planner.forest_price import ForestPrice
from ditmos.planner.price import Price


def board_file(out: Path, key: str) -> Path:
    return out / key / "board.json"


def merged(out: Path, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with ``board``, where it was measured: counted instructions of one inference, the mean over the test
    windows of the row, what 95 % of them keep to, and the most."""
    result = []
    for row in rows:
        if (file := board_file(out, row["key"])).exists():
            counted = read_json(file)
            before = counted.get("features", 0) + counted["load"]  # of files of older versions: without
            row = row | {"board": counted | _decisions(row, Price(before + counted["select"], counted["classify"]))}
        result.append(row)
    return result


def _decisions(row: Mapping[str, Any], network: Price) -> dict[str, int]:
    """Instructions of decisions with a network that costs so much; a forest first is at the planner's price."""
    test = row["test"]
    runs = {"p95_instructions": test.get("p95_runs"), "worst_instructions": test.get("worst_runs")}
    if "asked" in test:
        forest = ForestPrice(**row["cost"]["forest"])
        runs["instructions"] = test["asked"]
        return {key: round(forest.first(asked, network)) for key, asked in runs.items() if asked is not None}
    runs["instructions"] = test["runs"]
    return {key: round(network.of(count)) for key, count in runs.items() if count is not None}
