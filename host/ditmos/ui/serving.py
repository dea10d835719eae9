"""The page's server: on 127.0.0.1 alone, behind the gate, until it is interrupted."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from html import escape

import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from nicegui import run, ui

from ditmos.errors import DitmosError
from ditmos.text import read_text
from ditmos.ui.desk import Desk
from ditmos.ui.gate import Gate
from ditmos.ui.shell import build
from ditmos.ui.training_job import REPORT

RECONNECT = 30  # seconds that a page may be cut off and go on as it was
_GOODBYE = 2  # seconds for what is under way when the server stops


def serve(desk: Desk, port: int, ready: Callable[[str], None]) -> None:
    """Serve until Ctrl-C. ``port`` 0: a free one. ``ready`` is called with the address once it answers.

    Raises:
        DitmosError: the port is taken.
    """
    try:
        listener = socket.create_server(("127.0.0.1", port))
    except (OSError, OverflowError) as error:
        raise DitmosError(f"port {port}: cannot be used ({error}); another one: --port") from None
    number = listener.getsockname()[1]
    application = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    gate = Gate(application, number)

    def address() -> str:
        return f"http://127.0.0.1:{number}/?token={gate.token()}"

    @application.get("/report")
    def report(run: str) -> HTMLResponse:
        """The report page of a training in the folder."""
        try:
            return HTMLResponse(read_text(desk.folder.path(f"{run}/{REPORT}"))[0])
        except DitmosError as error:
            return HTMLResponse(escape(str(error)), status_code=404)

    run.process_pool_start_method = "spawn"  # nothing of this process, which has threads
    ui.run_with(
        application,
        root=lambda: build(desk, address),
        title="DiTMoS",
        dark=None,
        tailwind=False,
        show_welcome_message=False,
        language="en-US",
        reconnect_timeout=RECONNECT,
    )
    config = uvicorn.Config(gate, log_level="error", timeout_graceful_shutdown=_GOODBYE)
    server = _Server(config, lambda: ready(address()))
    try:
        asyncio.run(server.serve([listener]))
    finally:
        listener.close()


class _Server(uvicorn.Server):
    """Says when it has started."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._said = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._said()
