# The device file device/ditmos/framing.py, which the host runs as it is.
from collections.abc import Callable
from typing import Any

PROTOCOL: int
ACK: int
NAK: int
HELLO: int
SAMPLES: int
RESULT: int
STATUS: int
END: int
POLICY: int
SETUP: int
MORE: int
BOARD: int
RESULT_LAYOUT: str
NO_LABEL: int
NOBODY: int
SELECTOR: int
ALL: int
FOREST: int
PAYLOAD: int
OVERHEAD: int
CREDIT: int
HEARTBEAT: int
SILENCE: int

def stuff(data: bytes | bytearray) -> bytearray: ...
def encode(kind: int, number: int, ack: int, payload: bytes | bytearray | memoryview) -> bytes: ...

class Decoder:
    frame: bytearray
    view: memoryview
    size: int
    bad: int
    sure: int
    def __init__(self) -> None: ...
    def feed(self, data: bytes | bytearray, start: int, stop: int) -> int: ...

class Link:
    credit: int
    decoder: Decoder
    heard: int
    frames: int
    resent: int
    duplicates: int
    missed: int
    received: int
    echoes: int
    def __init__(
        self,
        write: Callable[[bytes], Any],
        clock: Callable[[], int],
        deliver: Callable[[int, memoryview], Any],
        credit: int = ...,
        side: int = 0,
    ) -> None: ...
    def since(self, then: int) -> int: ...
    def queued(self) -> int: ...
    def send(self, kind: int, payload: bytes | bytearray | memoryview) -> None: ...
    def receive(self, data: bytes | bytearray, size: int) -> None: ...
    def poll(self) -> None: ...
    def gone(self, limit: int = ...) -> bool: ...
