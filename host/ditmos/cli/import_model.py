"""`ditmos import-model`: a network of another tool as a model file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ditmos.datasets.dataset import Dataset
    from ditmos.interchange.chain import Chain
    from ditmos.model.quantized import QuantizedModel
    from ditmos.model.signal import Signal


def add(app: typer.Typer) -> None:
    app.command("import-model")(import_model)


def import_model(
    files: Annotated[
        list[Path], typer.Argument(help="ONNX (.onnx) or TFLite (.tflite); several of one shape: K classifiers.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Model file to write.")] = Path("model.dtm"),
    data: Annotated[
        Path | None, typer.Option(help="Data set: names, units, rate; float networks are quantised on it.")
    ] = None,
    into: Annotated[Path | None, typer.Option(help="Model file in which FILE takes the place of a classifier.")] = None,
    classifier: Annotated[int, typer.Option(min=0, help="Which one, with --into.")] = 0,
    windows: Annotated[int, typer.Option(min=1, help="How many windows the difference is counted on.")] = 256,
    seed: Annotated[int, typer.Option(help="Of random windows, and of the quantisation.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Shape, cost and difference.")] = None,
) -> None:
    """Turn plain 1-D networks of other tools, int8 or float, into a model file.

    Convolutions (1-D, or 2-D of height 1), depthwise ones, max-pooling of 2, averages, fully connected layers and ReLU;
    the softmax at the end is left out. int8 files keep their own integers, and answers that differ from the file's own
    arithmetic are counted. Float files need --data.
    """
    import numpy as np
    from rich.console import Console

    from ditmos.atomic import write_json
    from ditmos.datasets.dataset import load
    from ditmos.errors import DitmosError
    from ditmos.interchange.as_model import into as place
    from ditmos.interchange.as_model import model_of
    from ditmos.interchange.file_arithmetic import difference
    from ditmos.model.inputs import quantize_input
    from ditmos.model.reader import read_model
    from ditmos.model.writer import write_model
    from ditmos.planner import default, front
    from ditmos.training.shapes import describe

    chains = [_read(path) for path in files]
    dataset = load(data) if data else None
    console = Console(markup=False)
    numbers = list(range(len(chains)))
    real = any(chain.arithmetic == "float" for chain in chains)
    if into is not None:
        if len(chains) > 1 or real:
            raise DitmosError("import-model: --into takes one file of int8")
        model, numbers = place(read_model(into)[0], classifier, chains[0]), [classifier]
    elif real:
        if dataset is None:
            raise DitmosError(f"{chains[0].source}: a float network, expected --data to quantise it on")
        model, row = _quantized(chains, dataset, seed)
    else:
        model = model_of(chains, _signal(chains[0], dataset))
    if not real:
        shape = model.spec.window, model.spec.channels
        if dataset is None:
            drawn = np.random.default_rng(seed).integers(-128, 128, (windows, *shape)).astype(np.int8)
        else:
            chosen = np.arange(len(dataset.y))[:: max(len(dataset.y) // windows, 1)][:windows]
            drawn = quantize_input(np.ascontiguousarray(dataset.real(chosen).transpose(0, 2, 1)), model.inputs)
        row = {"difference": [vars(difference(c, model, k, drawn)) for c, k in zip(chains, numbers, strict=True)]}
    candidate = default(front(model.spec, model))
    size = write_model(output, model, candidate.plan)
    console.print(
        f"{output}: {describe(model.spec)}, {model.spec.macs:,} MACs, {size:,} bytes, "
        f"{candidate.arena:,} bytes of arena, about {candidate.instructions:,} instructions",
        highlight=False,
    )
    for chain in chains:
        if chain.left_out:
            console.print(f"{chain.source}: left out: {', '.join(chain.left_out)}", highlight=False)
    for line in _lines(chains, row):
        console.print(line, highlight=False)
    if json_file:
        figures = {"arena_bytes": candidate.arena, "instructions": candidate.instructions, "macs": model.spec.macs}
        write_json(json_file, {"network": model.spec.to_dict(), "bytes": size, **figures, **row})


def _read(path: Path) -> Chain:
    from ditmos.errors import DitmosError

    if not path.is_file():
        raise DitmosError(f"{path}: no such file")
    if path.suffix.lower() == ".onnx":
        from ditmos.interchange.onnx_reader import read_onnx

        return read_onnx(path)
    if path.suffix.lower() == ".tflite":
        from ditmos.interchange.tflite_reader import read_tflite

        return read_tflite(path)
    raise DitmosError(f"{path}: expected a file that ends in .onnx or .tflite")


def _signal(chain: Chain, dataset: Dataset | None) -> Signal:
    """What the windows are: as the data set says, else by number."""
    from ditmos.errors import DitmosError
    from ditmos.model.signal import Signal

    spec = chain.finish()
    if dataset is None:
        classes = [f"class {i}" for i in range(spec.classes)]
        return Signal.of(classes, [f"channel {i}" for i in range(spec.channels)], "", 1.0)
    found = dataset.signal
    shapes = (dataset.x.shape[1], len(found.channels), len(found.class_names))
    if shapes != (spec.window, spec.channels, spec.classes):
        raise DitmosError(
            f"{chain.source}: window, channels, classes are {spec.window}, {spec.channels}, {spec.classes}, "
            f"those of {dataset.name} {shapes[0]}, {shapes[1]}, {shapes[2]}"
        )
    return found


def _quantized(chains: list[Chain], dataset: Dataset, seed: int) -> tuple[QuantizedModel, dict[str, Any]]:
    """A float network in integers, and how often it answers as before on validation windows."""
    from ditmos.datasets.tensors import prepare
    from ditmos.interchange.as_float import network_of
    from ditmos.quantize.quantize import quantize, routed_accuracy

    signal = _signal(chains[0], dataset)
    network, parts = network_of(chains), prepare(dataset)
    model, kept, fake = quantize(network, parts.train, parts.validation.x, signal=signal, seed=seed)
    import torch

    with torch.no_grad():
        before, after = network(parts.validation.x)[1], fake(parts.validation.x)[1]
    row = {
        "validation_windows": len(parts.validation),
        "labels": int((before.argmax(2) != after.argmax(2)).sum()),
        "accuracy_float": routed_accuracy(None, before, parts.validation.y),
        "accuracy_int8": routed_accuracy(None, after, parts.validation.y),
        "epoch": kept.epoch,
    }
    return model, row


def _lines(chains: list[Chain], row: dict[str, Any]) -> list[str]:
    """What the difference is, for people."""
    if "difference" in row:
        return [
            f"{chain.source}: {d['differing']:,} of {d['values']:,} logits differ from the file's own arithmetic, by "
            f"{d['most']} at most; another class for {d['labels']:,} of {d['windows']:,} windows"
            for chain, d in zip(chains, row["difference"], strict=True)
        ]
    return [
        f"int8 answers otherwise than float on {row['labels']:,} of {row['validation_windows'] * len(chains):,} "
        f"validation windows; accuracy {row['accuracy_float']:.3f} before, {row['accuracy_int8']:.3f} after"
    ]
