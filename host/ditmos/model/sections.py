"""The sections of a `.dtm`, in the order of the file: the one place where a new one is added.

Each finds what those before it have left in the `Reading`. What it reads goes into ``fields`` under the name of a field
of `QuantizedModel`. `cmodule/model.c` has the same table; docs/format.md says what is in them.
"""

from __future__ import annotations

from ditmos.model.parts import Section
from ditmos.model.section_forest import read_forest, write_forest
from ditmos.model.section_front import read_front, write_front
from ditmos.model.section_network import (
    read_layers,
    read_network,
    read_padding,
    read_weights,
    write_layers,
    write_network,
    write_padding,
    write_weights,
)
from ditmos.model.section_plan import read_plan, write_plan
from ditmos.model.section_use import (
    read_classes,
    read_inputs,
    read_metadata,
    read_routing,
    write_classes,
    write_inputs,
    write_metadata,
    write_routing,
)

SECTIONS = (
    Section(b"NETW", True, write_network, read_network),
    Section(b"NAME", True, write_classes, read_classes),
    Section(b"INPT", True, write_inputs, read_inputs),
    Section(b"LAYR", True, write_layers, read_layers),
    Section(b"PADS", True, write_padding, read_padding, optional=True),
    Section(b"ROUT", True, write_routing, read_routing),
    Section(b"PLAN", True, write_plan, read_plan),
    Section(b"WGHT", True, write_weights, read_weights),
    Section(b"FRNT", True, write_front, read_front, optional=True),
    Section(b"FRST", True, write_forest, read_forest, optional=True),
    Section(b"META", False, write_metadata, read_metadata, optional=True),
)
KNOWN = {section.tag: section.required for section in SECTIONS}
