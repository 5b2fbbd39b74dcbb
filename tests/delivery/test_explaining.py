"""One decision in words: what it rests on, what each item brought, and what became of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import assess
from assess.delivery.explaining import Explained, explain
from assess.errors import NotFound
from tests.delivery.conftest import open_world
from tests.delivery.service.test_rescoring import carried_out, corrected, sit
from tests.delivery.world import Clock, World, settings


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A session that was decided, and decided again under a corrected key."""
    for world in open_world(settings(tmp_path_factory.mktemp("explained")), Clock()):
        sit(world, "lrn_1", "bbbbbb-" + "aaaaa")
        world.clock.advance(minutes=1)
        carried_out(world, world.activate(corrected()))
        yield world


def explained(world: World) -> dict[str, Explained]:
    with assess.connect(world.services.settings) as database:
        rows = list(database.all_decisions())
        return {"new" if row.supersedes else "old": explain(database, row.id) for row in rows}


def test_a_decision_says_what_it_rests_on_and_that_it_comes_out_again(world: World) -> None:
    old, new = (explained(world)[which] for which in ("old", "new"))
    for found in (old, new):
        told = "\n".join(found.lines)
        assert found.word == "same"
        assert "computed again from the stored answers, it comes out the same, byte by byte" in told
        assert "Items right by objective" in told
    assert "superseded it" in "\n".join(old.lines)
    assert "(rescore)" in "\n".join(new.lines)


def test_each_item_is_shown_as_the_release_of_the_decision_grades_it(world: World) -> None:
    """The first item was keyed wrongly: the same answer earned then what it does not earn by the new key."""
    old, new = ({e.position: e for e in explained(world)[which].items} for which in ("old", "new"))
    assert old.keys() == new.keys()
    changed = [position for position in old if old[position].category != new[position].category]
    assert {old[position].item for position in changed} == {"x-001.v1"}
    assert {new[position].item for position in changed} == {"x-001.v2"}
    blank = [e for e in old.values() if e.category is None]
    assert len(blank) == 1
    assert all(e.category is None or 0 <= e.category <= e.most for e in old.values())


def test_what_was_altered_is_said_first_and_an_unknown_decision_is_refused(world: World) -> None:
    path = Path(world.services.settings.database_url.removeprefix("sqlite:///"))
    with assess.connect(world.services.settings) as database:
        known = next(iter(database.all_decisions())).id
        with pytest.raises(NotFound, match="no decision 'dec_nothing'"):
            explain(database, "dec_nothing")
    with closing(sqlite3.connect(path)) as connection, connection:
        stored = connection.execute("SELECT record FROM decisions WHERE id = ?", (known,)).fetchone()[0]
        altered = stored.replace("passed", "passes", 1)
        connection.execute("UPDATE decisions SET record = ? WHERE id = ?", (altered, known))
    with assess.connect(world.services.settings) as database:
        found = explain(database, known)
    assert found.word == "differs"
    assert "does NOT come out the same: the stored record does not have its hash" in found.lines[-1]
