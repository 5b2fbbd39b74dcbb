"""A light HTTP client, so that the driver is not what is measured.

One connection is one socket with keep-alive, one request at a time, and a
parser that knows a status, a content-length and a body. It opens sockets to
loopback only.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec

HOST = "127.0.0.1"


class Broken(Exception):
    """The server closed the socket, or answered with something that is no reply."""


class _Wire(asyncio.Protocol):
    def __init__(self) -> None:
        self.transport: Any = None
        self._buffer = b""
        self._waiting: asyncio.Future[tuple[int, bytes]] | None = None
        self.head = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found or self._waiting is None:
            return
        at = head.lower().find(b"\r\ncontent-length:")
        # What has not changed is answered without a body, and need not say so.
        if at < 0 and head[9:12] == b"304":
            head, at = head + b"\r\ncontent-length:0", len(head)
        if at < 0:
            self._fail(Broken("a reply without a content-length"))
            return
        length = int(head[at + 17 :].split(b"\r\n", 1)[0])
        if len(rest) < length:
            return
        self._buffer, self.head = rest[length:], head
        waiting, self._waiting = self._waiting, None
        if not waiting.done():
            waiting.set_result((int(head[9:12]), rest[:length]))

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._fail(Broken("the server closed the connection"))

    def _fail(self, fault: Exception) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(fault)

    def _give_up(self) -> None:
        self._fail(TimeoutError())
        # A reply that comes all the same must not be taken for that of the next request.
        if self.transport is not None:
            self.transport.close()

    async def send(self, data: bytes, limit: float) -> tuple[int, bytes]:
        """Send a request and wait for its reply, at most so many seconds."""
        # A timer alone: what is done for every request is taken from the processors that are measured.
        loop = asyncio.get_running_loop()
        waiting = self._waiting = loop.create_future()
        timer = loop.call_later(limit, self._give_up)
        try:
            self.transport.write(data)
            return await waiting
        finally:
            timer.cancel()


class Connection:
    """One socket to the server on a port; it opens again when the server closed it in between."""

    def __init__(self, port: int, bearer: str = "") -> None:
        self._port = port
        self._wire: _Wire | None = None
        self._bearer = bearer

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str = "",
        token: str = "",
        tag: str = "",
        limit: float = 30.0,
    ) -> tuple[int, bytes, float]:
        """Status, body and seconds of one request, under the token given or else the connection's own."""
        payload = b"" if body is None else msgspec.json.encode(body)
        head = f"{method} {path} HTTP/1.1\r\nhost: {HOST}\r\n"
        if bearer := token or self._bearer:
            head += f"authorization: Bearer {bearer}\r\n"
        if key:
            head += f"idempotency-key: {key}\r\n"
        if tag:
            head += f"if-none-match: {tag}\r\n"
        if body is not None:
            head += f"content-type: application/json\r\ncontent-length: {len(payload)}\r\n"
        data, started = head.encode() + b"\r\n" + payload, time.perf_counter()
        if self._wire is not None and self._wire.transport is not None:
            try:
                status, reply = await self._wire.send(data, limit)
                return status, reply, time.perf_counter() - started
            except Broken:
                # Closed at the moment when it was used again after a long time: browsers send again on a
                # new one, and so does this, where a key says that it is the same request.
                if self._wire.transport is not None or not key:
                    raise
        _, self._wire = await asyncio.get_running_loop().create_connection(_Wire, HOST, self._port)
        status, reply = await self._wire.send(data, limit)
        return status, reply, time.perf_counter() - started

    def etag(self) -> str:
        """The tag of the last reply."""
        assert self._wire is not None
        lines = (line.partition(b":") for line in self._wire.head.split(b"\r\n"))
        return next(value.strip().decode() for name, _, value in lines if name.lower() == b"etag")

    def close(self) -> None:
        if self._wire is not None and self._wire.transport is not None:
            self._wire.transport.close()
