"""The same commands on PostgreSQL, where a server may run beside them."""

from __future__ import annotations

import assess as package


def test_the_loop_runs_on_postgresql(assess, banks, monkeypatch, pg_url):
    monkeypatch.setenv("ASSESS_DATABASE_URL", pg_url)
    for name in ("toys", "toy-fixed"):
        done = assess("activate", name, "--reason", "first release")
        assert done.code == 0, done.err
    done = assess("simulate", "toy", "--learners", 8, "--form", "toy-fixed")
    assert done.code == 0, done.err
    done = assess("replay", "--verify-chain")
    assert (done.code, "8 decisions come out the same" in done.out) == (0, True)
    with package.connect() as database:
        assert database.matrix("toy", sandbox=True).n_persons == 8
        assert len(database.decisions("toy")) == 8
        assert "postgresql" in repr(database)
