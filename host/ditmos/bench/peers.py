"""Figures of other libraries, as measured once: facts with version, flags and date, to stand beside ours.

CMSIS-NN V3.6.1 and TinyMaix (OPT1), gcc 12.2 ``-mcpu=cortex-m7 -mthumb -mfpu=fpv5-d16 -mfloat-abi=hard``, instructions
counted in the same simulated Cortex-M7 as ours (qemu, mps2-an500), cycles estimated by llvm-mca 19 for cortex-m7. Of
CMSIS-NN the best of its calls and of six builds for each layer; a network is the sum of its layers.
"""

from __future__ import annotations

from dataclasses import dataclass

MEASURED = (
    "CMSIS-NN V3.6.1, gcc 12.2 -mcpu=cortex-m7 -mthumb -mfpu=fpv5-d16 -mfloat-abi=hard, 2026-11-27, counted on the "
    "same simulated core, cycles by llvm-mca 19: of each layer the best of its calls and of six builds, a network is "
    "the sum of its layers"
)


@dataclass(frozen=True)
class Shape:
    """One convolution, without padding: ``bar`` and ``peer`` in instructions per MAC; ``times``: how often fewer ours
    have to be."""

    channels_in: int
    channels_out: int
    kernel: int
    rows: int
    stride: int = 1
    pool: int = 1
    peer: float = 0.0
    bar: float | None = None
    times: float = 1.5
    depthwise: bool = False

    @property
    def name(self) -> str:
        if self.depthwise:
            return f"depthwise, {self.channels_in} channels, k{self.kernel}, {self.rows} rows"
        stride = f" s{self.stride}" if self.stride != 1 else ""
        pool = f" p{self.pool}" if self.pool != 1 else ""
        return f"{self.channels_in}->{self.channels_out} k{self.kernel}{stride}{pool}, {self.rows} rows"


SHAPES = (
    Shape(128, 128, 1, 25, peer=1.79),
    Shape(64, 64, 1, 125, peer=1.97, bar=0.95),
    Shape(64, 64, 1, 125, 2, peer=2.00, bar=0.97),
    Shape(133, 42, 1, 13, 2, peer=2.16, bar=1.15),
    Shape(40, 16, 1, 49, 2, peer=2.58, bar=1.40),
    Shape(16, 64, 1, 61, peer=3.68),
    Shape(64, 16, 1, 61, peer=1.99),
    Shape(40, 10, 2, 49, 2, peer=1.95, bar=1.45, times=1.3),
    Shape(8, 8, 1, 64, peer=6.18),
    Shape(64, 64, 3, 64, peer=1.64, bar=0.75),
    Shape(32, 32, 3, 64, peer=1.80),
    Shape(64, 64, 3, 64, 2, peer=1.67, bar=0.80),
    Shape(16, 32, 3, 64, 2, peer=2.25),
    Shape(16, 32, 1, 64, 2, 2, peer=4.44),
    Shape(16, 16, 5, 64, peer=1.88),
    Shape(16, 32, 5, 64, 2, peer=1.93),
    Shape(67, 108, 2, 3, 1, 2, peer=2.06),
    Shape(86, 128, 2, 4, peer=2.29),
    Shape(3, 8, 3, 151, peer=5.90),
    Shape(3, 16, 5, 151, 2, peer=4.40),
    Shape(32, 32, 9, 64, peer=1.53, bar=0.56),
    Shape(16, 32, 9, 64, 2, peer=1.73, bar=0.80),
    Shape(40, 64, 10, 49, peer=1.54),
    Shape(3, 32, 31, 151, peer=1.87),
    Shape(64, 64, 3, 64, peer=19.8, bar=3.8, depthwise=True),
    Shape(64, 64, 9, 64, peer=11.7, depthwise=True),
)


@dataclass(frozen=True)
class Network:
    """A searched network, as `docs/results/summary.json` has its shape. geometry: window, channels, classes.

    ``instructions`` and ``cycles`` are the peer's (None: not measured); ``bar`` is for ours.
    """

    name: str
    data: str
    budget: int
    geometry: tuple[int, int, int]
    selector: str
    classifier: str
    classifiers: int
    start: int = 1
    sees: tuple[int, ...] = ()
    instructions: int | None = None
    cycles: int | None = None
    bar: int | None = None


SISFALL, WORDS, SPOKEN, EEG = (151, 3, 34), (49, 40, 40), (49, 40, 11), (13, 133, 2)
NETWORKS = (
    Network(
        "sisfall 100k", "sisfall", 100_000, SISFALL, "8k9 5k3 7k2 12k3", "13k3 20k2 33k3 h32", 8,
        instructions=438_305, cycles=342_827, bar=112_000,
    ),
    Network("sisfall 223k", "sisfall", 223_000, SISFALL, "9k5 13k3 25k2 50k2", "18k3 36k2 72k2", 16),
    Network(
        "keywords40 70k", "keywords40", 70_000, WORDS, "10k2s2p1 9k5 16k2", "18k5 32k2 h48", 16,
        instructions=188_574, bar=84_000,
    ),
    Network(
        "keywords40 100k", "keywords40", 100_000, WORDS, "16k1s2p1 11k5 22k5", "32k5 64k5", 16, sees=(2, 3),
        instructions=415_206, cycles=329_184, bar=165_000,
    ),
    Network(
        "keywords-audio 200k", "keywords-audio", 200_000, SPOKEN, "16k1 11k3 22k3 45k2p1", "32k3 64k3 128k2p1 h48", 8,
        sees=(2, 3, 4), instructions=611_197, cycles=472_203, bar=250_000,
    ),
    Network(
        "eeg 300k", "eeg", 300_000, EEG, "42k1s2p1 23k2 38k2", "67k2 108k2 h48", 2,
        instructions=275_594, cycles=220_648, bar=140_000,
    ),
)  # fmt: skip
# Depthwise-separable, in one dimension, as wide as the small one of "Hello Edge"; no peer was measured.
_SEPARABLE = "64k4s2p1= d3= 64k1p1 d3= 64k1p1 d3= 64k1p1 d3= 64k1p1 a"
DS_CNN = Network("DS-CNN, 64 channels", "", 0, (49, 40, 12), "", _SEPARABLE, 1, start=0)
REFERENCE = (524_824, 399_060)  # instructions and cycles of the reference network
