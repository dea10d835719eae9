"""A routing policy, or another piece of Python, onto a running board."""

from __future__ import annotations

from ditmos.link.repl import Repl
from ditmos.model.policy import Policy


def send(board: Repl, policy: Policy, variable: str, timeout: float = 10) -> None:
    """Run the policy's source on the board and leave what its expression gives in ``variable`` there.

    Raises:
        DitmosError: it does not run, or has no such name.
    """
    if policy.source is None:
        board.exec(f"from ditmos import routing\n{variable} = routing.{policy.expression}\n", timeout=timeout)
        return
    # A name left there by an earlier file does not stand in for a missing one. On its own: line numbers stay.
    board.exec(f"globals().pop({policy.name!r}, None)", timeout=timeout)
    board.exec(f"{policy.source}\n{variable} = {policy.expression}\n", timeout=timeout)
