"""What a learner reads before the clock starts: pure functions from a form to sentences."""

from __future__ import annotations

import math

from assess.delivery.pages.language import Language
from assess.delivery.pages.wording import minutes_in_words, seconds_in_words, wait_in_words
from assess.session import NO_ACCOMMODATION, Accommodation, Release, path_lengths
from assess.standards.records import rounded9


def n_scored_items(release: Release) -> int:
    """Items of a fixed form that count."""
    return sum(len(unit.items) for unit in release.units)


def items_words(release: Release, language: Language) -> str:
    """How many items a learner meets, the unscored ones included: nobody can tell them apart."""
    form, number = release.form, language.number
    if form.kind == "fixed":
        return number(n_scored_items(release) + form.pilot_slots)
    if form.adaptive is None:
        totals = path_lengths(release)
        least, most = min(totals) + form.pilot_slots, max(totals) + form.pilot_slots
    else:
        lengths = sorted(len(unit.items) for unit in release.units)
        least = sum(lengths[: form.adaptive.min_units]) + form.pilot_slots
        most = sum(lengths[-form.adaptive.max_units :]) + form.pilot_slots
    words = language.gettext("%(least)s to %(most)s")
    return number(least) if least == most else words % {"least": number(least), "most": number(most)}


def points_needed(release: Release) -> int:
    """The lowest raw score at or above the judged raw cut, as the raw rule compares them."""
    return math.ceil(rounded9(release.raw_cut))


def is_timed(release: Release) -> bool:
    """Whether any clock runs."""
    form = release.form
    sections = any(section.time_limit_seconds is not None for section in form.sections)
    return form.time_limit_minutes is not None or form.item_time_limit_seconds is not None or sections


def facts(
    release: Release, language: Language, given: Accommodation = NO_ACCOMMODATION
) -> list[tuple[str, str]]:
    """The four numbers that a learner looks for first, with the time as this learner has it."""
    _, form = language.gettext, release.form
    time = _("No limit")
    if form.time_limit_minutes is not None and not given.untimed:
        time = seconds_in_words(given.scaled(60 * form.time_limit_minutes), language)
    elif is_timed(release) and not given.untimed:
        time = _("No limit for the whole")
    back = _("Yes, until you hand in") if form.review == "allowed" else _("No")
    tries = language.ngettext("%(n)s in %(days)s days", "%(n)s in %(days)s days", form.retake.max_tries)
    if form.confirms:
        tries = _("It uses none")
    elif release.practice:
        tries = _("As often as you like")
    number = language.number
    return [
        (_("Items"), items_words(release, language)),
        (_("Time"), time),
        (_("Going back"), back),
        (_("Tries"), tries % {"n": number(form.retake.max_tries), "days": number(form.retake.period_days)}),
    ]


def clock_rules(release: Release, language: Language, given: Accommodation) -> list[str]:
    """Which clocks run, and what they do when they are over."""
    _, form = language.gettext, release.form
    if not is_timed(release):
        return []
    if given.untimed:
        return [_("No clock runs for you; this was arranged with your organisation.")]
    found = []
    if form.time_limit_minutes is not None:
        found.append(
            _(
                "The clock starts when you begin. It runs on the server and does not stop when you "
                "close the page."
            )
        )
    for section in form.sections:
        if section.time_limit_seconds is not None:
            words = _(
                "The section %(title)s has its own clock of %(time)s. When it is over, the next section "
                "begins."
            )
            time = seconds_in_words(given.scaled(section.time_limit_seconds), language)
            found.append(words % {"title": language.pick(section.title)[1], "time": time})
    if form.item_time_limit_seconds is not None:
        words = _(
            "Each item has its own clock of %(time)s. When it is over, what you have entered is stored; with "
            "nothing entered, the item counts as left blank. Then the next item comes."
        )
        found.append(words % {"time": seconds_in_words(given.scaled(form.item_time_limit_seconds), language)})
    if given.time_multiplier > 1.0:
        found.append(_("These times are longer for you, as arranged with your organisation."))
    found.append(_("Time in which our server does not run or makes you wait is given back to you."))
    return found


def arranged(given: Accommodation, language: Language) -> list[str]:
    """What a learner has beyond the form, in sentences."""
    _ = language.gettext
    found = []
    if given.untimed:
        found.append(_("No time limit."))
    elif given.time_multiplier > 1.0:
        times = {"times": language.number(given.time_multiplier)}
        found.append(_("All times are multiplied by %(times)s.") % times)
    if given.breaks:
        words = language.ngettext(
            "%(n)s break of up to %(minutes)s, in which the clock stands still.",
            "%(n)s breaks of up to %(minutes)s each, in which the clock stands still.",
            given.breaks,
        )
        minutes = minutes_in_words(given.break_minutes, language)
        found.append(words % {"n": language.number(given.breaks), "minutes": minutes})
    if given.no_pilot:
        found.append(_("No items that are only being tried out."))
    return found or [_("Nothing was arranged beyond what everybody has.")]


def good_to_know(release: Release, language: Language, given: Accommodation = NO_ACCOMMODATION) -> list[str]:
    """The rules of the sitting."""
    _, form = language.gettext, release.form
    found = clock_rules(release, language, given)
    if given.breaks:
        found += arranged(Accommodation(breaks=given.breaks, break_minutes=given.break_minutes), language)
    found.append(_("Every answer is stored when you save it. If the line drops, go on where you were."))
    if form.review == "allowed":
        found.append(_("You can look back and change answers until you hand in."))
    else:
        found.append(_("Once it is saved, an answer cannot be changed, and you cannot go back."))
    if form.kind != "fixed":
        found.append(_("Which item comes next depends on your answers, so learners get different items."))
    if form.pilot_slots and not given.no_pilot:
        found.append(
            _(
                "Some items are being tried out and do not count. They are not marked, so give each "
                "your best answer."
            )
        )
    else:
        found.append(_("Every item counts."))
    found.append(
        _("An item that you leave blank counts as not right; a wrong answer costs no more than that.")
    )
    return found


def pass_rule(release: Release, language: Language, try_number: int = 1) -> list[str]:
    """The rule of the decision in words, as it is for one try."""
    _, number, form = language.gettext, language.number, release.form
    decision = form.rule_at(try_number)
    if release.practice:
        return [
            _(
                "This form is for practice. Its items have not been tried out with enough teachers, "
                "so its result counts for nothing."
            )
        ]
    if release.holds_results:
        return [
            _(
                "A panel sets the standard after people have taken this form. Until then nobody has a "
                "result, and then everybody gets one by the same standard."
            )
        ]
    found = []
    if form.rule.kind == "raw":
        rule = _("You meet the standard with %(cut)s or more of %(most)s points.")
        found.append(rule % {"cut": number(points_needed(release)), "most": number(release.raw_maximum)})
    else:
        scale = release.scale
        place = {
            "cut": number(scale.report(release.cut.theta)),
            "least": number(scale.minimum),
            "most": number(scale.maximum),
        }
        found.append(
            _("Your answers give a score from %(least)s to %(most)s. The standard is %(cut)s.") % place
        )
        if form.rule.kind == "probability":
            rule = _(
                "You pass when it is at least %(p_pass)s probable that you stand at or above the standard. "
                "If the probability lies between %(p_fail)s and %(p_pass)s, it is too close to say; "
                "that is not a fail."
            )
            shares = {
                "p_pass": language.percent(decision.p_pass),
                "p_fail": language.percent(decision.p_fail),
            }
            found.append(rule % shares)
            if try_number > 1 and decision != form.rule:
                more = _(
                    "This is your try number %(n)s. It asks for more than the first, which asked for %(p)s."
                )
                found.append(more % {"n": number(try_number), "p": language.percent(form.rule.p_pass)})
        else:
            found.append(_("You pass when your score is at or above the standard."))
    if release.provisional:
        found.append(
            _("The standard is provisional: it rests on the judgement of experts, not yet on data.")
            if not release.calibrated
            else _("The standard is provisional: no panel has adopted it yet.")
        )
    return found


def retake_rule(release: Release, language: Language) -> list[str]:
    """When the course may be tried again."""
    _, ngettext, number = language.gettext, language.ngettext, language.number
    policy = release.form.retake
    if release.practice:
        return [_("You can practise again as often as you like.")]
    found = [
        _("You can try again after %(first)s; between later tries lie %(later)s.")
        % {
            "first": wait_in_words(policy.first_wait_hours, language),
            "later": wait_in_words(24 * policy.wait_days, language),
        }
    ]
    if policy.first_wait_hours == 0 and policy.wait_days == 0:
        found = [_("You can try again at once.")]
    limit = ngettext(
        "There is %(n)s try within %(days)s days.",
        "There are at most %(n)s tries within %(days)s days.",
        policy.max_tries,
    )
    found.append(limit % {"n": number(policy.max_tries), "days": number(policy.period_days)})
    if policy.p_pass_by_try:
        shares = ", ".join(language.percent(p) for p in policy.p_pass_by_try)
        more = _(
            "Later tries ask for more, because chance helps whoever tries often. The probability that it "
            "takes to pass, try by try: %(shares)s."
        )
        found.append(more % {"shares": shares})
    found.append(_("A course that you have passed need not be taken again."))
    return found


def seen_by(release: Release, language: Language, *, demo: bool) -> list[str]:
    """Who gets to know the result."""
    _ = language.gettext
    found = [
        _(
            "You see it at once. The organisation that gave you the link sees whether you passed, "
            "your score and the items right by objective."
        )
    ]
    if demo:
        found = [
            _(
                "You see it at once. This is a demonstration: you are a guest without a name, and "
                "nobody is told."
            )
        ]
    if release.holds_results:
        found = [
            _(
                "You see it when the standard has been set. Then the organisation that gave you the link "
                "sees whether you passed, your score and the items right by objective."
            )
        ]
    found.append(
        _(
            "Badge systems that your organisation has connected can ask whether you passed. Nothing "
            "is published."
        )
    )
    if release.security == "open":
        found.append(_("The items of this course are public, with their answers; every decision says so."))
    return found


def turn_words(language: Language) -> str:
    """What somebody is told who comes out of the line."""
    return language.gettext("It is your turn. Your place is kept for a short while: begin now.")


def consent_words(language: Language) -> str:
    """What a learner agrees to."""
    return language.gettext(
        "I have read this page. I agree that my answers are stored to score this assessment and, "
        "without my name, "
        "to improve its items."
    )
