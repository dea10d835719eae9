"""A piece of Python, such as a sensor's driver, onto a running board."""

from __future__ import annotations

import zlib

from ditmos.errors import DitmosError
from ditmos.link.repl import Repl
from ditmos.model.policy import Policy


def send(board: Repl, policy: Policy, variable: str, timeout: float = 10) -> None:
    """Run the source on the board and leave what its expression gives in ``variable`` there.

    Raises:
        DitmosError: it does not arrive as it was sent, does not run, or has no such name.
    """
    if policy.source is None:
        board.exec(f"from ditmos import routing\n{variable} = routing.{policy.expression}\n", timeout=timeout)
        return
    board.exec(f"from binascii import crc32\n_source = {policy.source.encode()!r}", timeout=timeout)
    arrived = board.eval("crc32(_source)")
    if arrived != zlib.crc32(policy.source.encode()):
        raise DitmosError(f"{board.port}: {policy.text} did not arrive as it was sent: the line is noisy; try again")
    # A name left there by an earlier file does not stand in for a missing one.
    board.exec(f"globals().pop({policy.name!r}, None)\nexec(_source)\ndel _source", timeout=timeout)
    board.exec(f"{variable} = {policy.expression}\n", timeout=timeout)
