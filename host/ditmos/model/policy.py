"""A routing policy by name: loaded on the host, or sent as it is to a board (contract: docs/architecture.md)."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ditmos import routing
from ditmos.errors import DitmosError
from ditmos.model.quantized import QuantizedModel
from ditmos.text import read_text

PolicyFunction = Callable[[Any, Any], tuple[int | None, int]]


@dataclass(frozen=True)
class Policy:
    """``expression`` is a name, or a call with literal arguments, in the namespace of ``source`` (None: routing.py)."""

    text: str
    expression: str
    source: str | None
    path: Path | None = None

    @property
    def name(self) -> str:
        """Of the function that ``expression`` names or calls."""
        return _parts(self.expression)[0]

    @property
    def program(self) -> str:
        """Python for a board that leaves the policy under the name ``policy``."""
        if self.source is None:
            return f"from ditmos import routing\npolicy = routing.{self.expression}\n"
        return f"{self.source}\npolicy = {self.expression}\n"

    def load(self) -> PolicyFunction:
        """A fresh policy on the host, its state at the start of a stream.

        Raises:
            DitmosError: the file does not run, or has no such name.
        """
        if self.path is None:
            namespace = vars(routing)
        else:
            spec = importlib.util.spec_from_file_location(self.path.stem, self.path)
            assert spec and spec.loader  # the file ends in .py
            module = importlib.util.module_from_spec(spec)
            try:
                spec.loader.exec_module(module)
            except Exception as error:
                raise DitmosError(f"{self.path}: {type(error).__name__}: {error}") from None
            namespace = vars(module)
        name, arguments, keywords = _parts(self.expression)
        if not callable(made := namespace.get(name)):
            shown = routing.SHIPPED if self.path is None else sorted(key for key in namespace if key[0] != "_")
            known = [key for key in shown if callable(namespace[key])]
            raise DitmosError(f"policy {self.text}: no {name} there, but {', '.join(known) or 'nothing'}")
        if "(" not in self.expression:
            return made
        try:
            return made(*arguments, **keywords)
        except (TypeError, ValueError) as error:
            raise DitmosError(f"policy {self.text}: {error}") from None


def own_policy(model: QuantizedModel) -> Policy:
    """The policy that a model's file names, from routing.py.

    Raises:
        DitmosError: routing.py has no such policy, or it takes other margins.
    """
    use = model.use
    try:
        routing.named(use.policy, use.margins)
    except ValueError as error:
        raise DitmosError(f"model: {error}; here: --policy FILE.py") from None
    arguments = ", ".join(map(str, use.margins))
    return parse_policy(f"{use.policy}({arguments})" if use.policy not in ("top1", "average") else use.policy)


def parse_policy(text: str) -> Policy:
    """``FILE.py``, ``FILE.py:name``, ``FILE.py:make(0.3)``, or the same of routing.py: ``top1``, ``fallback(8)``.

    The name is ``policy`` where none is given. Raises DitmosError for anything else.
    """
    file, separator, expression = text.partition(".py:")
    if separator or text.endswith(".py"):
        path = Path(file + ".py" if separator else text)
        if not path.is_file():
            raise DitmosError(f"policy {text}: {path}: no such file")
        expression = expression or "policy"
        _parts(expression)
        source, _ = read_text(path)
        try:
            ast.parse(source)
        except SyntaxError as error:
            raise DitmosError(f"policy {text}: {path}, line {error.lineno}: {error.msg}") from None
        except (ValueError, RecursionError, MemoryError) as error:
            raise DitmosError(f"policy {text}: {path}: no Python that can be read ({error})") from None
        return Policy(text, expression, source, path)
    _parts(text)
    return Policy(text, text, None)


def _parts(expression: str) -> tuple[str, list[Any], dict[str, Any]]:
    """Name and literal arguments of ``name`` or ``name(...)``."""
    try:
        node = ast.parse(expression, mode="eval").body
        if isinstance(node, ast.Name):
            return node.id, [], {}
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            keywords = {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords if keyword.arg}
            return node.func.id, [ast.literal_eval(argument) for argument in node.args], keywords
    except (SyntaxError, ValueError):
        pass
    raise DitmosError(f"policy {expression!r}: expected FILE.py, a name, or name(number, ...)")
