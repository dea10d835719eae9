"""MicroPython's REPL on a board, real or simulated: run code, move files, speak raw bytes to a running program."""

from __future__ import annotations

import ast
import base64
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Self

import serial
from mpremote.transport import TransportError, TransportExecError
from mpremote.transport_serial import SerialTransport

from ditmos.errors import DitmosError
from ditmos.link.entrance import READ_TIMEOUT, Entrance
from ditmos.link.ports import how_to_open, ports
from ditmos.text import read_text

try:
    from termios import error as _terminal_error

    _TERMINAL_ERRORS: tuple[type[Exception], ...] = (_terminal_error,)
except ImportError:  # Windows
    _TERMINAL_ERRORS = ()

ANSWER_TIMEOUT = 0.8  # seconds a board may take to leave its program and show the raw REPL; then it is freed
_PASTE_TIMEOUT = 5.0  # the same while a board takes in code: it may be erasing flash, or have a busy host
_CHUNK = 3072  # bytes of a file that one command carries
# A folder that is mounted now had its host at this port before us: whatever looks there would wait for it, so would
# `import os`, which looks for a file of that name first. `import vfs` does not.
_UNMOUNT = (
    "try:\n import vfs\n vfs.umount('/remote')\n import os\n os.chdir('/flash')\nexcept (ImportError, OSError):\n pass"
)
# What the operating system says through pyserial of a port that was pulled; and mpremote of half a number.
LINE_ERRORS: tuple[type[Exception], ...] = (OSError, serial.SerialException, *_TERMINAL_ERRORS, struct.error)


class BoardError(DitmosError):
    """The program on the board raised. ``traceback`` is what the board printed, ``output`` what came before."""

    def __init__(self, port: str, traceback: str, output: str = "") -> None:
        lines = [line.strip() for line in traceback.strip().splitlines()] or ["an exception without a name"]
        self.reason = lines[-1]
        frames = [line for line in lines if line.startswith("File ") and not line.endswith("<module>")]
        frames = [line for line in frames if not line.startswith('File "ditmos/')] or frames  # the user's own, if any
        super().__init__(f"{port}: the board raised {self.reason}" + (f" ({frames[-1]})" if frames else ""))
        self.traceback = traceback
        self.output = output


@dataclass(frozen=True)
class Probe:
    """What a board says of itself; ``module`` is False without `_ditmos`, ``ditmos`` "" without the frozen package."""

    machine: str
    micropython: str
    module: bool
    ditmos: str


class Repl:
    """A board at its MicroPython REPL, open inside a ``with`` block. Its program, if one runs, is interrupted.

    Args:
        port: a serial device, ``socket://HOST:PORT``, or None for the one NUCLEO board that is plugged in.
        soft_reset: start from a fresh interpreter (what mpremote does first); False keeps its variables.

    Attributes:
        serial: the open pyserial port, for a binary protocol between :meth:`start` and :meth:`finish`.

    Raises:
        DitmosError: nothing at the port, the port in use, or no MicroPython answering within 3 seconds.
    """

    def __init__(self, port: str | None = None, *, soft_reset: bool = True) -> None:
        self.port = port or find_port()
        self._transport = _open(self.port)
        try:
            self._enter(soft_reset)
            if not soft_reset:
                self.exec(_UNMOUNT)
        except BaseException:
            self._close_line()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def serial(self) -> serial.Serial:
        return self._transport.serial

    def disturb(self, wrap: Callable[[Any], Any]) -> None:
        """Put something around the port from now on, for tests: ``wrap(port)`` is used in its place."""
        self._transport.serial = wrap(self._transport.serial)

    def close(self) -> None:
        """Leave the board at its friendly REPL and free the port; may be called twice."""
        if self._transport.serial.is_open:
            try:
                if self._transport.in_raw_repl:
                    self._transport.exit_raw_repl()
            except (*LINE_ERRORS, TransportError):
                pass  # unplugged: there is nothing to leave
            self._close_line()

    def probe(self) -> Probe:
        code = (
            "import sys\n"
            "try:\n import _ditmos\n m=True\nexcept ImportError:\n m=False\n"
            "try:\n import ditmos\n v=getattr(ditmos,'__version__','')\nexcept ImportError:\n v=''\n"
            "print(repr((sys.implementation._machine,'.'.join(str(i) for i in sys.implementation.version[:3]),m,v)))"
        )
        said = self._literal(self.exec(code))
        if not isinstance(said, tuple) or [type(part) for part in said] != [str, str, bool, str]:
            raise DitmosError(f"{self.port}: the board said {str(said)[:60]!r} of itself: is the line noisy? Try again")
        return Probe(*said)

    def require_module(self) -> Probe:
        """The board's :meth:`probe`.

        Raises:
            DitmosError: its firmware has no `_ditmos` module.
        """
        found = self.probe()
        if not found.module:
            raise DitmosError(
                f"{self.port}: {found.machine} runs MicroPython {found.micropython} without the _ditmos module; "
                "build and flash this project's firmware (ditmos firmware build)"
            )
        return found

    def exec(self, code: str, timeout: float | None = 10) -> str:
        """Run ``code`` in the board's ``__main__`` and return what it printed.

        ``timeout``: seconds without a byte from the board; None waits for ever.

        Raises:
            BoardError: it raised.
            DitmosError: the board fell silent.
        """
        return self._finish(code, timeout, None)

    def eval(self, expression: str) -> Any:
        """The value of an expression, a literal such as a number, string, tuple or dict."""
        return self._literal(self.exec(f"print(repr({expression}))"))

    def run(
        self,
        script: Path,
        arguments: Sequence[str] = (),
        output: Callable[[bytes], None] | None = None,
        timeout: float | None = None,
    ) -> str:
        """Run a script as ``mpremote run`` does, with ``sys.argv`` set; the text that it printed.

        ``output`` is given each byte as it comes; the returned text is then empty. Raises as :meth:`exec`.
        """
        self.exec(f"import sys\nsys.argv[:]={[script.name, *arguments]!r}")
        return self._finish(read_text(script)[0], timeout, output)

    def start(self, code: str) -> None:
        """Start ``code`` and return at once; talk to it through :attr:`serial`, then call :meth:`finish`."""
        with self.line_errors(), self._patient():
            self._transport.exec_raw_no_follow(code)

    def finish(self, timeout: float | None = 10) -> str:
        """Wait for the end of what :meth:`start` started; what it printed meanwhile. Raises as :meth:`exec`."""
        with self.line_errors():
            return self._followed(timeout, None)

    def interrupt(self) -> None:
        """Ctrl-C: a program started with :meth:`start` gets KeyboardInterrupt."""
        with self.line_errors():
            self.serial.write(b"\x03")

    def regain(self, timeout: float | None = None) -> None:
        """Interrupt whatever runs and be at the raw REPL, with the interpreter's variables as they are.

        Raises:
            DitmosError: no raw REPL within ``timeout`` seconds; by default, within those that opening a board takes.
        """
        if timeout is None:
            self._enter(soft_reset=False)
        else:
            self._enter(soft_reset=False, timeout=timeout, release=False)

    def soft_reset(self) -> None:
        """A fresh interpreter; boot.py runs, main.py does not."""
        self._enter(soft_reset=True)

    def reboot(self) -> None:
        """A fresh interpreter that runs main.py: read what it prints from :attr:`serial`, then :meth:`close`."""
        with self.line_errors():
            self._transport.exit_raw_repl()
            self.serial.write(b"\x04")

    def put(self, data: bytes | Path, remote: str, progress: Callable[[int, int], None] | None = None) -> None:
        """Write a file on the board: under a temporary name first, then renamed.

        ``progress`` is called with (bytes written, bytes in all).

        Raises:
            DitmosError: no room, no such folder, a read-only filesystem.
        """
        content = data.read_bytes() if isinstance(data, Path) else bytes(data)
        partial = f"{remote}.new"
        try:
            self.exec(f"import binascii, os\na=binascii.a2b_base64\nf=open({partial!r},'wb')")
            for start in range(0, len(content), _CHUNK):
                self.exec(f"f.write(a({base64.b64encode(content[start : start + _CHUNK])!r}))")
                if progress:
                    progress(min(start + _CHUNK, len(content)), len(content))
            self.exec(f"f.close()\n{_remove(remote)}os.rename({partial!r},{remote!r})")
        except BoardError as error:
            # Closed first: what an open file holds would be lost to the filesystem.
            self.exec(f"try:\n f.close()\nexcept Exception:\n pass\n{_remove(partial)}")
            raise DitmosError(f"{self.port}: cannot write {remote} of {len(content)} bytes: {error.reason}") from None

    def get(self, remote: str) -> bytes:
        """A file's content. Raises DitmosError when there is no such file."""
        with self.line_errors(), self._patient():
            try:
                return bytes(self._transport.fs_readfile(remote, _CHUNK))
            except OSError as error:
                if isinstance(error, serial.SerialException) or error.errno is None:
                    raise
                raise DitmosError(f"{self.port}: cannot read {remote}: {os.strerror(error.errno)}") from None

    def exists(self, remote: str) -> bool:
        with self.line_errors(), self._patient():
            return self._transport.fs_exists(remote)

    def _enter(self, soft_reset: bool, timeout: float = ANSWER_TIMEOUT, release: bool = True) -> None:
        with self.line_errors(), redirect_stdout(StringIO()):
            heard = Entrance(self._transport).enter(soft_reset, timeout, release)
        if heard is not None:
            only = f"only {heard[-40:]!r}" if heard else "nothing"
            raise DitmosError(
                f"{self.port}: no MicroPython answers ({only} heard). Is this the board's port, its firmware flashed, "
                "does a program hold the line? Press its reset button and try again"
            )

    def _finish(self, code: str, timeout: float | None, output: Callable[[bytes], None] | None) -> str:
        with self.line_errors():
            with self._patient():
                self._transport.exec_raw_no_follow(code)
            return self._followed(timeout, output)

    @contextmanager
    def _patient(self) -> Iterator[None]:
        """Inside, one read may block for `_PASTE_TIMEOUT`."""
        self.serial.timeout = _PASTE_TIMEOUT
        try:
            yield
        finally:
            self.serial.timeout = READ_TIMEOUT

    def _followed(self, timeout: float | None, output: Callable[[bytes], None] | None) -> str:
        text, error = (part.decode(errors="replace") for part in self._transport.follow(timeout, output))
        if error:
            raise BoardError(self.port, error, text)
        return text

    @contextmanager
    def line_errors(self) -> Iterator[None]:
        """Inside, what goes wrong on the line is a DitmosError with the port's name."""
        try:
            yield
        except TransportExecError as error:
            raise BoardError(self.port, error.error_output) from None
        except TransportError as error:
            raise DitmosError(f"{self.port}: the board does not answer ({error})") from None
        except LINE_ERRORS as error:
            raise DitmosError(f"{self.port}: the line broke ({error}); is the board still plugged in?") from None

    def _literal(self, text: str) -> Any:
        try:
            return ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            raise DitmosError(f"{self.port}: expected a value from the board, got {text.strip()[:60]!r}") from None

    def _close_line(self) -> None:
        with suppress(*LINE_ERRORS):
            self._transport.close()
        with suppress(*LINE_ERRORS):
            self._transport.serial.close()


def _remove(remote: str) -> str:
    return f"import os\ntry:\n os.remove({remote!r})\nexcept Exception:\n pass\n"


def find_port() -> str:
    """The serial device of the one ST-LINK that is plugged in.

    Raises:
        DitmosError: there is none, or more than one.
    """
    found = [port.device for port in ports() if port.stlink]
    if len(found) != 1:
        what = f"several boards ({', '.join(found)})" if found else "no NUCLEO board is plugged in"
        raise DitmosError(f"{what}: name one with --port (ditmos sim starts a simulated one and prints its port)")
    return found[0]


def _open(port: str) -> SerialTransport:
    try:
        return SerialTransport(port, timeout=READ_TIMEOUT)
    except (TransportError, ValueError):
        raise DitmosError(_why_not(port)) from None


def _why_not(port: str) -> str:
    """mpremote's transport does not say why a port cannot be opened: look again."""
    known = ", ".join(port.device for port in ports()) or "none"
    try:
        serial.serial_for_url(port, timeout=READ_TIMEOUT, exclusive=True).close()
    except ValueError as error:
        return f"{port}: not a port ({error})"
    except OSError as error:
        text = str(error)
        if "lock" in text or "busy" in text.lower():
            return f"{port}: in use by another program (another mpremote, a terminal?); close it and try again"
        if "denied" in text:
            return f"{port}: permission denied; {how_to_open(port)}"
        if port.startswith("socket:"):
            return f"{port}: nothing listens there; `ditmos sim --socket` prints the port of the board that it starts"
        return f"{port}: no board there (serial ports on this machine: {known})"
    return f"{port}: could not be opened; try again"
