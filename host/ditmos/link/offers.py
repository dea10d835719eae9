"""Policies that a running stream exchanges: what the host offers, and what the board made of it (docs/protocol.md)."""

from __future__ import annotations

import json
import queue
from collections import deque
from collections.abc import Callable
from typing import Any

from ditmos.framing import POLICY, SETUP, Link
from ditmos.model.policy import Policy

Told = Callable[[int, str], None]  # the number of the first result, and what the board raised, or nothing


class Offers:
    """Any thread offers; the stream's own sends, and hears the answers, which come in the order of the offers."""

    def __init__(self) -> None:
        self._new: queue.SimpleQueue[tuple[Policy | None, Told]] = queue.SimpleQueue()
        self._sent: deque[tuple[Policy | None, Told]] = deque()

    def add(self, policy: Policy | None, told: Told) -> None:
        self._new.put((policy, told))

    def send(self, link: Link) -> None:
        """Those that have come."""
        while not self._new.empty():
            offer = self._new.get()
            self._sent.append(offer)
            _say(link, offer[0])

    def repeat(self, link: Link) -> None:
        """To a board that has begun again: those that it has not answered."""
        for policy, _ in self._sent:
            _say(link, policy)

    def answered(self, said: dict[str, Any], before: Policy | None) -> Policy | None:
        """The policy that decides after what the board said: the one that was offered, or ``before``."""
        if not self._sent:
            return before
        policy, told = self._sent.popleft()
        told(said["first"], said.get("error", ""))
        return before if "error" in said else policy


def _say(link: Link, policy: Policy | None) -> None:
    if policy and policy.source:
        link.send(POLICY, policy.source.encode())
    link.send(SETUP, json.dumps({"policy": policy.expression if policy else ""}).encode())
