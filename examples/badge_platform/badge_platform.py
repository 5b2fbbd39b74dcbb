"""A badge platform in one file: it asks whether a badge may be awarded, checks the answer, and awards.

    python badge_platform.py --server http://127.0.0.1:8000 --key ask_test_... \
        --badge TWT --awards awards.json demo-eligible demo-4-of-6

What is checked before an award: the reply speaks of the learner and badge that
were asked about; its status is `eligible`; every decision that was made here
has a record with the hash that the reply names, and that record says passed;
and nothing changed since, by the ETag. Awards stand in a JSON file. Run again,
the program asks with the ETag it kept: 304 means that nothing changed, and an
award whose ground is lost is suspended or withdrawn, as the programme says.

Needs httpx only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

ON_LOSS = {"suspend": "suspended", "withdraw": "withdrawn", "keep": "awarded"}


class Doubt(Exception):
    """The reply cannot be trusted; no award."""


def ask(client: httpx.Client, learner: str, badge: str, etag: str = "") -> tuple[dict[str, Any] | None, str]:
    """The eligibility of a learner and its ETag; None when nothing changed since `etag`."""
    headers = {"If-None-Match": etag} if etag else {}
    response = client.get(f"/v1/learners/{learner}/badges/{badge}", headers=headers)
    if response.status_code == 304:
        return None, etag
    if response.is_error:
        problem = response.json()
        raise Doubt(f"{problem['code']}: {problem['detail']}")
    return response.json(), response.headers["ETag"]


def check_record(client: httpx.Client, evidence: dict[str, Any], learner: str) -> None:
    """The record of a decision has the hash that was named, and says passed of this learner."""
    response = client.get(f"/v1/decisions/{evidence['id']}")
    if response.is_error:
        raise Doubt(f"decision {evidence['id']} cannot be read: {response.json()['code']}")
    found = response.json()
    canonical = json.dumps(found["record"], ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    if hashlib.sha256(canonical.encode()).hexdigest() != evidence["record_sha256"]:
        raise Doubt(f"decision {evidence['id']}: the record does not have the hash that was named")
    if found["superseded_by"] is not None:
        raise Doubt(f"decision {evidence['id']} was superseded by {found['superseded_by']}")
    record = found["record"]
    if record["learner"] != learner or record["decision"]["status"] != "passed":
        raise Doubt(f"decision {evidence['id']} is not a pass of {learner}")


def check(client: httpx.Client, reply: dict[str, Any], learner: str, badge: str, etag: str) -> None:
    """Everything that must hold before a badge is awarded."""
    if reply["subject"]["id"] != learner or reply["badge"]["id"] != badge:
        raise Doubt(f"the reply speaks of {reply['subject']['id']} and {reply['badge']['id']}")
    for evidence in reply["evidence"]:
        # What another source attests has no record here; that source answers for it.
        if evidence.get("record_sha256"):
            check_record(client, evidence, learner)
    again, _ = ask(client, learner, badge, etag)
    if again is not None:
        raise Doubt("the answer changed while it was checked; ask again")


def decide(client: httpx.Client, awards: dict[str, Any], learner: str, badge: str) -> str:
    """Award, suspend or leave; what was done, in words."""
    key = f"{badge}/{learner}"
    award = awards.get(key)
    try:
        reply, etag = ask(client, learner, badge, award["etag"] if award else "")
        if reply is None:
            return f"{award['state']}, nothing changed"
        if reply["status"] == "eligible":
            check(client, reply, learner, badge, etag)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            awards[key] = {
                "state": "awarded",
                "since": award["since"] if award and award["state"] == "awarded" else now,
                "etag": etag,
                "rule_version": reply["badge"]["rule_version"],
                "sandbox": reply["sandbox"],
                "sequence": reply["sequence"],
                "evidence": reply["evidence"],
            }
            return "awarded"
        if award is not None:
            awards[key] = {**award, "state": ON_LOSS[reply["award"]["policy_on_loss"]], "etag": etag}
            return f"{awards[key]['state']}: {reply['sentence']}"
        return f"{reply['status']}: {reply['sentence']}"
    except Doubt as doubt:
        return f"no award: {doubt}"


def main() -> int:
    """Ask for each learner, and keep the awards in a file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", default="http://127.0.0.1:8000")
    parser.add_argument("--key", required=True, help="an API key with the scope read-status")
    parser.add_argument("--badge", default="TWT")
    parser.add_argument("--awards", type=Path, default=Path("awards.json"))
    parser.add_argument("learners", nargs="+")
    given = parser.parse_args()
    awards = json.loads(given.awards.read_text()) if given.awards.exists() else {}
    headers = {"Authorization": f"Bearer {given.key}"}
    try:
        with httpx.Client(base_url=given.server, headers=headers, timeout=10) as client:
            for learner in given.learners:
                print(f"{learner}: {decide(client, awards, learner, given.badge)}")
    except httpx.HTTPError as fault:
        print(f"{given.server} does not answer: {fault}", file=sys.stderr)
        return 1
    given.awards.write_text(json.dumps(awards, indent=2, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
