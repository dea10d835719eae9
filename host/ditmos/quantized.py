"""The integer model: int8 weights and their requantisation, run by `reference.py`, packed by `modelfile.py`.

The arithmetic is written down in docs/arithmetic.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ditmos.spec import NetworkSpec


@dataclass(frozen=True)
class QuantizedLayer:
    """Weights of one layer of one branch.

    weight: int8 in [-127, 127]; (out, in, kernel) for a convolution, (out, in) for a fully connected layer, ``in``
        in the order of ``LayerShape.inputs``, each fully connected input flattened channel by channel.
    bias: int32 (out,), with the input zero point folded in: ``round(b / s) - zero_point_in * sum(weight)``.
    multiplier: int32 (out,) in [1, 2^31): the factor from accumulator to output, times 2^32.
    zero_point: of the output; -128 behind a ReLU.
    """

    weight: NDArray[np.int8]
    bias: NDArray[np.int32]
    multiplier: NDArray[np.int32]
    zero_point: int = -128


@dataclass(frozen=True)
class QuantizedModel:
    """A whole routed network in integers.

    input_scale, input_zero_point: ``real = (q - input_zero_point) * input_scale``.
    sample_scale: real value of one unit of a raw int16 sample (the data set's ``scale``).
    selector_scale / selector_zero_point and logit_scale / logit_zero_point: of the selector's logits and of the class
        logits; the latter are shared by all K classifiers, so that their logits can be compared and averaged.
    """

    spec: NetworkSpec
    selector: tuple[QuantizedLayer, ...]
    classifiers: tuple[tuple[QuantizedLayer, ...], ...]
    input_scale: float
    input_zero_point: int
    sample_scale: float
    selector_scale: float
    selector_zero_point: int
    logit_scale: float
    logit_zero_point: int
    class_names: tuple[str, ...]
    metadata: dict[str, Any] = field(default_factory=dict)
