"""What a policy may use, for completion: the model's attributes and the functions of routing.py, from themselves."""

from __future__ import annotations

import inspect

from ditmos import routing

_MODEL = {
    "select": ("(window)", "int8 logits of the selector; of the first routes, one a classifier"),
    "classify": ("(k)", "int8 class logits of classifier k, valid until the next call"),
    "classes": ("", "number of classes"),
    "classifiers": ("", "number of classifiers, K"),
    "routes": ("", "how many of the selector's logits stand for classifiers"),
    "exits": ("", "how many behind them are class logits"),
    "selector_scale": ("", "real value of a step of the selector's logits"),
    "logit_scale": ("", "real value of a step of class logits"),
}
_PLAIN = ("model", "window", "routing", "policy")


def words() -> list[dict[str, str]]:
    """As CodeMirror takes them: label, type, detail, info; ``owner`` is what stands before the dot."""
    found = [
        {"owner": "model", "label": name, "type": "function" if detail else "property", "detail": detail, "info": info}
        for name, (detail, info) in _MODEL.items()
    ]
    for name, member in vars(routing).items():
        if name.startswith("_"):
            continue
        if inspect.isfunction(member):
            first = (inspect.getdoc(member) or "").partition("\n\n")[0].replace("\n", " ")
            row = {"type": "function", "detail": str(inspect.signature(member)), "info": first}
        elif name.isupper() and isinstance(member, int):
            row = {"type": "constant", "detail": "", "info": routing.NAMES.get(member, "")}
        else:
            continue
        found.append({"owner": "routing", "label": name, **row})
    return found + [{"owner": "", "label": name, "type": "variable", "detail": "", "info": ""} for name in _PLAIN]
