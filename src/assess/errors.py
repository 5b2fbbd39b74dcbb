"""Every error that `assess` raises on purpose: one root, a short tree.

A message names the item, row or field that is wrong and says what would be
right. These classes know nothing of HTTP; `delivery.app` maps them to a
status and a stable code in one table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


class AssessError(Exception):
    """Root of all errors raised on purpose by this package."""

    def __reduce__(self) -> tuple[object, ...]:
        # As it is, whatever its class asks for when it is made: a refusal may come from another process.
        return _as_it_was, (type(self), self.args), self.__dict__


def _as_it_was(kind: type[AssessError], args: tuple[object, ...]) -> AssessError:
    return kind.__new__(kind, *args)


# --- data and models -------------------------------------------------------


class InvalidResponses(AssessError):
    """A response matrix, file or category that cannot be what was meant."""


class InvalidParameters(AssessError):
    """Item parameters that no model of the library can have."""


class CalibrationError(AssessError):
    """Data that a calibration must refuse (constant item, engine limits)."""


class ScaleMismatch(AssessError):
    """Two numbers that live on different scales were brought together."""


class CutNotFound(AssessError):
    """No theta satisfies the panel's judgement on this item set."""


# --- content ---------------------------------------------------------------


class InvalidContent(AssessError):
    """A content file (item, form, cut, parameters, programme) with a fault.

    `place` says where: a file, and a path inside it.
    """

    def __init__(self, message: str, *, place: str = "") -> None:
        super().__init__(f"{place}: {message}" if place else message)
        self.place = place


class InvalidRule(AssessError):
    """A badge rule that cannot be evaluated; `path` points at the fault."""

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path


class RuleCycle(InvalidRule):
    """Badges that feed each other in a circle."""


class InvalidFact(AssessError):
    """A fact that lacks what its type must carry; `path` names the field."""

    def __init__(self, message: str, *, path: str = "", code: str = "field_invalid") -> None:
        super().__init__(message)
        self.path = path
        self.code = code


class PublishRefused(AssessError):
    """A calibration, form or cut that may not be published."""


class ActivationRefused(AssessError):
    """A form that may not go live, with the reason."""


class RescoreRefused(AssessError):
    """Sessions that cannot be scored again as asked, with the reason."""


class AppealRefused(AssessError):
    """An appeal that cannot be filed, looked at or answered as asked, with the reason."""


# --- a session -------------------------------------------------------------


class SessionRefusal(AssessError):
    """A request that a session must refuse; nothing was stored."""


class AnswerMalformed(SessionRefusal):
    """The raw answer does not have the shape that the item asks for."""


class ItemNotOffered(SessionRefusal):
    """The item was not offered at this position."""


class PositionConflict(SessionRefusal):
    """The position is not one that can be answered now."""


class ItemTimeOver(PositionConflict):
    """The clock of the item, or of its section, closed the position."""


class AnswerConflict(SessionRefusal):
    """Another answer stands under this revision, or revisions are closed."""


class StaleSession(SessionRefusal):
    """The session moved on between reading and writing; read it again."""


class OpenedElsewhere(StaleSession):
    """The session was opened again after the one that writes had opened it."""


class SessionFinished(SessionRefusal):
    """The session has ended and takes no more answers."""


class SessionExpired(SessionRefusal):
    """The time allowance is used up."""


class SessionVoid(SessionRefusal):
    """The session was declared void."""


class BreakRefused(SessionRefusal):
    """No break was granted, or all are used."""


class NotFinished(SessionRefusal):
    """A result was asked for before the session ended."""


class RetakeTooEarly(SessionRefusal):
    """The waiting time of the retake policy has not passed; `not_before` says when it will have."""

    def __init__(self, message: str, *, not_before: datetime | None = None) -> None:
        super().__init__(message)
        self.not_before = not_before


class TriesExhausted(RetakeTooEarly):
    """The retake policy allows no further try in this period."""


class AlreadyPassed(SessionRefusal):
    """The course is passed; it is not taken again except for renewal."""


class NotConfirmable(SessionRefusal):
    """There is no pass that a confirmation could confirm, or no unseen items to do it with."""


class WindowClosed(SessionRefusal):
    """The course may be begun at another time; `not_before` says when, if that time is still to come."""

    def __init__(self, message: str, *, not_before: datetime | None = None) -> None:
        super().__init__(message)
        self.not_before = not_before


class FormNotActive(SessionRefusal):
    """The course has no form that is live."""


# --- shell -----------------------------------------------------------------


class InvalidRequest(AssessError):
    """A request whose parts do not fit together or cannot be read; `path` names the field."""

    def __init__(self, message: str, *, path: str = "", code: str = "field_invalid") -> None:
        super().__init__(message)
        self.path = path
        self.code = code


class NotFound(AssessError):
    """Something that does not exist, or belongs to somebody else.

    `kind` is one of learner, course, badge, form, session, decision, webhook.
    """

    def __init__(self, kind: str, key: str) -> None:
        super().__init__(f"no {kind} {key!r}")
        self.kind = kind
        self.key = key


class LearnerErased(AssessError):
    """The learner was erased: nothing is begun, merged or opened for them any more."""


class Forbidden(AssessError):
    """The caller is known but may not do this; `code` says which rule."""

    def __init__(self, message: str, *, code: str = "scope_missing") -> None:
        super().__init__(message)
        self.code = code


class Unauthenticated(AssessError):
    """Nobody, or nobody we know; `code` says whether missing, invalid, expired."""

    def __init__(self, message: str, *, code: str = "credentials_invalid") -> None:
        super().__init__(message)
        self.code = code


class LessSupervised(Forbidden):
    """A session would go on under less supervision than it began under."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="role_not_allowed")


class RateLimited(AssessError):
    """Too many requests of a kind; `retry_after` says in how many seconds one may come again."""

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class IdempotencyConflict(AssessError):
    """One idempotency key, two different requests."""


class FactConflict(AssessError):
    """The same fact id with another content."""


class NotEligible(AssessError):
    """Something that only an eligible learner can have was asked for one who is not."""


class ClaimInvalid(AssessError):
    """A token of a claim that was not made here, or was altered."""


class ClaimExpired(AssessError):
    """A token of a claim that came too late."""


class ClaimUsed(AssessError):
    """A token of a claim that was redeemed before."""


class StoreLocked(AssessError):
    """Another process writes this SQLite file."""


class ClockApart(AssessError):
    """The time of day and a stored heartbeat are too far apart; a person must say which is right."""


class StorageUnavailable(AssessError):
    """The database did not take the write; nothing was stored."""


class OutcomeUnknown(StorageUnavailable):
    """The writer was lost on the way: it may or may not be stored, and is sent again to be certain."""


class Overloaded(AssessError):
    """Too much is asked at once; nothing was stored."""


class ReplayMismatch(AssessError):
    """A stored decision and its recomputation differ."""


# --- warnings --------------------------------------------------------------


class AssessWarning(UserWarning):
    """Root of the warnings of this package."""


class ConvergenceWarning(AssessWarning):
    """An estimate that did not converge; publishing will refuse it."""


class DataWarning(AssessWarning):
    """Data that were changed or set aside, and how (said, never silent)."""
