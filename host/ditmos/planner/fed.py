"""What a model's front end is and what it takes, for people and for JSON."""

from __future__ import annotations

from typing import Any

from ditmos.frontends.frontend import FrontEnd
from ditmos.frontends.memory import memory
from ditmos.frontends.operations import Affine, Centre, Norm, Operation, Split
from ditmos.frontends.spectrum import Spectrum
from ditmos.frontends.window_summary import Summary
from ditmos.model.quantized import QuantizedModel
from ditmos.planner import price
from ditmos.planner.forest_price import ForestPrice, forest_price


def in_words(operation: Operation) -> str:
    """``Spectrum, frames of 480 every 320, 512 points, 40 bands``."""
    if isinstance(operation, Spectrum):
        o = operation
        return f"Spectrum, frames of {o.frame} every {o.hop}, {o.points} points, {len(o.starts)} bands"
    if isinstance(operation, Split):
        return f"Split, corner at 1/{2**operation.k} of the rate by 2 pi"
    if isinstance(operation, Norm):
        return f"Norm of channels {operation.first} to {operation.first + operation.count - 1}"
    if isinstance(operation, Affine):
        return "Affine, which the board can calibrate" if operation.own else "Affine"
    if isinstance(operation, Summary):
        who = f"of {operation.rows} rows, for the network" if operation.rows else "of a window, for a forest"
        return f"Summary, blocks of {operation.block}, {operation.bins} bins: features {who}"
    assert isinstance(operation, Centre)
    return "Centre and scale" if operation.scale else "Centre"


def describe_front(front: FrontEnd, window: int) -> dict[str, Any]:
    """Its operations, samples and rows; instructions of a row, and of the features that the network reads of a window
    (planned); bytes of the arena for ``window`` rows."""
    needed = memory(front, window)
    return {
        "operations": [in_words(operation) for operation in front.operations],
        "fs": front.fs,
        "units": front.units,
        "channels": front.channels,
        "row_channels": front.channels_out,
        "rows_per_second": front.fs / front.hop,
        "instructions": round(price.front_row(front, window)),
        "features_instructions": round(price.read_features(front)),
        "kept_bytes": needed.kept,
        "work_bytes": needed.work,
    }


def lines(front: FrontEnd, window: int) -> list[str]:
    """The same to be printed."""
    found = describe_front(front, window)
    features = found["features_instructions"]
    said = [
        f"front end: {found['channels']} channel(s) at {found['fs']:g} Hz to {found['row_channels']} at "
        f"{found['rows_per_second']:g} rows a second",
        *(f"  {operation}" for operation in found["operations"]),
        f"  about {found['instructions']:,} instructions a row; of the arena {found['kept_bytes']:,} bytes kept, "
        f"{found['work_bytes']:,} shared",
    ]
    return said + ([f"  about {features:,} instructions for the features of a window"] if features else [])


def expected_price(model: QuantizedModel) -> ForestPrice | None:
    """Of a model's forest, for walks as long as a leaf is deep on average; None without one."""
    forest, front = model.forest, model.front_end
    if not (forest and front and front.summary):
        return None
    read = forest.mean_depth * forest.trees
    return forest_price(
        forest, front.summary, front.kept_rows(model.spec.window), front.row_channels, model.spec.classes, read
    )


def describe_forest(model: QuantizedModel) -> dict[str, Any] | None:
    """Its trees; instructions of the features of a window, of the votes, and, where a network is asked, of its window's
    int8, of an average with its logits, and of naming a specialist (planned); None without one."""
    forest, cost = model.forest, expected_price(model)
    if not (forest and cost):
        return None
    return {
        "trees": forest.trees,
        "nodes": forest.nodes,
        "bytes": (8 if forest.wide else 4) * forest.nodes + 4 * forest.trees,
        "features": forest.features,
        "clusters": forest.clusters.count if forest.clusters else 0,
        "instructions": {
            "features": round(cost.summary),
            "votes": round(cost.votes),
            "int8": round(price.fed_window(model.spec)) if model.classifiers else 0,
            "both": round(cost.both),
            "specialist": round(cost.named),
        },
    }


def forest_lines(found: dict[str, Any]) -> list[str]:
    """What `describe_forest` found, to be printed."""
    cost = found["instructions"]
    said = [
        f"forest: {found['trees']} trees, {found['nodes']:,} nodes in {found['bytes']:,} bytes, "
        f"{found['features']} features",
        f"  about {cost['features']:,} instructions for the features of a window, {cost['votes']:,} for the votes",
    ]
    if cost["int8"]:
        named = f"{cost['specialist']:,} to name one of {found['clusters']} specialists, " if found["clusters"] else ""
        said.append(
            f"  where the network is asked: {named}{cost['int8']:,} to make its int8 of the window (in no figure of "
            f"training and reports), {cost['both']:,} for the average"
        )
    return said
