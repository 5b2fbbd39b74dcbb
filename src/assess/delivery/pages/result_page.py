"""The page of a result: what was decided, how sure that is, and what comes next."""

from __future__ import annotations

import math
from collections.abc import Mapping

from markupsafe import Markup
from starlette.responses import Response

from assess.delivery.pages import confirming_words
from assess.delivery.pages.door import Pass
from assess.delivery.pages.figure import standing_figure
from assess.delivery.pages.language import Language
from assess.delivery.pages.start_page import points_needed
from assess.delivery.pages.views import option_view
from assess.delivery.pages.wording import (
    Next,
    Reported,
    Told,
    minutes_in_words,
    score_words,
    standing,
    tell,
)
from assess.delivery.schemas import ObjectiveResult, Rationale, Result, ResultScore, SessionView
from assess.session import PENDING, Release


def render_result(
    entry: Pass,
    view: SessionView,
    result: Result,
    release: Release,
    *,
    late: bool,
    confirming: Release | None = None,
) -> Response:
    """A result in the reader's language; `confirming` is a form by which it can be confirmed."""
    language, visit = entry.visit.language, entry.visit
    _ = language.gettext
    decision = result.decision
    told = tell(
        decision.status,
        probability=decision.p_at_or_above_cut,
        provisional=decision.provisional,
        accepted=entry.shelf.accepts_provisional(release.course.programme),
        demo=visit.demo,
        practice=decision.practice,
        after=Next(result.next.action, result.next.not_before, result.next.tries_left),
        language=language,
        zone=entry.zone(view.course),
    )
    confirmed, zone = result.confirmation, entry.zone(view.course)
    of_itself = confirmed is not None and confirmed.session == view.session
    if confirmed is not None and of_itself:
        told = confirming_words.tell_confirmation(confirmed, language, zone)
    figure, words = None, None
    if result.score is not None:
        score = _reported(result.score, release)
        words = score_words(score, language)
        if decision.status != "incomplete":
            figure = standing_figure(standing(score), words, rtl=language.direction == "rtl")
    return visit.render(
        "result.html",
        told=told,
        course_title=entry.course_title(view.course),
        figure=figure,
        words=words,
        accuracy=_accuracy(result, language),
        objectives=[
            _objective(o, release.course.objectives.get(o.code, {}), language) for o in result.objectives
        ],
        looking_back=[looked_back(found, language) for found in result.rationales or ()],
        actions=_actions(told, view, language),
        extension=_extension(result, release, entry, view),
        corrected=_corrected(result, entry, view, language),
        confirmed=""
        if confirmed is None or of_itself
        else confirming_words.beside(confirmed, language, zone),
        confirm=None if confirming is None else f"/courses/{view.course}?form={confirming.form.id}",
        reference=decision.id,
        may_appeal=decision.status != PENDING and not decision.practice and not of_itself,
        session=view.session,
        message=_("This assessment had ended before your last answer came; that answer was not counted.")
        if late
        else "",
        finished_words=_finished(view, entry),
    )


def _extension(result: Result, release: Release, entry: Pass, view: SessionView) -> dict[str, object] | None:
    """How this session can go on, in words; None where it cannot."""
    step, policy, rules = result.next, release.form.extension, release.form.adaptive
    if step.action != "extend" or step.session != view.session or step.until is None:
        return None
    if policy is None or rules is None:
        return None
    language = entry.visit.language
    _ = language.gettext
    numbers = {"least": language.number(policy.min_units), "most": language.number(policy.max_units)}
    sentences = [_("There are %(least)s to %(most)s more items. Going on costs no try.") % numbers]
    minutes = release.form.time_limit_minutes
    if minutes is not None:
        allowed = math.ceil(minutes * policy.max_units / rules.max_units)
        time = {"time": minutes_in_words(allowed, language)}
        sentences.append(_("You have %(time)s for them, from when you go on.") % time)
    when = language.moment(step.until, entry.zone(view.course))
    sentences.append(_("You can go on until %(when)s.") % {"when": when})
    return {
        "action": f"/s/{view.session}/extend",
        "sentences": sentences,
        "supervised": view.assurance != "unsupervised",
    }


def _reported(found: ResultScore, release: Release) -> Reported:
    raw = release.form.rule.kind == "raw"
    return Reported(
        value=found.value,
        low=found.low,
        high=found.high,
        cut=points_needed(release) if raw else found.cut,
        minimum=found.min,
        maximum=found.max,
        raw=raw,
    )


def _finished(view: SessionView, entry: Pass) -> str:
    language = entry.visit.language
    return language.gettext("Begun on %(when)s, form %(form)s.") % {
        "when": language.moment(view.started_at, entry.zone(view.course)),
        "form": language.isolated(view.form),
    }


def _corrected(result: Result, entry: Pass, view: SessionView, language: Language) -> str:
    """That this result replaces an earlier one, and why; empty where it is the first."""
    if result.corrected is None:
        return ""
    return language.gettext("This result replaces an earlier one since %(when)s. The reason: %(reason)s") % {
        "when": language.moment(result.corrected.at, entry.zone(view.course)),
        "reason": language.isolated(result.corrected.reason),
    }


def _accuracy(result: Result, language: Language) -> str:
    """How often this assessment is right for anybody; empty where nobody knows."""
    found = result.form_accuracy
    if found is None:
        return ""
    shares = {"right": found.accuracy, "open": found.undetermined or 0.0}
    counts = {name: language.number(round(100 * share)) for name, share in shares.items()}
    return (
        language.gettext(
            "Of 100 people who take this assessment, about %(right)s get the right outcome, "
            "and for %(open)s it is too close to say."
        )
        % counts
    )


def _objective(found: ObjectiveResult, texts: Mapping[str, str], language: Language) -> dict[str, object]:
    words = language.gettext("%(right)s of %(seen)s") % {
        "right": language.number(found.right),
        "seen": language.number(found.seen),
    }
    return {"code": found.code, "text": language.pick(texts or {"en": found.text}), "words": words}


def _actions(told: Told, view: SessionView, language: Language) -> list[tuple[str, str]]:
    _ = language.gettext
    actions = [("/me", _("See my progress")), ("/", _("See the courses"))]
    if told.tone != "met":
        actions.append((f"/courses/{view.course}", _("How this course is assessed")))
    return actions


def looked_back(found: Rationale, language: Language) -> dict[str, object]:
    """An item with the learner's answer and why each option is right or not; the form's policy allows it."""
    _ = language.gettext
    number = {"n": language.number(found.position)}
    chosen = [found.answer] if isinstance(found.answer, str) else list(found.answer or ())
    reasons = {choice.id: option_view(choice.id, choice.html).html for choice in found.rationales}
    views = [option_view(choice.id, choice.html) for choice in found.item.options or ()]
    return {
        "words": (_("Item %(n)s: right") if found.right else _("Item %(n)s: not right")) % number,
        "language": found.item.language,
        "stem": Markup(found.item.stem_html),  # noqa: S704 - sanitised by the renderer
        "lines": [
            {"html": view.html, "chosen": view.id in chosen, "rationale": reasons.get(view.id)}
            for view in views
        ],
    }
