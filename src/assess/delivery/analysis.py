"""The collected data as tables: what a psychometrician reads, and never a way to write.

`assess.connect()` opens the database beside a running server, read-only. What
comes out is pseudonymous: random learner ids, categories, decisions; no
external id, no text that a learner wrote.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import numpy as np
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError

from assess.delivery.settings import Settings
from assess.delivery.store import reading, reading_rescores
from assess.delivery.store.connecting import connect_args
from assess.delivery.store.reading_categories import StoredCategory, course_categories
from assess.delivery.store.reading_languages import session_languages
from assess.delivery.store.rows import DecisionRow
from assess.errors import InvalidResponses, NotFound, StorageUnavailable
from assess.responses import NOT_ADMINISTERED, NOT_REACHED, OMITTED, ResponseMatrix
from assess.session import Release

if TYPE_CHECKING:
    import pandas as pd

P = ParamSpec("P")
T = TypeVar("T")


class Database:
    """Read-only tables of one tenant's collected data; make one with `assess.connect`.

    Parameters
    ----------
    settings : Settings
        Where the database is, and which tenant.
    """

    def __init__(self, settings: Settings) -> None:
        path = settings.sqlite_path
        if path is None:
            url = settings.database_url
            self._engine = create_engine(
                url, isolation_level="REPEATABLE READ", connect_args=connect_args(url)
            )
        elif not path.is_file():
            raise StorageUnavailable(
                f"there is no database at {path}; start the server once, or set ASSESS_DATABASE_URL"
            )
        else:
            self._engine = create_engine(f"sqlite:///file:{path.absolute()}?mode=ro&uri=true")
        self.tenant = settings.tenant
        self._releases: dict[str, Release] = {}

    def __repr__(self) -> str:
        url = self._engine.url.render_as_string(hide_password=True)
        return f"<Database {url}, tenant {self.tenant}, read-only>"

    def close(self) -> None:
        """Let the database go."""
        self._engine.dispose()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, query: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one of `store.reading`'s functions."""
        with self._connection() as connection:
            return query(connection, *args, **kwargs)

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except DBAPIError as fault:
            raise StorageUnavailable(f"the database did not answer ({fault.orig})") from fault

    def release(self, sha256: str) -> Release:
        """A stored release, checked against its hash."""
        if sha256 not in self._releases:
            stored = self.read(reading.release, sha256)
            if stored is None:
                raise NotFound("release", sha256)
            self._releases[sha256] = Release.from_document(json.loads(stored.document), sha256)
        return self._releases[sha256]

    # --- what analyses read ----------------------------------------------------

    def matrix(self, course: str, *, sandbox: bool | None = None) -> ResponseMatrix:
        """Scored units of each learner's first session of a course, with three kinds of missing.

        Columns are units by versioned reference: a case set is one column with
        the sum of its items, an unscored pilot item a column of its own. A
        session that was scored again stands here as it was graded last: under
        the corrected key, in the column of the new version of the item.

        Parameters
        ----------
        course : str
        sandbox : bool, optional
            True for sandbox learners, False for real ones. Never mixed, but
            for a demo tenant, where None takes all; elsewhere None is False.

        Raises
        ------
        InvalidResponses
            Nobody has finished a session of the course.
        """
        by_session = self._first_sessions(course, sandbox)
        counts: dict[str, int] = {}
        persons: list[str] = []
        cells: list[dict[str, int]] = []
        regraded = self.read(reading_rescores.regraded, self.tenant, course)
        for session, offered in by_session.items():
            delivered = self.release(offered[0].release)
            release, found = delivered, _units(delivered, offered)
            if session in regraded:
                record = json.loads(regraded[session])
                release, found = self.release(record["release"]), _pilot(delivered, offered)
                found |= _regraded(record)
            counts |= {unit.reference: unit.n_categories for unit in release.units}
            counts |= {item.reference: item.n_categories for item in delivered.pilot}
            persons.append(offered[0].learner)
            cells.append(found)
        seen = {unit for row in cells for unit, category in row.items() if category != NOT_ADMINISTERED}
        units = [unit for unit in sorted(counts) if unit in seen]
        categories = np.array(
            [[row.get(unit, NOT_ADMINISTERED) for unit in units] for row in cells], dtype=np.int8
        )
        return ResponseMatrix(categories, persons, units, [counts[unit] for unit in units])

    def languages(self, course: str, *, sandbox: bool | None = None) -> pd.Series[str]:
        """The language of each learner's first session, in the order of `matrix`: groups for DIF."""
        import pandas as pd

        spoken = self.read(session_languages, self.tenant, course)
        found = {
            offered[0].learner: spoken[session]
            for session, offered in self._first_sessions(course, sandbox).items()
        }
        return pd.Series(found, name="language", dtype=object).rename_axis("learner")

    def responses(self, course: str, *, sandbox: bool | None = None) -> pd.DataFrame:
        """Persons by units as a calibration scores them: blank is 0, not reached and not given are empty.

        `matrix` keeps the three kinds of missing apart.
        """
        import pandas as pd

        matrix = self.matrix(course, sandbox=sandbox)
        scored = matrix.recode().astype(float)
        scored[scored < 0] = np.nan
        index = pd.Index(matrix.person_ids, name="learner")
        return pd.DataFrame(scored, index=index, columns=list(matrix.item_ids))

    def parameters(self, course: str) -> pd.DataFrame:
        """The parameters in force on a course's active forms: the columns of `ItemParameters.to_frame`.

        Once a form is calibrated, forms on judged parameters are left aside:
        their numbers live on another scale. `attrs` name the parameter sets and
        the scale.
        """
        import pandas as pd

        active = self.read(reading.activations, self.tenant)
        releases = [self.release(found.release) for found in active if found.kind != "programme"]
        releases = [release for release in releases if release.course.id == course]
        if not releases:
            raise NotFound("course", course)
        releases = [release for release in releases if release.calibrated] or releases
        frames = [release.parameters.to_frame() for release in releases]
        table = pd.concat(frames)
        table = table[~table.index.duplicated(keep="last")].sort_index()
        table.attrs = {
            "parameter_set": sorted({release.parameter_set.id for release in releases}),
            "scale": sorted({release.scale.id for release in releases}),
        }
        return table

    def decisions(self, course: str | None = None) -> pd.DataFrame:
        """One row per decision, superseded ones included, with the numbers it rests on."""
        import pandas as pd

        rows = [_decision(row) for row in self.all_decisions() if course in (None, row.course)]
        columns = list(_decision_columns())
        return pd.DataFrame(rows, columns=columns).set_index("decision")

    def all_decisions(self) -> Iterator[DecisionRow]:
        """Every stored decision of the tenant, in the order of the chains."""
        after = ("", 0)
        while True:
            page = self.read(reading.decisions, self.tenant, after=after)
            yield from page
            if not page:
                return
            after = (page[-1].programme, page[-1].chain_seq)

    def population(self, sandbox: bool | None = None) -> str:
        """Whom `matrix` reads, in words."""
        words = {
            (False,): "learners",
            (True,): "sandbox learners",
            (False, True): "learners of the demonstration",
        }
        return words[self._populations(sandbox)]

    def _first_sessions(self, course: str, sandbox: bool | None) -> dict[str, list[StoredCategory]]:
        """What was offered in each learner's first session, by session, in the order of time."""
        rows = self._rows(course, sandbox)
        first: dict[str, str] = {}
        for row in rows:
            first.setdefault(row.learner, row.session)
        by_session: dict[str, list[StoredCategory]] = {}
        for row in rows:
            if first[row.learner] == row.session:
                by_session.setdefault(row.session, []).append(row)
        if not by_session:
            other = "" if sandbox else "; sandbox learners are counted apart (sandbox=True, --sandbox)"
            raise InvalidResponses(f"nobody has finished a session of {course} yet{other}")
        return by_session

    def _populations(self, sandbox: bool | None) -> tuple[bool, ...]:
        if sandbox is not None:
            return (sandbox,)
        tenant = self.read(reading.tenant, self.tenant)
        return (False, True) if tenant is not None and tenant.demo else (False,)

    def _rows(self, course: str, sandbox: bool | None) -> list[StoredCategory]:
        rows = [
            row
            for population in self._populations(sandbox)
            for row in self.read(course_categories, self.tenant, course, sandbox=population)
        ]
        return sorted(rows, key=lambda row: (row.started_at, row.session, row.position))


def opened(url_or_settings: str | Settings | None = None) -> Database:
    """What `assess.connect` opens."""
    if isinstance(url_or_settings, Settings):
        return Database(url_or_settings)
    settings = Settings.from_environment()
    return Database(settings if url_or_settings is None else replace(settings, database_url=url_or_settings))


def _units(release: Release, offered: Iterable[StoredCategory]) -> dict[str, int]:
    """Category of each unit of one session, or why there is none.

    What a fixed form did not get to offer was not reached; what an adaptive
    one did not choose was not administered.
    """
    unoffered = NOT_REACHED if release.form.kind == "fixed" else NOT_ADMINISTERED
    by_item = {row.item: row for row in offered}
    found: dict[str, int] = {}
    for unit in release.units:
        rows = [by_item.get(item.reference) for item in unit.items]
        if all(row is None for row in rows):
            found[unit.reference] = unoffered
        elif any(row is None or (row.category is None and not row.omitted) for row in rows):
            # Time ran out inside the unit: the last item of a session, or a case set that was begun.
            found[unit.reference] = NOT_REACHED
        elif all(row is not None and row.omitted for row in rows):
            found[unit.reference] = OMITTED
        else:
            found[unit.reference] = sum(row.category or 0 for row in rows if row is not None)
    return found | _pilot(release, offered)


def _pilot(release: Release, offered: Iterable[StoredCategory]) -> dict[str, int]:
    """Category of each unscored item that one session offered."""
    pilot = {item.reference for item in release.pilot}
    return {
        row.item: OMITTED if row.omitted else NOT_REACHED if row.category is None else row.category
        for row in offered
        if row.item in pilot
    }


def _regraded(record: Mapping[str, Any]) -> dict[str, int]:
    """Category of each unit of one session from the record of a rescoring, with the same kinds of missing."""
    found: dict[str, int] = {}
    for unit in record["units"]:
        how = {item["how"] for item in unit["items"]}
        if "not_reached" in how:
            found[unit["unit"]] = NOT_REACHED
        else:
            found[unit["unit"]] = unit["category"] if "answered" in how else OMITTED
    return found


def _decision_columns() -> tuple[str, ...]:
    return (
        "decision", "session", "learner", "course", "form", "status", "passed", "provisional", "practice",
        "theta", "se", "method", "raw", "p_at_or_above_cut", "cut_theta", "cut_raw", "scale", "parameter_set",
        "decided_at", "superseded_at", "cause",
    )  # fmt: skip


def _decision(row: DecisionRow) -> dict[str, Any]:
    stored = json.loads(row.record).get("decision", {})

    def number(name: str) -> float:
        return float("nan") if stored.get(name) is None else float(stored[name])

    return {
        "decision": row.id,
        "session": row.session,
        "learner": row.learner,
        "course": row.course,
        "form": row.form,
        "status": row.status,
        "passed": row.passed,
        "provisional": row.provisional,
        "practice": row.practice,
        **{
            name: number(name) for name in ("theta", "se", "raw", "p_at_or_above_cut", "cut_theta", "cut_raw")
        },
        "method": stored.get("method", ""),
        "scale": stored.get("scale_id", ""),
        "parameter_set": stored.get("parameter_set", ""),
        "decided_at": row.decided_at,
        "superseded_at": row.superseded_at,
        "cause": row.cause,
    }
