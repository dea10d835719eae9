"""`ditmos import-model`: what becomes of ONNX and TFLite files, against the files' own arithmetic."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ditmos.bench import golden
from ditmos.cli import application
from ditmos.datasets.dataset import save
from ditmos.datasets.splits import split
from ditmos.datasets.synthetic import generate
from ditmos.errors import DitmosError
from ditmos.interchange.as_float import network_of
from ditmos.interchange.as_model import into, layers_of, model_of
from ditmos.interchange.chain import Chain, Quantity
from ditmos.interchange.file_arithmetic import difference, run
from ditmos.interchange.onnx_reader import read_onnx
from ditmos.interchange.tflite_reader import read_tflite
from ditmos.model.reader import read_model
from ditmos.model.reference import Model
from ditmos.model.signal import Signal
from ditmos.model.writer import encode
from ditmos.planner import whole_plan
from foreign_files import Network, onnx_model, random_network, tflite_model
from numpy.random import Generator
from typer.testing import CliRunner

onnx = pytest.importorskip("onnx")
reference = pytest.importorskip("onnx.reference")


def signal(chain: Chain) -> Signal:
    spec = chain.finish()
    return Signal.of([str(i) for i in range(spec.classes)], [str(i) for i in range(spec.channels)], "", 1.0)


def windows(rng: Generator, network: Network, count: int = 40) -> np.ndarray:
    return rng.integers(-128, 128, (count, network.rows, network.channels)).astype(np.int8)


def saved(folder: Path, network: Network, kind: str) -> Chain:
    """Written, and read back."""
    path = folder / f"network.{'tflite' if kind == 'tflite' else 'onnx'}"
    if kind == "tflite":
        path.write_bytes(tflite_model(network))
        return read_tflite(path)
    onnx.save(onnx_model(network, quantized=kind != "float", unsigned=kind == "unsigned"), str(path))
    return read_onnx(path)


@pytest.mark.parametrize("kind", ["tflite", "qdq", "unsigned"])
@pytest.mark.parametrize("seed", range(8))
def test_int8_files_keep_their_integers(kind: str, seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng, same=seed % 2 == 0, average=seed % 4 < 2, depthwise=seed != 7)
    chain = saved(tmp_path, network, kind)
    model = model_of([chain], signal(chain))
    for layer, q in zip(network.layers, model.classifiers[0], strict=True):
        if layer.kind != "average":
            assert np.array_equal(q.weight, layer.weight)
        assert q.zero_point == layer.zero_point
    found = difference(chain, model, 0, windows(rng, network))
    if kind == "tflite":  # rounds twice, which differs once in some hundred values of every layer
        assert found.differing <= 0.12 * found.values and found.most <= 5 and found.labels == 0
    else:
        assert found.differing == 0
    assert np.unique(Model(model).classify_batch(windows(rng, network))).size > 20
    assert chain.left_out and len(encode(model, whole_plan(model.spec)))


@pytest.mark.parametrize("seed", range(4))
def test_qdq_is_what_the_onnx_package_computes(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng, same=seed % 2 == 0)
    chain = saved(tmp_path, network, "qdq")
    proto = onnx_model(network)
    q = windows(rng, network, 8)
    real = (q.astype(np.float32) - network.zero_point) * np.float32(network.scale)
    last = network.layers[-1]
    del proto.graph.node[-1]  # the softmax
    proto.graph.output[0].name = proto.graph.node[-1].output[0]
    evaluator = reference.ReferenceEvaluator(proto)
    expected = np.concatenate([evaluator.run(None, {"window": x.T[None]})[0] for x in real])
    ours = (run(chain, model_of([chain], signal(chain)), q).astype(float) - last.zero_point) * last.scale
    assert np.abs(expected - ours).max() <= 1.01 * last.scale  # it adds up in single precision
    assert (np.abs(expected - ours) > 0.5 * last.scale).mean() < 0.05


def rounded(acc: int, factor: float) -> int:
    """TFLite's MultiplyByQuantizedMultiplier, in Python integers."""
    mantissa, exponent = np.frexp(factor)
    multiplier = round(float(mantissa) * 2**31)
    product = acc * multiplier
    high = (product + (1 << 30 if product >= 0 else 1 - (1 << 30))) / (1 << 31)
    high = int(high)  # towards 0
    shift = -int(exponent)
    remainder, threshold = high & ((1 << shift) - 1), (((1 << shift) - 1) >> 1) + (high < 0)
    return (high >> shift) + (remainder > threshold)


def test_tflite_by_hand(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    network = random_network(rng, same=False, average=False, depthwise=False)
    chain = saved(tmp_path, network, "tflite")
    q = windows(rng, network, 2)
    got = run(chain, model_of([chain], signal(chain)), q)
    for n, window in enumerate(q):
        x, unit, zero = window.T.astype(int), network.scale, network.zero_point
        for layer in network.layers:
            if layer.kind == "fc":
                windows_of, weight = [[x.ravel()]], layer.weight[:, None]
            else:
                taps = layer.weight.shape[2]
                starts = range(0, x.shape[1] - taps + 1, layer.stride)
                windows_of, weight = (
                    [[x[:, t : t + taps].ravel()] for t in starts],
                    layer.weight.reshape(len(layer.weight), 1, -1),
                )
            made = []
            for (values,) in windows_of:
                column = []
                for o in range(len(layer.weight)):
                    acc = int(layer.bias[o]) + sum(
                        int(w) * (int(v) - zero) for w, v in zip(weight[o, 0], values, strict=True)
                    )
                    y = layer.zero_point + rounded(acc, unit * float(np.float32(layer.weight_scale[o])) / layer.scale)
                    column.append(min(max(y, layer.zero_point if layer.relu else -128), 127))
                made.append(column)
            x = np.array(made).T
            if layer.pool == 2:
                x = np.maximum(x[:, 0 : x.shape[1] // 2 * 2 : 2], x[:, 1::2])
            unit, zero = layer.scale, layer.zero_point
        assert np.array_equal(x.ravel(), got[n])


def test_several_files_are_classifiers(tmp_path: Path) -> None:
    networks = [random_network(np.random.default_rng(0))]
    last = networks[0].layers[-1]
    networks.append(replace(networks[0], layers=(*networks[0].layers[:-1], replace(last, scale=last.scale * 1.5))))
    chains = [saved(tmp_path, network, "qdq") for network in networks]
    model = model_of(chains, signal(chains[0]))
    assert model.spec.classifiers == 2 and model.use.policy == "average"
    assert (model.logit_scale, model.logit_zero_point) == (np.float32(last.scale * 1.5), last.zero_point)
    q = windows(np.random.default_rng(1), networks[0])
    for k, chain in enumerate(chains):
        found = difference(chain, model, k, q)
        assert found.most <= 1 and not found.labels
    with pytest.raises(DitmosError, match="another shape than"):
        model_of(
            [chains[0], saved(tmp_path, random_network(np.random.default_rng(1), depthwise=False), "qdq")],
            signal(chains[0]),
        )


def test_in_the_place_of_a_classifier(tmp_path: Path) -> None:
    network = random_network(np.random.default_rng(2))
    chain = saved(tmp_path, network, "qdq")
    both = model_of([chain, chain], signal(chain))
    other = saved(
        tmp_path, replace(network, layers=tuple(replace(x, bias=x.bias + 900) for x in network.layers)), "qdq"
    )
    changed = into(both, 1, other)
    logits = Model(changed).classify_batch(windows(np.random.default_rng(3), network))
    assert (logits[:, 0] != logits[:, 1]).any()
    assert np.array_equal(changed.classifiers[1][0].bias, layers_of(other, Quantity(both.logit_scale, 0))[0].bias)
    with pytest.raises(DitmosError, match="classifier is 2, expected 0 to 1"):
        into(both, 2, other)
    with pytest.raises(DitmosError, match="its window has scale"):
        into(both, 0, saved(tmp_path, replace(network, scale=network.scale * 2), "qdq"))
    with pytest.raises(DitmosError, match="another shape than the model's classifiers"):
        into(golden.case(1).model, 0, other)


def test_float_networks(tmp_path: Path) -> None:
    import torch

    network = random_network(np.random.default_rng(4))
    chain = saved(tmp_path, network, "float")
    proto = onnx_model(network, quantized=False)
    del proto.graph.node[-1]
    proto.graph.output[0].name = proto.graph.node[-1].output[0]
    x = np.random.default_rng(0).normal(0, 2, (4, network.channels, network.rows)).astype(np.float32)
    expected = np.concatenate([reference.ReferenceEvaluator(proto).run(None, {"window": w[None]})[0] for w in x])
    with torch.no_grad():
        got = network_of([chain])(torch.from_numpy(x))[1][:, 0].numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def strange(change: str) -> Network | onnx.ModelProto:
    network = random_network(np.random.default_rng(6))
    first, *rest = network.layers
    if change == "no ReLU":
        return replace(network, layers=(replace(first, relu=False, zero_point=3), *rest))
    if change == "coarse":
        return replace(network, layers=(replace(first, scale=first.scale / 1e4), *rest))
    proto = onnx_model(network)
    node = next(n for n in proto.graph.node if n.op_type == {"sigmoid": "Relu", "circle": "Relu"}.get(change, "Conv"))
    if change == "sigmoid":
        node.op_type = "Sigmoid"
    elif change == "circle":
        node.op_type, node.output[0] = "Identity", node.input[0]
    elif change == "dilated":
        node.attribute.append(onnx.helper.make_attribute("dilations", [2]))
    elif change == "without an operand":
        scaled = next(n for n in proto.graph.node if n.op_type == "QuantizeLinear")
        scaled.input[1] = "nowhere"
    return proto


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("no ReLU", "has no ReLU behind it"),
        ("coarse", "multiplies its sums by .* expected less than 0.5"),
        ("sigmoid", r"Sigmoid relu\d+ is not supported, expected one of Add, AveragePool"),
        ("dilated", "dilated, expected dilations of 1"),
        ("circle", "its nodes run in a circle through"),
        ("without an operand", "an operand is not there"),
    ],
)
def test_what_is_not_supported_is_named(change: str, message: str, tmp_path: Path) -> None:
    found = strange(change)
    path = tmp_path / "strange.onnx"
    onnx.save(onnx_model(found) if isinstance(found, Network) else found, str(path))
    with pytest.raises(DitmosError, match=message):
        chain = read_onnx(path)
        model_of([chain], signal(chain))


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "a.tflite").write_bytes(b"nothing of that kind")
    with pytest.raises(DitmosError, match="no TFLite file"):
        read_tflite(tmp_path / "a.tflite")
    whole = tflite_model(random_network(np.random.default_rng(0)))
    for end in range(8, len(whole), 97):
        (tmp_path / "b.tflite").write_bytes(whole[:end])
        with pytest.raises(DitmosError):
            read_tflite(tmp_path / "b.tflite").finish()
    (tmp_path / "c.onnx").write_bytes(b"\xff" * 40)
    with pytest.raises(DitmosError, match="no ONNX file"):
        read_onnx(tmp_path / "c.onnx")


def test_the_command(tmp_path: Path) -> None:
    network = random_network(np.random.default_rng(0))
    (tmp_path / "a.tflite").write_bytes(tflite_model(network))
    arguments = [
        "import-model",
        str(tmp_path / "a.tflite"),
        "-o",
        str(tmp_path / "m.dtm"),
        "--json",
        str(tmp_path / "j"),
    ]
    done = CliRunner().invoke(application(), arguments)
    assert done.exit_code == 0 and "left out: SOFTMAX" in done.output, done.output
    figures = json.loads((tmp_path / "j").read_text())
    assert figures["difference"][0]["windows"] == 256 and figures["difference"][0]["differing"] <= 0.12 * 256 * 5
    assert read_model(tmp_path / "m.dtm")[0].spec.classifiers == 1
    onnx.save(onnx_model(network, quantized=False), str(tmp_path / "f.onnx"))
    done = CliRunner().invoke(application(), ["import-model", str(tmp_path / "f.onnx")])
    assert isinstance(done.exception, DitmosError) and "expected --data to quantise it on" in str(done.exception)


def test_the_command_with_data(tmp_path: Path) -> None:
    data = split(generate(subjects=4, activities=3, recordings=2, windows=2, window=40), "group")
    save(data, tmp_path / "data.npz")
    network = random_network(np.random.default_rng(1), geometry=(40, 6, 3))
    onnx.save(onnx_model(network, quantized=False), str(tmp_path / "f.onnx"))
    onnx.save(onnx_model(network), str(tmp_path / "q.onnx"))
    for name, key in (("f.onnx", "labels"), ("q.onnx", "difference")):
        files = [tmp_path / name, "--data", tmp_path / "data.npz", "-o", tmp_path / "m.dtm", "--json", tmp_path / "j"]
        done = CliRunner().invoke(application(), ["import-model", *map(str, files)])
        assert done.exit_code == 0, done.output + str(done.exception)
        model, _ = read_model(tmp_path / "m.dtm")
        assert model.class_names == data.class_names and model.rate == np.float32(data.fs)
        assert key in json.loads((tmp_path / "j").read_text())
