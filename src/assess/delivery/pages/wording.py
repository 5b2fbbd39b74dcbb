"""What a result says, in words: pure functions from the numbers to sentences.

Four outcomes, four voices. A pass says how sure we are; "not shown yet" names
no probability, because a small number there reads as a verdict on a person;
"too close to say" says that it is not a fail; an incomplete session says that
nothing was decided. Theta never appears.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo

from assess.delivery.pages.figure import Standing, Words
from assess.delivery.pages.language import Language
from assess.delivery.schemas import Notice
from assess.delivery.store.rows_people import Assignment
from assess.session import PENDING


@dataclass(frozen=True, slots=True)
class Reported:
    """A score on its reporting scale with its 90 % range; `raw` when it counts points."""

    value: float
    low: float
    high: float
    cut: float
    minimum: float
    maximum: float
    raw: bool = False


@dataclass(frozen=True, slots=True)
class Next:
    """What a learner may do after a result; `action` is a word of the HTTP contract."""

    action: str = "none"
    not_before: datetime | None = None
    tries_left: int | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """A result in words.

    `tone` is "met", "open" (undetermined), "not_yet" or "incomplete"; the page
    pairs it with a sign and a word, never with colour alone.
    """

    tone: str
    heading: str
    lead: str
    certainty: str
    provisional: str
    next_steps: tuple[str, ...]


def tell(
    status: str,
    *,
    probability: float | None,
    provisional: bool,
    accepted: bool,
    demo: bool,
    practice: bool,
    after: Next,
    language: Language,
    zone: tzinfo,
) -> Told:
    """A decision as its learner reads it.

    Parameters
    ----------
    status : str
        passed, not_passed, undetermined, incomplete or pending.
    probability : float or None
        Probability of being at or above the cut; None when parameters are judged.
    provisional, accepted : bool
        Whether the decision is provisional, and whether this programme accepts it all the same.
    demo : bool
        Whether it is accepted because nothing here is in earnest.
    practice : bool
        An adaptive form on judged parameters: it never counts for a badge.
    """
    _ = language.gettext
    certainty = ""
    if status == "passed":
        tone, heading = "met", _("You met the standard")
        lead = _("Your answers show what this course asks for.")
        if probability is not None:
            certainty = how_sure(probability, language)
    elif status == "not_passed":
        tone, heading = "not_yet", _("Not shown yet")
        lead = _("Your answers do not show yet what this course asks for. You can learn more and try again.")
    elif status == "undetermined":
        tone, heading = "open", _("Too close to say; this is not a fail")
        lead = _("Your answers put you so close to the standard that deciding either way would be a guess.")
    elif status == PENDING:
        tone, heading = "open", _("Your result is still to come")
        lead = _("Your answers are stored. The result comes when the standard for this course has been set.")
        return Told(tone, heading, lead, "", "", (_("There is nothing that you need to do until then."),))
    else:
        tone, heading = "incomplete", _("Not enough answered to decide")
        lead = _(
            "The assessment ended before there was enough to go by. Nothing was decided for or against you."
        )
    caution = ""
    if practice:
        caution = _(
            "This was practice: its items have not been tried out with enough teachers, so it does not count."
        )
    elif provisional and status in ("passed", "not_passed", "undetermined"):
        caution = _(
            "This result is provisional: the standard rests on the judgement of experts, not yet on data. "
            "That is why no percentage stands here."
        )
        if probability is not None:
            caution = _("This result is provisional: no panel has adopted the standard yet.")
        if accepted:
            caution += " " + (
                _("It is accepted here for demonstration.")
                if demo
                else _("Your programme accepts it all the same.")
            )
    steps = _next_steps(status, after, language, zone)
    if practice:
        steps = (_("You can practise again as often as you like."),)
    return Told(tone, heading, lead, certainty, caution, steps)


def how_sure(probability: float, language: Language) -> str:
    """The probability of a pass, as a word and a percentage."""
    _ = language.gettext
    share = language.percent(probability)
    if probability >= 0.95:
        return _(
            "We are very sure: the probability that you stand at or above the standard is %(share)s."
        ) % {"share": share}
    if probability >= 0.85:
        return _("We are sure: the probability that you stand at or above the standard is %(share)s.") % {
            "share": share
        }
    return _("We are fairly sure: the probability that you stand at or above the standard is %(share)s.") % {
        "share": share
    }


def _next_steps(status: str, after: Next, language: Language, zone: tzinfo) -> tuple[str, ...]:
    _, ngettext = language.gettext, language.ngettext
    steps: list[str] = []
    if status == "passed":
        steps.append(_("This course is done. You need not take it again."))
    elif after.action == "extend":
        steps.append(
            _("You can answer more items. They are added to the ones you answered, and then we decide.")
        )
    elif after.action in ("retake", "start", "wait", "resume"):
        if after.action == "wait" and after.not_before is None:
            return (_("Your last result is not settled yet."),)
        if after.not_before is not None:
            when = {"when": language.moment(after.not_before, zone)}
            steps.append(_("You can take the course assessment again from %(when)s.") % when)
        else:
            steps.append(_("You can take the course assessment again now."))
        if status == "not_passed":
            steps.append(
                _("Before that, look at the objectives above and come back to the ones with few items right.")
            )
        elif status == "undetermined":
            steps.append(_("A new try gives us more to go by."))
    elif after.action == "contact":
        steps.append(_("Please contact your organisation; it can tell you how to go on."))
    if after.tries_left is not None and status != "passed":
        left = ngettext("You have %(n)s try left.", "You have %(n)s tries left.", after.tries_left)
        steps.append(left % {"n": language.number(after.tries_left)})
    return tuple(steps)


def score_words(score: Reported, language: Language) -> Words:
    """The words of the figure; its sentence says the score, its range and the standard."""
    _ = language.gettext
    numbers = {
        "score": language.number(score.value),
        "low": language.number(score.low),
        "high": language.number(score.high),
        "cut": language.number(score.cut),
        "most": language.number(score.maximum),
    }
    if score.raw:
        sentence = _(
            "You have %(score)s of %(most)s points, with a 90%% range from %(low)s to %(high)s. "
            "The standard is %(cut)s."
        )
    else:
        sentence = _(
            "Your score is %(score)s, with a 90%% range from %(low)s to %(high)s. The standard is %(cut)s."
        )
    return Words(
        sentence=sentence % numbers,
        learner=_("You: %(score)s (%(low)s to %(high)s)") % numbers,
        cut=_("Standard: %(cut)s") % numbers,
        minimum=language.number(score.minimum),
        maximum=numbers["most"],
    )


def standing(score: Reported) -> Standing:
    """The numbers of the figure."""
    return Standing(score.value, score.low, score.high, score.cut, score.minimum, score.maximum)


def wait_in_words(hours: int, language: Language) -> str:
    """A waiting time, in days once it is two days or more.

    Examples
    --------
    >>> from assess.delivery.pages.language import language
    >>> wait_in_words(24, language("en")), wait_in_words(14 * 24, language("en"))
    ('24 hours', '14 days')
    """
    ngettext = language.ngettext
    if hours % 24 == 0 and hours >= 48:
        days = hours // 24
        return ngettext("%(n)s day", "%(n)s days", days) % {"n": language.number(days)}
    return ngettext("%(n)s hour", "%(n)s hours", hours) % {"n": language.number(hours)}


def minutes_in_words(minutes: int, language: Language) -> str:
    """A time allowance."""
    return language.ngettext("%(n)s minute", "%(n)s minutes", minutes) % {"n": language.number(minutes)}


def window_words(window: Assignment, now: datetime, language: Language) -> str:
    """From when until when a course may be begun, in the clock of the place that was named."""
    _, zone = language.gettext, ZoneInfo(window.zone)
    ends = {
        "opens": "" if window.opens_at is None else language.moment(window.opens_at, zone),
        "closes": "" if window.closes_at is None else language.moment(window.closes_at, zone),
    }
    if window.closes_at is not None and window.closes_at < now:
        words = _("The time for this course ended on %(closes)s. Please contact your organisation.")
    elif window.opens_at is not None and window.opens_at > now:
        words = _("You can begin from %(opens)s.")
        if window.closes_at is not None:
            words = _("You can begin from %(opens)s until %(closes)s.")
    elif window.closes_at is not None:
        words = _("You can begin until %(closes)s.")
    else:
        return _("You can begin at any time.")
    return words % ends


def seconds_in_words(seconds: int, language: Language) -> str:
    """A time in whole minutes where it is one, or is long; else in seconds.

    Examples
    --------
    >>> from assess.delivery.pages.language import language
    >>> [seconds_in_words(n, language("en")) for n in (45, 90, 600, 3700)]
    ['45 seconds', '90 seconds', '10 minutes', '61 minutes']
    """
    if seconds >= 600 or (seconds >= 60 and seconds % 60 == 0):
        return minutes_in_words(seconds // 60, language)
    return language.ngettext("%(n)s second", "%(n)s seconds", seconds) % {"n": language.number(seconds)}


def notice_words(notice: Notice, language: Language) -> str:
    """What a learner is told of an incident."""
    _ = language.gettext
    time = {"time": seconds_in_words(notice.seconds, language)}
    if notice.action == "reopen":
        words = (
            _("Your assessment was opened again because of a disturbance. You were given %(time)s.") % time
        )
    elif notice.action == "void_without_try":
        words = _(
            "Your last session does not count because of a disturbance. Nothing of it is held against you, "
            "and your try was given back."
        )
    else:
        words = _("Because of a disturbance your time was extended by %(time)s.") % time
    return f"{words} {notice.message}" if notice.message else words


def second_announcements(language: Language, marks: Sequence[int] = (30, 10)) -> dict[str, str]:
    """What a short clock says aloud near its end, by seconds left."""
    return {
        str(mark): language.ngettext("%(n)s second left", "%(n)s seconds left", mark)
        % {"n": language.number(mark)}
        for mark in marks
    }


def announcements(language: Language, marks: Sequence[int] = (15, 10, 5, 2, 1)) -> dict[str, str]:
    """What the clock says aloud, by seconds left."""
    return {
        str(60 * mark): language.ngettext("%(n)s minute left", "%(n)s minutes left", mark)
        % {"n": language.number(mark)}
        for mark in marks
    }


def supervised_words(language: Language) -> str:
    """What opens a session again that began under supervision."""
    return language.gettext(
        "This session began under supervision and goes on only under as much. Enter the code that the "
        "invigilator gives you, or ask your organisation."
    )


def too_many_codes(language: Language) -> str:
    """What to do after too many wrong codes of invigilators."""
    return language.gettext("Too many wrong codes came from here. Ask the invigilator, and wait ten minutes.")
