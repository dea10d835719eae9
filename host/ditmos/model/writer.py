"""Write a `.dtm`."""

from __future__ import annotations

from pathlib import Path
from struct import error as StructError

from ditmos import atomic
from ditmos.errors import DitmosError
from ditmos.model.container import pack
from ditmos.model.dryrun import simulate
from ditmos.model.parts import Writing
from ditmos.model.plan import Plan
from ditmos.model.quantized import QuantizedModel, check
from ditmos.model.section_network import pack_weights
from ditmos.model.sections import SECTIONS
from ditmos.model.use import check_asked, routes


def encode(model: QuantizedModel, plan: Plan) -> bytes:
    """The bytes of a model file.

    Raises:
        DitmosError: the model or the plan breaks a rule, or a number is too large for its field.
    """
    check(model)
    simulate(model.spec, plan)
    try:
        writing = Writing(model, plan, *pack_weights(model, plan))
        contents = [(section, section.write(writing)) for section in SECTIONS]
        return pack([(s.tag, s.required, data) for s, data in contents if data or not s.optional])
    except StructError as error:
        raise DitmosError(f"model: too large for a model file ({error})") from None


def write_model(path: str | Path, model: QuantizedModel, plan: Plan) -> int:
    """Write a model file and return its size in bytes. A file of that name is replaced only when all is written.

    Raises:
        DitmosError: as `encode`, or a policy that the plan has no room for.
    """
    path = Path(path)
    if plan.once:
        use = model.use
        check_asked(model.spec.classifiers, routes(model.spec, use.rule), use.policy, use.margins)
    data = encode(model, plan)
    atomic.write(path, data)
    return len(data)
