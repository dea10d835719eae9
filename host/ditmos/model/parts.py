"""What the sections of a `.dtm` share while a file is written or read (`sections.py` lists them)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ditmos.model.container import Span
from ditmos.model.plan import Plan
from ditmos.model.quantized import QuantizedModel
from ditmos.model.spec import NetworkSpec


@dataclass(frozen=True)
class Writing:
    """What a file is made of. layers, weights, stride: LAYR, WGHT, and the bytes of one classifier's weights."""

    model: QuantizedModel
    plan: Plan
    layers: bytes
    weights: bytes
    stride: int


@dataclass
class Reading:
    """What is known so far. A section finds what those before it have left.

    fields: of the `QuantizedModel`, by name. spec: from LAYR on. packings: of each layer. weights_bytes: of each layer.
    """

    data: bytes
    fields: dict[str, Any] = field(default_factory=dict)
    network: dict[str, Any] = field(default_factory=dict)  # NETW by the names of its fields
    network_at: dict[str, int] = field(default_factory=dict)  # where in the file each of them is
    packings: tuple[int, ...] = ()
    weights_bytes: tuple[int, ...] = ()
    plan: Plan | None = None

    @property
    def spec(self) -> NetworkSpec:
        return self.fields["spec"]


class Section(NamedTuple):
    """A section of the file. required: changes answers, so that who does not know it must refuse the file. optional:
    a file may lack it; ``write`` gives nothing then."""

    tag: bytes
    required: bool
    write: Callable[[Writing], bytes]
    read: Callable[[Reading, Span], None]
    optional: bool = False
