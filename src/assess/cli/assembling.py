"""`assess assemble`: parallel forms of a bank, or panels of modules, by integer programming."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from assess.cli.console import DEFAULT_BANKS, Banks, CommandError, find_bank_folder, out, table
from assess.cli.designing import population_of

if TYPE_CHECKING:
    from assess.items import Form
    from assess.publishing import ItemBank
    from assess.publishing.panels import PanelOptions

N = TypeVar("N", int, float)
_FORMS, _OBJECTIVE = 3, "maximin"


def assemble(
    course: Annotated[str, typer.Argument(help="The course whose bank is drawn on.")],
    like: Annotated[str, typer.Option(help="The form that is the pattern; else the newest fixed one.")] = "",
    forms: Annotated[int, typer.Option(help="How many forms.")] = _FORMS,
    name: Annotated[str, typer.Option(help="Their ids begin with it: NAME-a, NAME-b, ...")] = "",
    objective: Annotated[
        str, typer.Option(help="maximin, target (information as the pattern has it) or accuracy.")
    ] = _OBJECTIVE,
    at: Annotated[
        list[float] | None, typer.Option(help="A theta where information counts; repeatable; else the cut.")
    ] = None,
    overlap: Annotated[int, typer.Option(help="Units that two of the forms, or panels, may share.")] = 0,
    common: Annotated[list[str] | None, typer.Option(help="A unit of every form; repeatable.")] = None,
    avoid: Annotated[list[str] | None, typer.Option(help="A form whose units stay out; repeatable.")] = None,
    stages: Annotated[
        str, typer.Option(help="A multistage form instead, by the modules of each stage: 1-3 or 1-3-3.")
    ] = "",
    panels: Annotated[int, typer.Option(help="With --stages: how many panels.")] = 1,
    items: Annotated[
        str, typer.Option(help="With --stages: items of a module of each stage, as in 10,7,7.")
    ] = "",
    spread: Annotated[
        float, typer.Option(help="With --stages: modules aim from so far below the cut to so far above.")
    ] = 1.0,
    routing: Annotated[
        str, typer.Option(help="With --stages: route by raw (the score so far) or theta (estimated).")
    ] = "raw",
    shares: Annotated[
        list[str] | None,
        typer.Option(
            help="With --stages: for whom the modules of a stage are, as in 0.3,0.4,0.3; repeatable."
        ),
    ] = None,
    population: Annotated[str, typer.Option(help="With --shares: mean and SD of everybody.")] = "0,1",
    target: Annotated[
        list[str] | None,
        typer.Option(help="With --stages: information of a module at a theta, as in 2-1@-1=3.5; repeatable."),
    ] = None,
    exposure: Annotated[
        float, typer.Option(help="With --stages: at most so much of the sessions is to meet a unit.")
    ] = 1.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and stop.")] = False,
    banks: Banks = DEFAULT_BANKS,
) -> None:
    """Assemble forms or panels after a pattern: its blueprint, no enemies together, the best there is."""
    from assess.publishing import load_bank
    from assess.publishing.panels import PanelOptions

    bank = load_bank(find_bank_folder(banks, course))
    pattern = _pattern(bank, like)
    if stages:
        if forms != _FORMS or at or common or objective != _OBJECTIVE:
            raise CommandError(
                "--forms, --objective, --at and --common are of parallel forms; with --stages say --panels, "
                "--spread or --target"
            )
        asked = PanelOptions(
            stages=_numbers(stages.replace("-", ","), int, "stages"),
            items=_numbers(items, int, "items"),
            n_panels=panels,
            spread=spread,
            routing=_routing(routing),
            shares=[_numbers(own, float, "shares") for own in shares or ()],
            population=population_of(population),
            targets=_targets(target or ()),
            max_overlap=overlap,
            max_exposure=exposure,
            avoid=avoid or (),
        )
        made, said = _assemble_panels(bank, pattern, name or f"{course}-multistage", asked)
    else:
        made, said = _assemble_forms(
            bank,
            pattern,
            name or f"{course}-assembled",
            objective,
            {
                "n_forms": forms,
                "points": at or None,
                "max_overlap": overlap,
                "common": common or (),
                "avoid": avoid or (),
            },
        )
    if dry_run:
        out.print("nothing was written (--dry-run)", markup=False)
        return
    from assess.publishing.assembling import write_forms

    for path in write_forms(
        bank, made, f"Assembled by `assess assemble`: {said}, after {pattern.reference}."
    ):
        out.print(f"written: {path}", markup=False)
    out.print("review them, then: assess bank check, assess design, assess bank seal", markup=False)


def _assemble_forms(
    bank: ItemBank, pattern: Form, name: str, objective: str, asked: Mapping[str, Any]
) -> tuple[tuple[Form, ...], str]:
    from assess.irt.assembly import OBJECTIVES
    from assess.publishing.assembling import AssemblyOptions
    from assess.publishing.assembling import assemble as solve

    if objective not in OBJECTIVES:
        raise CommandError(f"objective {objective!r} is not known; say {', '.join(OBJECTIVES)}")
    found, assembled = solve(bank, pattern, name, AssemblyOptions(objective=objective, **asked))
    frame = assembled.to_frame()
    rows = [
        (form.reference, *values) for form, values in zip(found, frame.itertuples(index=False), strict=True)
    ]
    table(f"assembled by {objective} after {pattern.reference}", ["form", *frame.columns], rows)
    return found, objective


def _assemble_panels(
    bank: ItemBank, pattern: Form, name: str, asked: PanelOptions
) -> tuple[tuple[Form, ...], str]:
    from assess.publishing.panels import assemble_panels

    form, assembled = assemble_panels(bank, pattern, name, asked)
    frame = assembled.to_frame().dropna(axis=1, how="all")
    rows = [
        (f"{'abcdefghijklmnopqrstuvwxyz'[panel - 1]}-{module}", *values)
        for (panel, module), *values in frame.itertuples()
    ]
    table(f"{form.reference} after {pattern.reference}", ["module", *frame.columns], rows)
    rules = form.multistage
    assert rules is not None
    routes = [
        (" > ".join(route.after), ", ".join(route.to), ", ".join(f"{t:g}" for t in route.thresholds))
        for panel in rules.panels
        for route in panel.routes
    ]
    table(f"routes by {rules.routing}", ["after", "to", "thresholds"], routes)
    return (form,), f"stages {'-'.join(map(str, asked.stages))}"


def _numbers(text: str, kind: Callable[[str], N], name: str) -> tuple[N, ...]:
    try:
        return tuple(kind(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise CommandError(f"--{name} {text!r}: numbers with commas between them") from None


def _routing(text: str) -> Literal["raw", "theta"]:
    if text == "raw":
        return "raw"
    if text == "theta":
        return "theta"
    raise CommandError(f"routing {text!r} is not known; say raw or theta")


def _targets(given: Sequence[str]) -> dict[str, dict[float, float]]:
    found: dict[str, dict[float, float]] = {}
    for text in given:
        module, _, rest = text.partition("@")
        theta, _, wanted = rest.partition("=")
        try:
            found.setdefault(module.strip(), {})[float(theta)] = float(wanted)
        except ValueError:
            raise CommandError(f"--target {text!r}: say module, theta and information: 2-1@-1=3.5") from None
    return found


def _pattern(bank: ItemBank, like: str) -> Form:
    if like:
        latest = bank.latest_forms()
        if like not in bank.forms and like not in latest:
            raise CommandError(f"{like} is not a form of {bank.course}; its forms: {', '.join(bank.forms)}")
        return bank.forms.get(like) or latest[like]
    fixed = [form for form in bank.latest_forms().values() if form.kind == "fixed"]
    if not fixed:
        raise CommandError(f"{bank.course} has no fixed form that could be the pattern")
    return fixed[-1]
