"""A routing policy by name, or what makes events of answers: loaded on the host, or sent as it is to a board
(contracts: docs/architecture.md, docs/howto/events.md)."""

from __future__ import annotations

import ast
import importlib.util
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from traceback import extract_tb
from typing import Any

from ditmos import events, routing
from ditmos.errors import DitmosError
from ditmos.model.quantized import QuantizedModel
from ditmos.model.use import check_asked
from ditmos.text import read_text

PolicyFunction = Callable[[Any, Any], tuple[int | None, int]]
_HOMES = {"routing": (routing, routing.SHIPPED), "events": (events, events.SHIPPED)}


@dataclass(frozen=True)
class Policy:
    """``expression`` is a name, or a call with literal arguments or calls, in the namespace of ``source`` (None: the
    device file that ``home`` names)."""

    text: str
    expression: str
    source: str | None
    path: Path | None = None
    home: str = "routing"

    @property
    def name(self) -> str:
        """Of the function that ``expression`` names or calls."""
        node = _node(self.expression)
        return node.id if isinstance(node, ast.Name) else node.func.id

    @property
    def program(self) -> str:
        """Python for a board that leaves the policy under the name ``policy``."""
        if self.source is None:
            return f"from ditmos import {self.home}\npolicy = {self.home}.{self.expression}\n"
        return f"{self.source}\npolicy = {self.expression}\n"

    def check_once(self, classifiers: int, routes: int) -> None:
        """For a plan that allows one classify of a window. What a file of the user's own asks shows when it runs.

        Raises:
            DitmosError: it is a policy of routing.py that may ask more, or has settings that it does not take.
        """
        if self.source is None and self.home == "routing" and self.name in routing.SHIPPED:
            check_asked(classifiers, routes, self.name, self._settings())

    def _settings(self) -> tuple[Any, ...]:
        """Of a policy that routing.py makes: its arguments in their order, those that are not given, too."""
        node = _node(self.expression)
        if isinstance(node, ast.Name):
            return ()
        try:
            given = inspect.signature(vars(routing)[self.name]).bind(
                *map(ast.literal_eval, node.args), **{str(k.arg): ast.literal_eval(k.value) for k in node.keywords}
            )
        except (TypeError, ValueError) as error:
            raise DitmosError(f"policy {self.text}: {error}") from None
        given.apply_defaults()
        return given.args

    def load(self) -> Callable[..., Any]:
        """A fresh one on the host, its state at the start of a stream.

        Raises:
            DitmosError: the file does not run, or has no such name.
        """
        if self.path is None:
            module, shown = _HOMES[self.home]
            namespace = vars(module)
        else:
            spec = importlib.util.spec_from_file_location(self.path.stem, self.path)
            assert spec and spec.loader  # the file ends in .py
            own = importlib.util.module_from_spec(spec)
            try:
                spec.loader.exec_module(own)
            except (Exception, SystemExit) as error:
                raise DitmosError(f"{self.path}: {type(error).__name__}: {error}") from None
            namespace = vars(own)
            shown = tuple(sorted(key for key in namespace if key[0] != "_"))
        return self._value(_node(self.expression), namespace, shown)

    @contextmanager
    def at(self, what: str) -> Iterator[None]:
        """Inside, what the function raises is a DitmosError that names it, ``what`` it was at, and the line in its
        file."""
        try:
            yield
        except (Exception, SystemExit) as error:
            ours = isinstance(error, ValueError | DitmosError)
            said = str(error) if ours else f"{type(error).__name__}: {error}"
            file = self.path.absolute() if self.path else None
            lines = [frame.lineno for frame in extract_tb(error.__traceback__) if Path(frame.filename) == file]
            place = f" ({file.name}, line {lines[-1]})" if file and lines else ""
            raise DitmosError(f"policy {self.text}, {what}: {' '.join(said.split())}{place}") from None

    def _value(self, node: ast.expr, namespace: Mapping[str, Any], shown: Sequence[str]) -> Any:
        """What a name, a call or a literal stands for."""
        if isinstance(node, ast.Name):
            if not callable(made := namespace.get(node.id)):
                known = [key for key in shown if callable(namespace[key])]
                raise DitmosError(f"policy {self.text}: no {node.id} there, but {', '.join(known) or 'nothing'}")
            return made
        if not isinstance(node, ast.Call):
            return ast.literal_eval(node)
        function = self._value(node.func, namespace, shown)
        arguments = [self._value(argument, namespace, shown) for argument in node.args]
        keywords = {str(k.arg): self._value(k.value, namespace, shown) for k in node.keywords}
        try:
            return function(*arguments, **keywords)
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
    return parse_policy(use.policy if use.policy in routing.PLAIN else f"{use.policy}({arguments})")


def parse_policy(text: str, home: str = "routing") -> Policy:
    """``FILE.py``, ``FILE.py:name``, ``FILE.py:make(0.3)``, or the same of the device file that ``home`` names: of
    routing.py ``top1``, ``fallback(8)``, of events.py ``known(events(on=0.9), 20)``.

    The name is ``policy`` where none is given. Raises DitmosError for anything else.
    """
    file, separator, expression = text.partition(".py:")
    if separator or text.endswith(".py"):
        path = Path(file + ".py" if separator else text)
        if not path.is_file():
            raise DitmosError(f"policy {text}: {path}: no such file")
        expression = expression or "policy"
        _node(expression)
        source, _ = read_text(path)
        try:
            tree = ast.parse(source)
        except SyntaxError as error:
            raise DitmosError(f"policy {text}: {path}, line {error.lineno}: {error.msg}") from None
        except (ValueError, RecursionError, MemoryError) as error:
            raise DitmosError(f"policy {text}: {path}: no Python that can be read ({error})") from None
        policy = Policy(text, expression, source, path)
        if not {policy.name, "*"} & _bound(tree):  # found here, before anything on a board is replaced by it
            shown = [n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef) and n.name[0] != "_"]
            raise DitmosError(f"policy {text}: no {policy.name} there, but {', '.join(shown) or 'nothing'}")
        return policy
    return _shipped(Policy(text, text, None, home=home))


def check_call(text: str) -> None:
    """Raises DitmosError for what is neither a name nor a call with literal arguments or such calls."""
    _node(text)


def _shipped(policy: Policy) -> Policy:
    """One of the device file. Raises DitmosError, before a board is asked, where the file has none of this name, or
    where one with settings stands without brackets."""
    module, shown = _HOMES[policy.home]
    node, made = _node(policy.expression), getattr(module, policy.name, None)
    if not callable(made):
        raise DitmosError(f"policy {policy.text}: no {policy.name} there, but {', '.join(shown)}")
    if module is routing and isinstance(node, ast.Name) and node.id in {*routing.SHIPPED} - {*routing.PLAIN}:
        usual = f"{node.id}{inspect.signature(made)}"
        raise DitmosError(
            f"policy {policy.text}: it takes settings, expected {node.id}() for {usual}, or with your own"
        )
    return policy


def _bound(tree: ast.Module) -> set[str]:
    """Names that a file's text binds, wherever in it; ``*`` where it imports names that the text does not tell."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name)
    return names


def _node(expression: str) -> Any:
    """``name`` or ``name(...)``, whose arguments are literals or such calls."""
    try:
        node = ast.parse(expression, mode="eval").body
        if isinstance(node, ast.Name) or (isinstance(node, ast.Call) and _plain_call(node)):
            return node
    except (SyntaxError, ValueError):
        pass
    raise DitmosError(f"policy {expression!r}: expected FILE.py, a name, or name(number, ...)")


def _plain_call(node: ast.Call) -> bool:
    """Raises ValueError for an argument that is neither a literal nor such a call."""
    for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
        if isinstance(argument, ast.Call):
            if not _plain_call(argument):
                return False
        else:
            ast.literal_eval(argument)
    return isinstance(node.func, ast.Name) and all(keyword.arg for keyword in node.keywords)
