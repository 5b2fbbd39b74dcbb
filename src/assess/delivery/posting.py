"""Sending one message as Standard Webhooks has it: three headers, a signature, one answer awaited.

The address is looked at anew for every attempt and the connection goes to what
was looked at. No redirect is followed, nothing of the answer is kept but its
status, and no connection, cookie or setting of the environment is shared.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from ssl import SSLContext

import httpx
from standardwebhooks import Webhook as Signer

from assess import __version__
from assess.delivery.addresses import Network, Target, look_at
from assess.errors import InvalidRequest

SECONDS = 15.0
"""How long a receiver may take, from the question where it is to its answer."""
_LONGEST_WAIT = 24 * 3600


def new_secret() -> str:
    """A secret of 256 random bits, as Standard Webhooks writes it."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent: the same id and body at every attempt."""

    id: str
    body: bytes

    def headers(self, keys: Sequence[str], now: datetime) -> dict[str, str]:
        """The headers of an attempt, signed under each of the secrets."""
        text = self.body.decode()
        return {
            "webhook-id": self.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(Signer(key).sign(self.id, now, text) for key in keys),
            "content-type": "application/json",
            "user-agent": f"assess/{__version__}",
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of an attempt: the status of the answer, or why there was none."""

    status: int | None = None
    error: str | None = None
    retry_after: int = 0

    @property
    def accepted(self) -> bool:
        """Whether the receiver has it."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """Whether the receiver wants no more of them."""
        return self.status == 410


class Poster:
    """Sends messages; `allowed` are networks that are not public and allowed all the same."""

    def __init__(self, allowed: Sequence[Network] = (), *, seconds: float = SECONDS) -> None:
        self._allowed = tuple(allowed)
        self._seconds = seconds
        self._trust: SSLContext | None = None

    async def check(self, url: str) -> None:
        """Refuse an address that nothing would be sent to."""
        await look_at(url, self._allowed)

    async def post(self, url: str, message: Message, keys: Sequence[str], now: datetime) -> Answer:
        """One attempt."""
        try:
            async with asyncio.timeout(self._seconds):
                target = await look_at(url, self._allowed)
                return await self._post(target, message.headers(keys, now), message.body)
        except InvalidRequest as fault:
            return Answer(error=str(fault))
        except TimeoutError:
            return Answer(error=f"no answer within {self._seconds:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as fault:
            # An address may carry a secret of the receiver's in its query; the kind of fault is enough.
            return Answer(error=type(fault).__name__)

    async def _post(self, target: Target, headers: dict[str, str], body: bytes) -> Answer:
        if self._trust is None:
            self._trust = await asyncio.to_thread(httpx.create_ssl_context)
        transport = httpx.AsyncHTTPTransport(
            verify=self._trust, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
        )
        async with transport:
            for place, address in enumerate(target.addresses):
                where = httpx.URL(target.parts.geturl()).copy_with(host=str(address))
                request = httpx.Request(
                    "POST",
                    where,
                    headers={**headers, "host": target.parts.netloc},
                    content=body,
                    # The certificate must be the name's, not the address's.
                    extensions={"sni_hostname": target.host, "timeout": {"connect": self._seconds / 2}},
                )
                try:
                    response = await transport.handle_async_request(request)
                except httpx.ConnectError:
                    if place + 1 < len(target.addresses):
                        continue
                    raise
                with suppress(httpx.HTTPError, OSError):
                    await response.aclose()
                return _answer(response)
        raise AssertionError("a name that resolves has an address")


def _answer(response: httpx.Response) -> Answer:
    status = response.status_code
    after = response.headers.get("retry-after", "")
    wait = min(int(after), _LONGEST_WAIT) if after.isascii() and after.isdigit() and len(after) < 9 else 0
    if 200 <= status < 300:
        return Answer(status)
    moved = "; a redirect is not followed" if 300 <= status < 400 else ""
    return Answer(status, f"the receiver answered {status}{moved}", wait)
