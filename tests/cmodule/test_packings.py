"""Packings of weights: pack and unpack are inverse, and host and device refuse the same bytes."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from struct import pack as struct_pack

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "m7"))

from bench import channel_shape, conv_shape, fc_shape
from cases import layer_at_bound, random_layer
from ditmos.model import packings
from ditmos.model.lanes import LANE_HALF, _record, lane_channels
from ditmos.model.layer_shape import KINDS, LayerShape
from ditmos.model.quantized import QuantizedLayer

CMODULE = Path(__file__).parents[2] / "cmodule"

SHAPES = [
    (packings.PLAIN, conv_shape([3], 5, 4, 20)),
    (packings.LANES, conv_shape([3], 5, 4, 20)),
    (packings.LANES, conv_shape([2, 3], 7, 9, 30)),
    (packings.LANES, conv_shape([4], 6, 5, 20, stride=2)),
    (packings.LANES, conv_shape([1], 1, 1, 8)),
    (packings.LANES, conv_shape([30], 9, 15, 40)),
    (packings.LANES, conv_shape([4], 6, 8, 20, stride=2, pool=1)),
    (packings.LANES, conv_shape([3], 4, 3, 20, stride=2)),
    (packings.LANES, conv_shape([3], 4, 1, 20, stride=2)),
    (packings.QUADS, conv_shape([2], 4, 1, 8, pool=1)),
    (packings.QUADS, conv_shape([3], 5, 4, 20)),
    (packings.QUADS, conv_shape([2, 5], 7, 9, 30, stride=2, pool=1)),
    (packings.PLAIN, channel_shape("depthwise", [5], 3, 20)),
    (packings.PLAIN, channel_shape("average", [2, 3], 7, 20)),
    (packings.PLAIN, fc_shape([7], 5)),
    (packings.DOT, fc_shape([7], 5)),
    (packings.DOT, fc_shape([8, 4], 8, relu=False)),
    (packings.WIDE, fc_shape([9], 6)),
]
IDS = [f"{packing}-{shape.kind}-{shape.weight_shape}" for packing, shape in SHAPES]

Valid = Callable[[int, LayerShape, int, bytes], bool]


@pytest.fixture(scope="module")
def device_valid(tmp_path_factory: pytest.TempPathFactory) -> Valid:
    """`ditmos_weights_valid` of the C module, built for the host."""
    library = tmp_path_factory.mktemp("packings") / "kernels.so"
    sources = [CMODULE / name for name in ("kernels.c", "kernels_dot.c", "kernels_packed.c", "kernels_ref.c")]
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", *sources, "-o", library], check=True, timeout=60)
    function = ctypes.CDLL(str(library)).ditmos_weights_valid
    function.restype = ctypes.c_bool

    def valid(packing: int, shape: LayerShape, zero_point: int, data: bytes) -> bool:
        numbers = (KINDS.index(shape.kind), shape.kernel, shape.stride, shape.pool, packing, zero_point)
        layer = struct_pack("<BBBBBbHHxxI", *numbers, shape.channels_in, shape.channels_out, len(data))
        return function(layer, data, ctypes.byref(ctypes.c_uint32()))

    return valid


def host_valid(packing: int, shape: LayerShape, zero_point: int, data: bytes) -> bool:
    try:
        packings.unpack(packing, shape, zero_point, data)
    except packings.PackingError:
        return False
    return True


def same(a: QuantizedLayer, b: QuantizedLayer) -> bool:
    parts = ("weight", "bias", "multiplier")
    return all(np.array_equal(getattr(a, part), getattr(b, part)) for part in parts) and a.zero_point == b.zero_point


@pytest.mark.parametrize(("packing", "shape"), SHAPES, ids=IDS)
def test_unpack_is_the_inverse(packing: int, shape: LayerShape, device_valid: Valid) -> None:
    rng = np.random.default_rng(0)
    for amplitude in (5, 40, 1000):
        layer = random_layer(rng, shape, amplitude)
        data = packings.pack(packing, shape, layer)
        assert len(data) % 4 == 0
        assert same(packings.unpack(packing, shape, layer.zero_point, data), layer)
        assert same(packings.unpack(packing, shape, layer.zero_point, data + bytes(8)), layer)
        assert device_valid(packing, shape, layer.zero_point, data)
        if packing != packings.PLAIN:  # of which all classifiers have the same size
            assert device_valid(packing, shape, layer.zero_point, data + bytes(8))
        assert not host_valid(packing, shape, layer.zero_point, data + b"\1\0\0\0")
        assert not device_valid(packing, shape, layer.zero_point, data + b"\1\0\0\0")
        assert not device_valid(packing, shape, layer.zero_point, data[:-4])
        assert not host_valid(packing, shape, layer.zero_point, data[:-4])


@pytest.mark.parametrize(("packing", "shape"), SHAPES, ids=IDS)
def test_a_flipped_bit_is_refused_or_means_something_else(packing: int, shape: LayerShape, device_valid: Valid) -> None:
    """The device takes nothing that the host refuses: not packed as it should be, or out of a lane's bound. What both
    take is the packing of other weights."""
    rng = np.random.default_rng(1)
    layer = random_layer(rng, shape, 20)
    data = packings.pack(packing, shape, layer)
    for bit in rng.integers(0, 8 * len(data), 300):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        on_host = host_valid(packing, shape, layer.zero_point, bytes(flipped))
        on_device = device_valid(packing, shape, layer.zero_point, bytes(flipped))
        assert on_host or not on_device or packing == packings.PLAIN, f"bit {bit}"
        if on_host:
            other = packings.unpack(packing, shape, layer.zero_point, bytes(flipped))
            assert not same(other, layer) or packing == packings.PLAIN


def test_the_lane_bound_is_exact() -> None:
    """`sum |w| * 128 + |bias|` of 2^20 - 1 fits, 2^20 does not."""
    rng = np.random.default_rng(2)
    shape = conv_shape([10], 40, 15, 60)
    layer = layer_at_bound(rng, shape)
    sums = np.abs(layer.weight.astype(int)).sum(axis=(1, 2)) * 128 + np.abs(layer.bias)
    assert set(sums.tolist()) == {LANE_HALF - 1, LANE_HALF}
    assert np.array_equal(lane_channels(layer), sums < LANE_HALF)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("channel", [0, 1])
def test_a_pair_over_the_bound_is_refused(channel: int, sign: int, device_valid: Valid) -> None:
    """A file that claims lanes for a channel that breaks them by one."""
    shape = conv_shape([1], 2, 2, 12)
    weight = np.full(shape.weight_shape, 100, np.int8)
    bias = np.zeros(2, np.int32)
    bias[channel] = sign * (LANE_HALF - 1 - 128 * 200)
    layer = QuantizedLayer(weight, bias, np.ones(2, np.int32))
    data = bytearray(packings.pack(packings.LANES, shape, layer))
    assert device_valid(packings.LANES, shape, -128, bytes(data))
    lane = int(bias[channel]) + sign + LANE_HALF
    record = _record(shape, 2)
    assert record.fields is not None
    at = 4 + record.fields["start"][1] + 16 * channel
    assert data[at : at + 8] == struct_pack("<q", (lane - sign) * ((1 << 21) + 1))
    data[at : at + 16] = struct_pack("<qq", *[lane * ((1 << 21) + 1)] * 2)
    assert not device_valid(packings.LANES, shape, -128, bytes(data))
    assert not host_valid(packings.LANES, shape, -128, bytes(data))


@pytest.mark.parametrize(
    ("packing", "shape"),
    [
        (packings.PLAIN, conv_shape([3], 5, 4, 20)),
        (packings.PLAIN, channel_shape("depthwise", [5], 3, 20)),
        (packings.PLAIN, channel_shape("average", [5], 7, 20)),
        (packings.PLAIN, fc_shape([7], 5)),
        (packings.QUADS, conv_shape([3], 5, 4, 20)),
        (packings.DOT, fc_shape([7], 5)),
        (packings.WIDE, fc_shape([9], 6)),
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_an_accumulator_is_filled_to_the_last_bit_and_not_beyond(
    packing: int, shape: LayerShape, sign: int, device_valid: Valid
) -> None:
    """`sum |w| * 128 + |bias|` of 2^31 - 1 fits into an int32, 2^31 does not: whichever channel, whichever sign."""
    weight = np.full(shape.weight_shape, 127, np.int8)
    weight[..., ::2] = -127
    rows = shape.repeats  # that an average adds
    for channel in range(shape.channels_out):
        most = 2**31 - 1 - 128 * rows * int(np.abs(weight[channel].astype(int)).sum())
        for bias, fits in ((most, True), (most + 1, False)):
            biases = np.zeros(shape.channels_out, np.int32)
            biases[channel] = sign * bias
            layer = QuantizedLayer(weight, biases, np.ones(shape.channels_out, np.int32))
            data = packings.pack(packing, shape, layer)
            assert device_valid(packing, shape, -128, data) == fits, (channel, bias)


@pytest.mark.parametrize(("packing", "shape"), [(packings.DOT, fc_shape([7], 5)), (packings.WIDE, fc_shape([9], 6))])
def test_what_fills_up_groups_of_four_is_nothing(packing: int, shape: LayerShape, device_valid: Valid) -> None:
    """Weights of inputs and outputs that are not there must be 0, their biases 0, their multipliers 1."""
    layer = random_layer(np.random.default_rng(3), shape, 20)
    data = packings.pack(packing, shape, layer)
    records = np.frombuffer(data, packings._dot_record(packing, shape.channels_in))
    inputs = shape.channels_in
    for field, place, value in (
        ("weight", (0, inputs // 4, 0, 3), 1),  # an input behind the last one
        ("weight", (-1, 0, 3, 0), 1),  # an output behind the last one
        ("bias", (-1, 3), 1),
        ("multiplier", (-1, 3), 2),
    ):
        changed = records.copy()
        changed[field][place] = value
        assert not device_valid(packing, shape, layer.zero_point, changed.tobytes()), (field, place)
        assert not host_valid(packing, shape, layer.zero_point, changed.tobytes()), (field, place)


@pytest.mark.parametrize("shape", [fc_shape([7], 5), channel_shape("depthwise", [5], 3, 20)])
def test_what_fills_up_the_last_word_of_plain_weights_is_zero(shape: LayerShape, device_valid: Valid) -> None:
    layer = random_layer(np.random.default_rng(4), shape, 20)
    data = packings.pack(packings.PLAIN, shape, layer)
    assert (8 * shape.channels_out + shape.weights) % 4 == 3 and data[-1] == 0
    for value in (1, 2, 128):
        changed = data[:-1] + bytes([value])
        assert not device_valid(packings.PLAIN, shape, layer.zero_point, changed), value
        assert not host_valid(packings.PLAIN, shape, layer.zero_point, changed), value


def test_no_weight_is_the_least_int8_and_no_multiplier_below_one(device_valid: Valid) -> None:
    """Of plain weights, in whichever channel."""
    shape = fc_shape([7], 5)
    layer = random_layer(np.random.default_rng(5), shape, 20)
    data = packings.pack(packings.PLAIN, shape, layer)
    for channel in range(5):
        for at, value in ((40 + 7 * channel + 3, b"\x80"), (20 + 4 * channel, bytes(4))):
            changed = data[:at] + value + data[at + len(value) :]
            assert not device_valid(packings.PLAIN, shape, layer.zero_point, changed), (channel, at)
            assert not host_valid(packings.PLAIN, shape, layer.zero_point, changed), (channel, at)
