"""Who may speak to the page's server: whoever came with a one-time token, in the browser that came with it.

The token in the address is good for one visit: it is exchanged for a cookie. Nothing else is answered, and a page may
load nothing from elsewhere. Foreign pages are kept out by the host that a request names and by where it comes from.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# Vue compiles its templates in the browser, hence unsafe-eval; scripts come from here alone.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' ws://{host}; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Gate:
    """Around an ASGI application that listens on 127.0.0.1, ``port``."""

    def __init__(self, app: App, port: int) -> None:
        self.app = app
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._cookie = f"ditmos-{port}"  # cookies do not know ports
        self._key = secrets.token_urlsafe(32)
        self._tokens: set[str] = set()

    def token(self) -> str:
        """A new token, good for one visit."""
        made = secrets.token_urlsafe(16)
        self._tokens.add(made)
        return made

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        host, origin = headers.get("host", ""), headers.get("origin")
        if host not in self._hosts or (origin is not None and origin.partition("://")[2] != host):
            await _refuse(scope, send, "This is not the address of the page.")
        elif self._known(headers.get("cookie", "")):
            await self.app(scope, receive, _with_headers(send, host))
        elif scope["type"] == "http" and self._spend(scope["query_string"].decode("latin-1")):
            cookie = f"{self._cookie}={self._key}; HttpOnly; SameSite=Strict; Path=/"
            await _answer(send, 303, b"", {"location": scope["path"], "set-cookie": cookie})
        else:
            await _refuse(scope, send, "Open the address that `ditmos ui` printed; each is good for one browser.")

    def _known(self, cookies: str) -> bool:
        try:
            found = SimpleCookie(cookies).get(self._cookie)
        except CookieError:
            return False
        return found is not None and secrets.compare_digest(found.value.encode(), self._key.encode())

    def _spend(self, query: str) -> bool:
        given = parse_qs(query).get("token", [""])[0]
        found = next((t for t in self._tokens if secrets.compare_digest(t.encode(), given.encode())), None)
        self._tokens.discard(found or "")
        return found is not None


def _with_headers(send: Send, host: str) -> Send:
    added = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
    added.append((b"content-security-policy", _POLICY.format(host=host).encode()))

    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *added]
        await send(message)

    return wrapped


async def _refuse(scope: Scope, send: Send, why: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
    else:
        await _answer(send, 403, f"{why}\n".encode(), {"content-type": "text/plain; charset=utf-8"})


async def _answer(send: Send, status: int, body: bytes, headers: dict[str, str]) -> None:
    pairs = [(name.encode(), value.encode()) for name, value in (headers | _HEADERS).items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
