"""No byte that a learner's client receives holds a key, a parameter, a later item, or a rationale."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests import synthetic
from tests.delivery.world import MARK, World, every_interaction

# A number that occurs nowhere else, in place of every secret number of the release.
SECRET_NUMBER = 0.7319375
SECRET_TEXT = "ZANZIBAR-SECRET"


def poisoned(kind: str, **options: Any) -> dict[str, Any]:
    """A release whose keys, parameters, cut and rationales can be told from everything else."""
    document = synthetic.document(kind=kind, **options)
    for reference, item in document["items"].items():
        text = item["texts"]["en"]
        text["stem"] = f"STEM-OF-{reference}-END"
        text["rationales"] = dict.fromkeys(text["rationales"], f"{MARK} {SECRET_TEXT}")
        item["judged"] = {"just_proficient": SECRET_NUMBER, "reason": SECRET_TEXT}
        item["notes"] = {"author": SECRET_TEXT}
    for record in document["parameter_set"]["items"]:
        for name, value in record.items():
            if isinstance(value, float):
                record[name] = value + SECRET_NUMBER * 1e-3 if name.startswith("b") else SECRET_NUMBER
    document["cut"]["ratings"] = dict.fromkeys(document["cut"]["ratings"], SECRET_NUMBER)
    document["cut"]["theta"] = SECRET_NUMBER / 10
    document["form"]["id"] = f"leak-{kind}"
    return document


def secret_numbers(document: dict[str, Any]) -> set[str]:
    """Every parameter, the cut and its ratings, as their digits would stand in any text."""
    values = [v for record in document["parameter_set"]["items"] for v in record.values()]
    values += [document["cut"]["theta"], *document["cut"]["ratings"].values()]
    # Shorter numbers than these stand in clocks and counts as well.
    return {repr(abs(v))[:8] for v in values if isinstance(v, float) and len(repr(abs(v))) > 6}


def secrets_in(text: str, more: set[str]) -> set[str]:
    """What of a release stands in the text: its words as words, its marks and the digits in `more` anywhere.

    A random id is made of small letters and digits and spells "seed" once in some tens of thousands, so a
    short word counts where no letter or digit touches it, as in every name of a field.
    """
    words = set(re.findall(r"(?<![^\W_])(?:judged|proficient|slopes?|thetas?|seeds?)(?![^\W_])", text))
    return words | {secret for secret in (MARK, SECRET_TEXT, *more) if secret in text}


@pytest.mark.parametrize(
    "said", ['{"seed": 1}', "start_seed=4", "theta: 0.3", "the slopes", "just_proficient"]
)
def test_a_secret_word_is_found_in_a_name_and_not_in_a_random_id(said: str) -> None:
    assert secrets_in(said, set())
    assert not secrets_in("req_nqt23hlnseeduazx4fck ses_thetaq7slopea", set())


class Eavesdropper:
    """Everything that came over the wire, with what a learner may have seen at that moment."""

    def __init__(self, world: World, token: str, documents: dict[str, Any]) -> None:
        self.world, self.token, self.documents = world, token, documents
        self.offered: set[str] = set()
        self.numbers = secret_numbers(documents)
        self.bytes = 0

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.world.call(method, path, body, key=self.token)
        text = answer.text + json.dumps(dict(answer.headers))
        self.bytes += len(text)
        self.check(text)
        return answer

    def check(self, text: str) -> None:
        found = secrets_in(text, {'"key"', "7319375", "a-2-1", "a-2-2", *self.numbers})
        assert not found, f"{found} in {text[:400]}"
        seen = {reference for reference in self.documents["items"] if f"STEM-OF-{reference}-END" in text}
        now = {reference for reference in seen if reference not in self.offered}
        # One item more may come with each reply: the one that is offered by it.
        assert len(now) <= 1, f"later items: {now}"
        self.offered |= now


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("fixed", {"with_case_set": True}),
        ("adaptive", {"n_items": 15}),
        ("adaptive", {"n_items": 15, "calibrated": True}),
        ("fixed", {"calibrated": True, "n_items": 20}),
        ("multistage", {"calibrated": True, "n_items": 15}),
    ],
)
def test_a_crawl_through_a_whole_session_finds_nothing_secret(
    world: World, kind: str, options: dict[str, Any]
) -> None:
    document = poisoned(kind, **options)
    world.activate(document)
    world.learner()
    begun = world.begin(form=f"leak-{kind}")
    session = begun["session"]
    wire = Eavesdropper(world, begun["token"], document)
    wire.check(json.dumps(begun))
    current = begun["current"]
    while current is not None:
        base = {
            "position": current["position"],
            "item": current["item"]["id"],
            "revision": current["revision"],
        }
        path = f"/v1/sessions/{session}/responses"
        for bad in (
            {"answer": "z"},
            {"answer": ["a"]},
            {"answer": {"a": 1}},
            {"answer": 5},
            {"answer": "b", "item": "x-999"},
            {"answer": "b", "position": 99},
            {"answer": "b", "revision": 9},
            {"answer": "b", "more": 1},
            {},
        ):
            assert wire.ask("POST", path, base | bad).status_code >= 400
        for other in (
            f"/v1/sessions/{session}",
            f"/v1/sessions/{session}/result",
            f"/v1/sessions/{session}/items/1",
            f"/v1/sessions/{session}/items/{current['position'] + 1}",
            f"/v1/sessions/{session}/items/x",
            "/v1/sessions/ses_other",
            f"/v1/decisions/{session}",
            "/v1/activations",
            f"/v1/releases/{begun['release']}",
            "/v1/learners/lrn_1/courses/twt-3/status",
        ):
            wire.ask("GET", other)
        stored = wire.ask("POST", path, base | {"answer": "a" if current["position"] % 2 else "b"})
        assert stored.status_code == 200, stored.text
        current = stored.json()["current"]
    wire.ask("POST", f"/v1/sessions/{session}/submit")
    assert wire.ask("GET", f"/v1/sessions/{session}/result").status_code == 200
    wire.ask("GET", f"/v1/sessions/{session}")
    assert wire.bytes > 10_000


def test_what_is_right_is_not_told_by_how_a_reply_looks(world: World) -> None:
    """A right and a wrong answer get replies of the same fields and, on a fixed form, of the same words."""
    replies = []
    for who, answer in (("lrn_1", "a"), ("lrn_2", "b")):
        world.learner(who)
        begun = world.begin(who)
        stored = world.respond(begun["session"], begun["current"], answer).json()
        del stored["receipt"]
        replies.append(stored)
    assert replies[0] == replies[1]


def test_malformed_answers_to_every_interaction_name_options_only(world: World) -> None:
    document = every_interaction()
    world.activate(document)
    world.learner()
    begun = world.begin(form="x-every")
    current = begun["current"]
    good = ["b", ["a"], ["a", "b", "c"], {"a": "x", "b": "x", "c": "x"}, "1", "nothing"]
    for answer in good:
        for bad in ("", "zzz", ["zzz"], {"zzz": "q"}, ["a", "a"], {"a": "zzz"}):
            reply = world.respond(begun["session"], current, bad, key=begun["token"])
            if reply.status_code == 200:
                break  # any text is an answer to a short text
            assert MARK not in reply.text
            assert "Creative Commons" not in reply.text
            assert "3.5" not in reply.text.replace("such as '3.5'", "")
        else:
            reply = world.respond(begun["session"], current, answer, key=begun["token"])
        current = reply.json()["current"]
    assert current is None
