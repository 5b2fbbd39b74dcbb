"""What a learner reads of a supervised confirmation: before it, after it, and beside what it confirms."""

from __future__ import annotations

from datetime import tzinfo

from assess.delivery.pages.language import Language
from assess.delivery.pages.start_page import items_words
from assess.delivery.pages.wording import Told
from assess.delivery.schemas import Confirmation
from assess.session import CONSISTENT, INCONSISTENT, Release


def rules(release: Release, language: Language) -> list[str]:
    """What a confirmation is, and what may come of it; read before it begins."""
    _, policy = language.gettext, release.form.confirms
    assert policy is not None
    share = {"share": language.percent(policy.alpha)}
    return [
        _("This short check under supervision shows that your earlier result is your own."),
        _("All its items are new to you. It ends as soon as it can tell. Number of items: %(n)s.")
        % {"n": items_words(release, language)},
        _("It uses no try, and nobody can fail it."),
        _(
            "If it does not fit your earlier result, people look at it before anything is changed. By chance "
            "alone that happens to at most %(share)s of those whose result is their own."
        )
        % share,
    ]


def seen_by(language: Language) -> list[str]:
    """Who gets to know what comes of a confirmation."""
    _ = language.gettext
    return [
        _(
            "You see at once what came of it. It stands beside your result, for the organisation that gave "
            "you the link and for badge systems that it has connected. Nothing is published."
        )
    ]


def tell_confirmation(found: Confirmation, language: Language, zone: tzinfo) -> Told:
    """What came of a confirmation, on the page of its own session."""
    _ = language.gettext
    if found.outcome == CONSISTENT:
        lead = _("What you answered under supervision fits your earlier result.")
        return Told("met", _("Your result is confirmed"), lead, "", "", (_("There is nothing more to do."),))
    if found.outcome == INCONSISTENT:
        lead = _(
            "What you answered under supervision does not fit your earlier result. That can have many "
            "reasons, and nobody fails by it."
        )
        steps = (
            _("Your earlier result stands until people have looked at it."),
            *_due(found, language, zone),
        )
        return Told("open", _("People will look at it"), lead, "", "", steps)
    lead = _("There was too little to go by. Your earlier result stands as it is.")
    return Told("open", _("This check could not tell"), lead, "", "", (_("There is nothing more to do."),))


def beside(found: Confirmation, language: Language, zone: tzinfo) -> str:
    """What stands beside the result that was confirmed."""
    _ = language.gettext
    when = {"when": language.moment(found.confirmed_at, zone)}
    if found.outcome == CONSISTENT:
        return _("A check under supervision on %(when)s confirmed this result.") % when
    if found.outcome != INCONSISTENT:
        return _("A check under supervision on %(when)s could not tell; this result stands.") % when
    state = "open" if found.review is None else found.review.state
    if state == "open":
        words = _(
            "A check under supervision on %(when)s did not fit this result. Nobody fails by that: people "
            "look at it, and until they have, the result stands."
        )
        return " ".join([words % when, *_due(found, language, zone)])
    if state == "upheld":
        return (
            _(
                "A check under supervision on %(when)s did not fit this result, and people have looked at "
                "it. Nobody has failed; the course can be taken again."
            )
            % when
        )
    return (
        _(
            "A check under supervision on %(when)s did not fit this result. People have looked at it, and "
            "the result stands."
        )
        % when
    )


def _due(found: Confirmation, language: Language, zone: tzinfo) -> tuple[str, ...]:
    """By when people answer."""
    if found.review is None:
        return ()
    due = {"due": language.moment(found.review.due_at, zone)}
    return (language.gettext("You get an answer by %(due)s.") % due,)
