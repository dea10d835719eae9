"""Read a `.dtm` and trust none of it."""

from __future__ import annotations

from pathlib import Path

from ditmos.errors import DitmosError
from ditmos.model.container import ModelFileError, need, unpack
from ditmos.model.parts import Reading
from ditmos.model.plan import Plan
from ditmos.model.quantized import QuantizedModel
from ditmos.model.sections import KNOWN, SECTIONS
from ditmos.model.use import Rule

__all__ = ["ModelFileError", "decode", "read_model"]


def read_model(path: str | Path) -> tuple[QuantizedModel, Plan]:
    """Read and validate a model file.

    Raises:
        DitmosError: the file cannot be read; `ModelFileError`: it is no valid model.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DitmosError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return decode(data)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error.field}", error.offset, str(error).partition(": ")[2]) from None


def decode(data: bytes) -> tuple[QuantizedModel, Plan]:
    """Inverse of `encode`. Raises ModelFileError at the first violation."""
    spans = unpack(data, KNOWN)
    reading = Reading(data)
    for section in SECTIONS:
        if section.tag in spans:
            section.read(reading, spans[section.tag])
        else:
            need(section.optional, "sections", 6, f"there is no {section.tag.decode()} section")
    at = reading.network_at["classifiers"]
    answers = reading.spec.classifiers > 0 or "forest" in reading.fields
    need(answers, "NETW classifiers", at, "is 0, and there is no forest to answer")
    voted = reading.fields["use"].rule != Rule.VOTES or "forest" in reading.fields
    need(voted, "sections", 6, "no FRST, but its votes name the classifier")
    assert reading.plan  # of PLAN, which is not optional
    return QuantizedModel(**reading.fields), reading.plan
