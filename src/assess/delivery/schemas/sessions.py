"""A session: beginning, answering, clocks, receipts."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from assess.delivery.schemas.base import Body, Reply
from assess.items import RawAnswer


class BeginSession(Body, frozen=True):
    """`POST /v1/sessions`: a course (its form is chosen for it) or a form by id.

    `code` is an invigilator's; `assurance` is stated by a key that may.
    """

    learner: str
    course: str | None = None
    form: str | None = None
    locale: str | None = None
    code: str | None = None
    assurance: Literal["unsupervised", "supervised", "proctored"] | None = None


class ExtendSession(Body, frozen=True):
    """`POST /v1/sessions/{id}/extend`: supervision as at the begin, where the session began under any."""

    code: str | None = None
    assurance: Literal["unsupervised", "supervised", "proctored"] | None = None


class PostResponse(Body, frozen=True):
    """`POST /v1/sessions/{id}/responses`; `answer` null leaves the item blank.

    `fence` is the one that this client got when it opened the session; with it
    an answer is refused once the session was opened elsewhere.
    """

    position: int
    item: str
    revision: int
    answer: str | list[str] | dict[str, str] | None
    fence: int | None = None


class Choice(Reply, frozen=True):
    """An option or target: a language-free id and its text."""

    id: str
    html: str


class ShownItem(Reply, frozen=True):
    """An item as a learner may see it: no key, no parameter, no rationale.

    `targets` is for matching only: what each option is matched to.
    """

    id: str
    version: int
    type: str
    stem_html: str
    options: list[Choice] | None
    stimulus_html: str | None
    targets: list[Choice] | None
    language: str


class Timer(Reply, frozen=True):
    """One running clock: of the session, the section or the item; `title` names the section."""

    of: Literal["session", "section", "item"]
    seconds_left: int
    seconds: int
    title: str | None = None


class Current(Reply, frozen=True):
    """One offered position.

    `seconds_left` is that of the clock which is over first; `timers` has them
    all, the most urgent first. `revision` is the number to send next. `answer` is what stands there now
    (only when looking back; null on a fresh item), so that a page can show it.
    """

    position: int
    n_items: int | None
    revision: int
    seconds_left: int | None
    item: ShownItem
    answer: RawAnswer | None = None
    timers: list[Timer] = []


class SessionBegun(Reply, frozen=True):
    """Reply to `POST /v1/sessions`; `fence` is this opening's own."""

    session: str
    token: str
    url: str
    form: str
    release: str
    expires_at: datetime
    current: Current | None
    fence: int


class Progress(Reply, frozen=True):
    """How far a session is; `n_items` is null where the length depends on the answers."""

    answered: int
    offered: int
    n_items: int | None


class Accommodations(Reply, frozen=True):
    """What a learner has beyond the form: extra seconds so far, and what was arranged; never why."""

    extra_seconds: int
    time_multiplier: float = 1.0
    untimed: bool = False
    breaks: int = 0
    break_minutes: int = 0
    no_pilot: bool = False


class OnBreak(Reply, frozen=True):
    """A break: the clocks stand, and no item is shown, until it is ended or ends by itself."""

    since: datetime
    ends_at: datetime


class Notice(Reply, frozen=True):
    """What a learner is told of an incident."""

    incident: str
    action: Literal["add_time", "reopen", "void_without_try"]
    seconds: int
    message: str | None
    at: datetime


class SessionView(Reply, frozen=True):
    """`GET /v1/sessions/{id}`; `state` is in_progress, finished or void, `fence` that of the last opening."""

    session: str
    state: Literal["in_progress", "finished", "void"]
    current: Current | None
    progress: Progress
    accommodations: Accommodations
    learner: str
    course: str
    form: str
    review: bool
    language: str
    started_at: datetime
    expires_at: datetime
    seconds_left: int | None
    practice: bool
    sandbox: bool
    timers: list[Timer] = []
    assurance: str = "unsupervised"
    on_break: OnBreak | None = None
    breaks_left: int = 0
    notices: list[Notice] = []
    fence: int = 1


class Receipt(Reply, frozen=True):
    """A signed statement that an answer is stored."""

    session: str
    position: int
    revision: int
    answer_sha256: str
    stored_at: datetime
    key_id: str
    signature: str


class Responded(Reply, frozen=True):
    """Reply to a response; `current` null and not finished means: look back or submit."""

    receipt: Receipt
    current: Current | None
    finished: bool


class Finished(Reply, frozen=True):
    """Reply to `submit`."""

    finished: bool = True


class ReceiptToVerify(Body, frozen=True):
    """A receipt as a client sends it back."""

    session: str
    position: int
    revision: int
    answer_sha256: str
    stored_at: str
    key_id: str
    signature: str


class VerifyReceipt(Body, frozen=True):
    """`POST /v1/receipts/verify`."""

    receipt: ReceiptToVerify


class Verified(Reply, frozen=True):
    """Whether the receipt was signed by this server and nothing in it was changed."""

    valid: bool
