"""Writing in a process of its own, so that it takes no turn of the event loop's.

Two threads of Python take turns: while one packs rows and waits for its turn
after every statement, nobody is answered, and the other way round. The process
here has the one writing connection. A group goes there as one message; what has
come by then is written together, and what became of it comes back as one; the loop
sends and receives these itself.

The process ends when its line does: by `close`, or because the process that
began it was killed; at most five seconds later, whatever it waits for. A group
that was on its way then may be stored, and nobody was told so. Should it end
first, those who wait hear that the write may or may not be stored, and the next
group begins another one.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import pickle
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any

import msgspec

from assess.delivery.store.groups import LARGEST_GROUP, Done, Outcome, Writer, refused, written
from assess.delivery.store.late import Late, Maker, late_in
from assess.delivery.store.rows import (
    Committed,
    Idempotency,
    OfferRow,
    ResponseRow,
    Session,
    SessionEvent,
    Update,
    Writes,
)
from assess.errors import OutcomeUnknown

_LENGTH = struct.Struct("!Q")
_ANSWER = struct.Struct("!IQ")
# What surely fits into the line, so that sending it does not wait for the other side.
_AT_ONCE = 65_536
_IDLE_MILLISECONDS = 2
_PATIENCE_SECONDS = 30.0
_LINGERING_SECONDS = 5.0


class Apart:
    """A hand that has groups written by a process of its own. One event loop at a time gives to it.

    Parameters
    ----------
    kind, address : str
        ``"sqlite"`` and the path, or ``"postgresql"`` and the address.
    holds : int, optional
        A file that the process keeps open for as long as it lives.
    """

    def __init__(self, kind: str, address: str, *, holds: int | None = None) -> None:
        self._named = f"{kind} {address}".encode()
        self._holds = () if holds is None else (holds,)
        self._begun: tuple[subprocess.Popen[bytes], socket.socket] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        # Of each group that is on its way: its members, how many bytes they took, and who asks.
        self._out: deque[tuple[list[Writes], int, Done]] = deque()
        self._packer = Packer()
        self._sending: threading.Thread | None = None
        self._begin()

    def _begin(self) -> socket.socket:
        line, theirs = socket.socketpair()
        # One kind of loop makes it so by itself, as soon as it watches the line, and another does not.
        line.setblocking(False)
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, str(theirs.fileno())],
                pass_fds=(theirs.fileno(), *self._holds),
                stdin=subprocess.DEVNULL,
            )
        self._begun, self._packer = (process, line), Packer()
        # Not among the arguments: an address may hold a password, and anybody may list arguments.
        _send(line, self._named)
        return line

    def is_free(self) -> bool:
        """Whether another group can be sent after those that are on their way."""
        return self._sending is None or not self._sending.is_alive()

    def give(self, group: list[Writes], loop: asyncio.AbstractEventLoop, done: Done) -> None:
        """Have a group written."""
        line = self._begun[1] if self._begun is not None else self._begin()
        group, message, done = self._packed(group, done)
        before = sum(n_bytes for _, n_bytes, _ in self._out)
        self._out.append((group, len(message), done))
        try:
            if self._loop is not loop:
                self._watch(loop, line)
            if before + len(message) <= _AT_ONCE:
                _send(line, message)
            else:
                self._sending = threading.Thread(target=_send_slowly, args=(line, message), daemon=True)
                self._sending.start()
        except Exception:  # noqa: BLE001 - answers are told in the order of the groups, and it is uncertain now
            if self._begun is not None:
                self._begun[0].kill()
            self.finish()

    def _packed(self, group: list[Writes], done: Done) -> tuple[list[Writes], bytes, Done]:
        """Who is on the way, as a message, and who asks: who can be packed must not suffer for who cannot."""
        try:
            return group, self._packer.packed(group), done
        except Exception:  # noqa: BLE001 - a value that is nested too deeply, or has no other form
            group, done = _without_misfits(group, done)
            return group, self._packer.packed(group), done

    def _watch(self, loop: asyncio.AbstractEventLoop, line: socket.socket) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(line)
        loop.add_reader(line, self._receive)
        self._loop = loop

    def _receive(self) -> None:
        try:
            if self._begun is None:
                raise EOFError
            n_groups, answer = _answered(self._begun[1])
        except (EOFError, OSError):
            self._lose()
            return
        outcomes, texts = _read_answer(answer)
        for _ in range(n_groups):
            group, _, done = self._out.popleft()
            for late in _late_of(group):
                late.text = next(texts)
            done([Committed()] * len(group) if outcomes is None else next(outcomes))

    def _lose(self) -> None:
        """Tell those who wait that the process has ended."""
        self._end(0.0)
        lost, self._out = self._out, deque()
        for group, _, done in lost:
            fault = OutcomeUnknown(
                "the process that writes has ended; this may or may not be stored, so send it again"
            )
            done([fault] * len(group))

    def finish(self) -> None:
        """Wait for what is on its way."""
        while self._out:
            self._receive()

    def close(self, group: list[Writes], done: Done) -> None:
        """Finish what was given, have one more group written, and let the database go."""
        self.finish()
        if group:
            line = self._begun[1] if self._begun is not None else self._begin()
            group, message, done = self._packed(group, done)
            self._out.append((group, 0, done))
            with contextlib.suppress(OSError):
                _send(line, message)
            self.finish()
        self._end(_PATIENCE_SECONDS)

    def _end(self, patience: float) -> None:
        """Be certain that the process is at its end."""
        if self._begun is None:
            return
        (process, line), self._begun = self._begun, None
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(line)
        self._loop = None
        with line, contextlib.suppress(OSError):
            if patience:
                _send(line, b"")
            line.shutdown(socket.SHUT_RDWR)  # who still waits to send is woken
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _without_misfits(group: list[Writes], done: Done) -> tuple[list[Writes], Done]:
    """The members that can be packed, and who hears of all: what cannot be packed is refused at once."""
    misfits: dict[int, Outcome] = {}
    for n, writes in enumerate(group):
        try:
            Packer().packed([writes])  # one of its own, which numbers no makers for the process
        except Exception as fault:  # noqa: BLE001 - whatever it was, those who wait must hear of it
            misfits[n] = refused(fault)

    def tell(outcomes: list[Outcome]) -> bool:
        found = iter(outcomes)
        return done([misfits[n] if n in misfits else next(found) for n in range(len(group))])

    return [writes for n, writes in enumerate(group) if n not in misfits], tell


# --- messages ------------------------------------------------------------------

# What an answer writes goes as plain values, which costs a tenth of pickling it.
_KINDS: tuple[type[Any], ...] = (Session, ResponseRow, Idempotency, OfferRow, SessionEvent)
_NUMBER = {kind: n for n, kind in enumerate(_KINDS)}
_VALUES = tuple(attrgetter(*kind.__slots__) for kind in _KINDS)
_HOT = frozenset(("tenant", "updates", "inserts"))
_COLD = attrgetter(*(f.name for f in fields(Writes) if f.name not in _HOT))
_NOTHING = _COLD(Writes(""))
_PLAIN, _PICKLED = b"a", b"p"
_texts = msgspec.msgpack.Encoder()
_read_texts = msgspec.msgpack.Decoder(list[str])


class Packer:
    """Groups as messages, for one process that writes.

    A late text goes as the number of its maker. The first group of a maker goes pickled, and
    whoever unpacks it numbers its makers as they are numbered here.
    """

    def __init__(self) -> None:
        self._makers: dict[Maker, msgspec.msgpack.Ext] = {}
        self._encoder = msgspec.msgpack.Encoder(enc_hook=self._numbered)

    def packed(self, group: list[Writes]) -> bytes:
        """A group as one message."""
        members = []
        try:
            for writes in group:
                if _COLD(writes) != _NOTHING:
                    raise KeyError
                updates = [(_NUMBER[u.row], u.key, u.values, u.expected) for u in writes.updates]
                rows = []
                for row in writes.inserts:
                    n = _NUMBER[type(row)]
                    rows.append((n, _VALUES[n](row)))
                members.append((writes.tenant, updates, rows))
            return _PLAIN + self._encoder.encode(members)
        except (KeyError, TypeError, ValueError, OverflowError):
            # Rows of another kind, a maker that is new, or a value that has no plain form.
            message = _PICKLED + pickle.dumps(group, pickle.HIGHEST_PROTOCOL)
            for maker in _makers(group):
                self._makers.setdefault(maker, msgspec.msgpack.Ext(len(self._makers), b""))
            return message

    def _numbered(self, value: object) -> msgspec.msgpack.Ext:
        if isinstance(value, Late):
            return self._makers[value.maker]
        raise TypeError(f"{type(value).__name__} has no plain form")


class Unpacker:
    """The groups of messages, in the order in which they were packed."""

    def __init__(self) -> None:
        self._makers: dict[Maker, None] = {}
        self._numbers: list[Maker] = []
        self._decoder = msgspec.msgpack.Decoder(ext_hook=self._late)

    def unpacked(self, message: bytes) -> list[Writes]:
        """The group of a message."""
        if message[:1] == _PICKLED:
            group: list[Writes] = pickle.loads(message[1:])  # noqa: S301 - as in `_read_answer`
            self._makers |= dict.fromkeys(_makers(group))
            self._numbers = [*self._makers]
            return group
        return [
            Writes(
                tenant,
                tuple(Update(_KINDS[n], key, values, expected) for n, key, values, expected in updates),
                inserts=tuple(_KINDS[n](*values) for n, values in rows),
            )
            for tenant, updates, rows in self._decoder.decode(message[1:])
        ]

    def _late(self, number: int, _: memoryview) -> Late:
        return Late(self._numbers[number])


def _late_of(group: Iterable[Writes]) -> Iterator[Late]:
    return (late for _, late in late_in(row for writes in group for row in writes.inserts))


def _makers(group: Iterable[Writes]) -> Iterator[Maker]:
    return (late.maker for late in _late_of(group))


def _answer(groups: Sequence[list[Writes]], outcomes: list[list[Outcome]]) -> bytes:
    """What became of groups that were written together, and the texts that were worked out for them."""
    texts = [late.text for group in groups for late in _late_of(group)]
    if all(outcome == Committed() for found in outcomes for outcome in found):
        answer = _PLAIN + _texts.encode(texts)
    else:
        answer = _PICKLED + pickle.dumps((outcomes, texts), pickle.HIGHEST_PROTOCOL)
    return _ANSWER.pack(len(groups), len(answer)) + answer


def _read_answer(answer: bytes) -> tuple[Iterator[list[Outcome]] | None, Iterator[str]]:
    """What became of groups, nothing where all was stored; and the texts of their rows."""
    if answer[:1] == _PLAIN:
        return None, iter(_read_texts.decode(answer[1:]))
    # From a process that this one began, over a line that nobody else has.
    outcomes, texts = pickle.loads(answer[1:])  # noqa: S301
    return iter(outcomes), iter(texts)


def _send(line: socket.socket, message: bytes) -> None:
    left = memoryview(_LENGTH.pack(len(message)) + message)
    while left:
        try:
            left = left[line.send(left) :]
        except BlockingIOError:
            _wait(line, select.POLLOUT)


def _send_slowly(line: socket.socket, message: bytes) -> None:
    # Where it cannot be sent, the end of the line is seen by who receives.
    with contextlib.suppress(OSError):
        _send(line, message)


def _received(line: socket.socket) -> bytes:
    (n,) = _LENGTH.unpack(_exactly(line, _LENGTH.size))
    return _exactly(line, n)


def _answered(line: socket.socket) -> tuple[int, bytes]:
    """How many groups an answer is for, and what became of them."""
    n_groups, n = _ANSWER.unpack(_exactly(line, _ANSWER.size))
    return n_groups, _exactly(line, n)


def _exactly(line: socket.socket, n: int) -> bytes:
    found = bytearray()
    while len(found) < n:
        try:
            some = line.recv(n - len(found))
        except BlockingIOError:
            _wait(line, select.POLLIN)
            continue
        if not some:
            raise EOFError
        found += some
    return bytes(found)


def _wait(line: socket.socket, event: int) -> None:
    ready = select.poll()
    ready.register(line, event)
    ready.poll()


# --- the process -----------------------------------------------------------------


def _writer(kind: str, address: str) -> Writer:
    if kind == "sqlite":
        from assess.delivery.store.sqlite import SqliteWriter

        return SqliteWriter(address)
    from assess.delivery.store.postgres import PostgresWriter

    return PostgresWriter(address)


def write_all(line: socket.socket) -> None:
    """Write what comes through the line, until it says that it is enough.

    Raises
    ------
    EOFError, OSError
        The line has ended without a word.
    """
    writer = _writer(*_received(line).decode().split(" ", 1))
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)
    more = select.poll()
    more.register(line, select.POLLIN)
    unpacker = Unpacker()
    while groups := _come(line, more, unpacker):
        line.sendall(_answer(groups, written(writer, groups)))
        if not more.poll(_IDLE_MILLISECONDS):
            writer.rest()
    writer.close()


def _come(line: socket.socket, more: select.poll, unpacker: Unpacker) -> list[list[Writes]]:
    """The groups that have come, at least one; none when it is enough."""
    groups: list[list[Writes]] = []
    message = _received(line)
    while message:
        groups.append(unpacker.unpacked(message))
        if sum(map(len, groups)) >= LARGEST_GROUP or not more.poll(0):
            break
        try:
            message = _received(line)
        except EOFError:
            break  # whoever sent is gone; what came is written
    return groups


def _outlive_nobody(line: socket.socket) -> None:
    """End soon after the server, even if the database never answers: others may wait for what is locked."""
    gone = select.poll()
    gone.register(line, 0)  # the end of the line is told unasked
    gone.poll()
    time.sleep(_LINGERING_SECONDS)
    os._exit(1)


def main(arguments: Sequence[str]) -> None:
    """Serve the line whose number is given."""
    for name in (signal.SIGINT, signal.SIGTERM):
        # Meant for the server, which still has answers to store before it ends.
        signal.signal(name, signal.SIG_IGN)
    if hasattr(os, "SCHED_BATCH"):
        # A group that comes must not drive the loop that sent it off its processor.
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    with socket.socket(fileno=int(arguments[0])) as line:
        threading.Thread(target=_outlive_nobody, args=(line,), daemon=True).start()
        try:
            write_all(line)
        except (EOFError, OSError):
            # Whoever began it is gone, and another may wait for the database: nothing is tidied up.
            os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
