"""Open Badges: an eligibility as an AchievementCredential (3.0) and as a hosted Assertion (2.0).

Documents as plain mappings; who signs them, and where they are served, is not
known here. Version 3.0 is a Verifiable Credential: as a JWT its members stand
beside the registered claims. Its place in a status list is one bit of a
compressed string of them.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

CREDENTIALS = "https://www.w3.org/ns/credentials/v2"
OPEN_BADGES_3 = "https://purl.imsglobal.org/spec/ob/v3p0/context-3.0.3.json"
OPEN_BADGES_2 = "https://w3id.org/openbadges/v2"
SCHEMA_3 = "https://purl.imsglobal.org/spec/ob/v3p0/schema/json/ob_v3p0_achievementcredential_schema.json"
PLACES = 131_072
"""Bits of a status list: the least that the specification allows, so that one tells little about one."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who vouches: the installation under its public address."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Aligned:
    """A competency that a badge is aligned to."""

    framework: str
    code: str
    name: str
    url: str


@dataclass(frozen=True, slots=True)
class CourseResult:
    """What a learner reached in one course, as its decision says; numbers are None where none is known.

    Parameters
    ----------
    record_sha256 : str or None
        The hash of the decision's record, by which it can be asked for later.
    """

    course: str
    title: str
    provisional: bool
    value: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    cut: float | None = None
    record_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Badge:
    """A badge as it is described to others."""

    id: str
    name: str
    language: str
    version: str
    description: str
    criteria: str
    criteria_url: str
    image: str
    alignments: Sequence[Aligned] = ()


def place_in_list(url: str, purpose: str, place: int) -> dict[str, str]:
    """The entry that binds a credential to its bit.

    Examples
    --------
    >>> place_in_list("https://a.example/list", "revocation", 7)["statusListIndex"]
    '7'
    """
    return {
        "id": f"{url}#{place}",
        "type": "BitstringStatusListEntry",
        "statusPurpose": purpose,
        "statusListIndex": str(place),
        "statusListCredential": url,
    }


def achievement_credential(
    *,
    id: str,
    issuer: Issuer,
    subject: str,
    badge: Badge,
    results: Sequence[CourseResult],
    issued_at: datetime,
    valid_until: datetime | None,
    status: dict[str, str],
) -> dict[str, Any]:
    """An AchievementCredential of Open Badges 3.0, not yet signed.

    Parameters
    ----------
    id, subject : str
        Addresses of the credential and of the learner; the latter names nobody.
    valid_until : datetime or None
        The last instant at which it holds.
    status : dict
        From `place_in_list`.

    References
    ----------
    1EdTech, *Open Badges Specification*, version 3.0 (2024), sections 8.2 and B.
    """
    descriptions, found = _results(badge, results)
    achievement: dict[str, Any] = {
        "id": badge.id,
        "type": ["Achievement"],
        "achievementType": "Badge",
        "name": badge.name,
        "inLanguage": badge.language,
        "version": badge.version,
        "description": badge.description,
        "criteria": {"id": badge.criteria_url, "narrative": badge.criteria},
        "image": {"id": badge.image, "type": "Image"},
        "alignment": [
            {
                "type": ["Alignment"],
                "targetCode": aligned.code,
                "targetFramework": aligned.framework,
                "targetName": aligned.name,
                "targetUrl": aligned.url,
            }
            for aligned in badge.alignments
        ],
        "resultDescription": descriptions,
    }
    credential: dict[str, Any] = {
        "@context": [CREDENTIALS, OPEN_BADGES_3],
        "id": id,
        "type": ["VerifiableCredential", "OpenBadgeCredential"],
        "name": badge.name,
        "issuer": {"id": issuer.id, "type": ["Profile"], "name": issuer.name, "url": issuer.id},
        "validFrom": _moment(issued_at),
        "awardedDate": _moment(issued_at),
        "credentialSubject": {
            "id": subject,
            "type": ["AchievementSubject"],
            "achievement": {name: value for name, value in achievement.items() if value},
            "result": found,
        },
        "credentialStatus": status,
        "credentialSchema": [{"id": SCHEMA_3, "type": "1EdTechJsonSchemaValidator2019"}],
        "evidence": [{**entry, "type": ["Evidence"]} for entry in _evidence(id, results)],
    }
    if valid_until is not None:
        credential["validUntil"] = _moment(valid_until)
    if not found:
        del credential["credentialSubject"]["result"]
    if not credential["evidence"]:
        del credential["evidence"]
    return credential


def _evidence(id: str, results: Sequence[CourseResult]) -> list[dict[str, Any]]:
    return [
        {
            "id": f"{id}#{result.course}",
            "name": result.title,
            "narrative": f"Decision record with SHA-256 {result.record_sha256}",
        }
        for result in results
        if result.record_sha256
    ]


def _results(
    badge: Badge, results: Sequence[CourseResult]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """For each course its status, and its score where there is one; a description and a result each."""
    descriptions: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for result in results:
        status = f"{badge.id}#{result.course}-status"
        descriptions.append(
            {
                "id": status, "type": ["ResultDescription"], "name": result.title, "resultType": "Status",
                "allowedValue": ["Completed", "Provisional"],
            }
        )  # fmt: skip
        word = "Provisional" if result.provisional else "Completed"
        found.append({"type": ["Result"], "resultDescription": status, "status": word})
        if result.value is None:
            continue
        score = f"{badge.id}#{result.course}-score"
        limits = {
            "valueMin": result.minimum, "valueMax": result.maximum, "requiredValue": result.cut,
        }  # fmt: skip
        descriptions.append(
            {
                "id": score, "type": ["ResultDescription"], "name": result.title,
                "resultType": "ScaledScore",
                **{name: _number(value) for name, value in limits.items() if value is not None},
            }
        )  # fmt: skip
        found.append({"type": ["Result"], "resultDescription": score, "value": _number(result.value)})
    return descriptions, found


def registered_claims(credential: dict[str, Any]) -> dict[str, Any]:
    """The payload of a VC-JWT: the credential itself, beside the claims that every JWT reader knows.

    Examples
    --------
    >>> issued = {"id": "urn:x", "issuer": "urn:i", "validFrom": "2026-11-22T12:00:00Z",
    ...           "credentialSubject": {}}
    >>> sorted(set(registered_claims(issued)) - set(issued))
    ['iss', 'jti', 'nbf']
    """
    issuer = credential["issuer"]
    claims = {
        "iss": issuer if isinstance(issuer, str) else issuer["id"],
        "jti": credential["id"],
        "nbf": _seconds(credential["validFrom"]),
    }
    subject = credential["credentialSubject"].get("id")
    if subject is not None and "achievement" in credential["credentialSubject"]:
        claims["sub"] = subject
    if "validUntil" in credential:
        claims["exp"] = _seconds(credential["validUntil"])
    return {**credential, **claims}


def status_list(
    *, url: str, issuer: Issuer, purpose: str, places: Iterable[int], now: datetime, valid_until: datetime
) -> dict[str, Any]:
    """A BitstringStatusListCredential, not yet signed, in which these places are set.

    Raises
    ------
    ValueError
        A place lies outside the list.

    References
    ----------
    W3C, *Bitstring Status List v1.0* (2025), sections 2.2 and 4.
    """
    bits = bytearray(PLACES // 8)
    for place in places:
        if not 0 <= place < PLACES:
            raise ValueError(f"place {place} lies outside 0 to {PLACES - 1}")
        bits[place // 8] |= 0x80 >> (place % 8)
    encoded = base64.urlsafe_b64encode(gzip.compress(bytes(bits), mtime=0)).decode().rstrip("=")
    return {
        "@context": [CREDENTIALS],
        "id": url,
        "type": ["VerifiableCredential", "BitstringStatusListCredential"],
        "issuer": issuer.id,
        "validFrom": _moment(now),
        "validUntil": _moment(valid_until),
        "credentialSubject": {
            "id": f"{url}#list",
            "type": "BitstringStatusList",
            "statusPurpose": purpose,
            # Multibase: u is base64url without padding.
            "encodedList": f"u{encoded}",
        },
    }


# --- Open Badges 2.0 -------------------------------------------------------------------


def assertion(
    *,
    id: str,
    badge_url: str,
    recipient: str,
    salt: str,
    issued_at: datetime,
    valid_until: datetime | None,
    evidence: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """A hosted Assertion of Open Badges 2.0, as Badgr and others import it.

    Parameters
    ----------
    evidence : sequence of dict
        As the credential of version 3.0 has it; both versions write it alike.

    Examples
    --------
    >>> given = dict(id="urn:a", badge_url="urn:b", recipient="urn:l", salt="s", valid_until=None)
    >>> made = assertion(issued_at=datetime(2026, 11, 22, tzinfo=UTC), evidence=[], **given)
    >>> made["verification"], made["recipient"]["type"]
    ({'type': 'hosted'}, 'url')

    References
    ----------
    IMS Global, *Open Badges v2.0* (2018), section Assertion.
    """
    made: dict[str, Any] = {
        "@context": OPEN_BADGES_2,
        "id": id,
        "type": "Assertion",
        "recipient": {
            "type": "url",
            "hashed": True,
            "salt": salt,
            "identity": "sha256$" + hashlib.sha256(f"{recipient}{salt}".encode()).hexdigest(),
        },
        "badge": badge_url,
        "issuedOn": _moment(issued_at),
        "verification": {"type": "hosted"},
    }
    if valid_until is not None:
        made["expires"] = _moment(valid_until)
    return made | ({"evidence": [*evidence]} if evidence else {})


def badge_class(badge: Badge, *, url: str, issuer_url: str) -> dict[str, Any]:
    """A BadgeClass of Open Badges 2.0."""
    return {
        "@context": OPEN_BADGES_2,
        "id": url,
        "type": "BadgeClass",
        "name": badge.name,
        "description": badge.description,
        "image": badge.image,
        "criteria": {"id": badge.criteria_url, "narrative": badge.criteria},
        "issuer": issuer_url,
        "alignment": [
            {
                "targetName": aligned.name,
                "targetUrl": aligned.url,
                "targetFramework": aligned.framework,
                "targetCode": aligned.code,
            }
            for aligned in badge.alignments
        ],
    }


def issuer_profile(issuer: Issuer, *, url: str) -> dict[str, Any]:
    """An Issuer of Open Badges 2.0."""
    return {
        "@context": OPEN_BADGES_2, "id": url, "type": "Issuer", "name": issuer.name, "url": issuer.id,
    }  # fmt: skip


def _moment(instant: datetime) -> str:
    return instant.astimezone(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")


def _seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def _number(value: float) -> str:
    return f"{value:g}"
