"""OSV: advisories as operators load them, in documents of the OSV schema (ossf.github.io/osv-schema, 1.7)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, cast

from registry.errors import Invalid

Severity = Literal["info", "low", "moderate", "high", "critical"]
# Introduced at, fixed in, last affected: a half-open interval by the second, a closed one by the third, or open-ended.
Interval = tuple[str, str | None, str | None]

MOST_TEXT = 20_000
# Ranges that are made of versions; those of GIT are made of commits.
_RANGES = frozenset({"SEMVER", "ECOSYSTEM"})
_WORDS: Mapping[str, Severity] = {
    "LOW": "low",
    "MODERATE": "moderate",
    "MEDIUM": "moderate",
    "HIGH": "high",
    "CRITICAL": "critical",
}
_PREFERRED = ("ADVISORY", "WEB", "REPORT", "ARTICLE", "FIX", "PACKAGE")


@dataclass(frozen=True, slots=True)
class Affected:
    """A package that an advisory is about: intervals of its versions, and single ones."""

    ecosystem: str
    name: str
    ranges: tuple[Interval, ...]
    versions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Advisory:
    """One OSV document. `withdrawn` ones are no longer meant."""

    id: str
    title: str
    details: str
    severity: Severity
    cvss_vector: str | None
    cvss_score: float
    cwes: tuple[str, ...]
    url: str
    published: datetime
    modified: datetime
    withdrawn: bool
    affected: tuple[Affected, ...]


def parse(document: object) -> Advisory:
    """Read a document. Raises Invalid, naming what is wrong with it."""
    if not isinstance(document, dict):
        raise Invalid("an OSV document is a JSON object")
    osv_id, modified = document.get("id"), document.get("modified")
    if not isinstance(osv_id, str) or not 1 <= len(osv_id) <= 200 or not isinstance(modified, str):
        raise Invalid("an OSV document has an id and says when it was modified")
    changed = _time(modified, "modified")
    vector = _vector(document.get("severity"))
    score = cvss3_score(vector) if vector is not None else 0.0
    return Advisory(
        id=osv_id,
        title=_text(document.get("summary")) or _text(document.get("details")).partition("\n")[0] or osv_id,
        details=_text(document.get("details")),
        severity=_severity(document, osv_id, score),
        cvss_vector=vector,
        cvss_score=score,
        cwes=tuple(one for one in _list(_object(document.get("database_specific")).get("cwe_ids")) if _is_text(one)),
        url=_url(document, osv_id),
        published=_time(document["published"], "published") if document.get("published") else changed,
        modified=changed,
        withdrawn=document.get("withdrawn") is not None,
        affected=_merged(_affected(one) for one in _list(document.get("affected"))),
    )


def cvss3_score(vector: str) -> float:
    """The base score of a CVSS 3.0 or 3.1 vector (first.org, CVSS 3.1, section 7.1); 0.0 for what is none."""
    metrics = dict(part.partition(":")[::2] for part in vector.split("/"))
    changed = metrics.get("S") == "C"
    privileges = {"N": 0.85, "L": 0.68 if changed else 0.62, "H": 0.5 if changed else 0.27}
    try:
        impact_base = 1.0
        for name in "CIA":
            impact_base *= 1 - {"H": 0.56, "L": 0.22, "N": 0.0}[metrics[name]]
        impact_base = 1 - impact_base
        exploitability = (
            8.22
            * {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2}[metrics["AV"]]
            * {"L": 0.77, "H": 0.44}[metrics["AC"]]
            * privileges[metrics["PR"]]
            * {"N": 0.85, "R": 0.62}[metrics["UI"]]
        )
    except KeyError:
        return 0.0
    in_scope = 6.42 * impact_base
    impact = 7.52 * (impact_base - 0.029) - 3.25 * (impact_base - 0.02) ** 15 if changed else in_scope
    if impact <= 0:
        return 0.0
    return _rounded_up(min((1.08 if changed else 1.0) * (impact + exploitability), 10.0))


def _rounded_up(score: float) -> float:
    """To one decimal (CVSS 3.1, appendix A), by integers, so that binary fractions do not matter."""
    whole = round(score * 100_000)
    return whole / 100_000 if whole % 10_000 == 0 else (math.floor(whole / 10_000) + 1) / 10


def _severity(document: Mapping[str, Any], osv_id: str, score: float) -> Severity:
    """As the database says, else by the score; else critical for malware, and high for the rest, to be seen."""
    said = _object(document.get("database_specific")).get("severity")
    word = _WORDS.get(said.upper()) if isinstance(said, str) else None
    if word is not None:
        return word
    if score > 0:
        steps: tuple[tuple[float, Severity], ...] = ((9.0, "critical"), (7.0, "high"), (4.0, "moderate"), (0.0, "low"))
        return next(name for least, name in steps if score >= least)
    return "critical" if osv_id.startswith("MAL-") else "high"


def _vector(severity: object) -> str | None:
    for one in _list(severity):
        if isinstance(one, dict) and one.get("type") == "CVSS_V3" and isinstance(one.get("score"), str):
            return cast("str", one["score"])[:200]
    return None


def _affected(entry: object) -> Affected | None:
    package = _object(_object(entry).get("package"))
    ecosystem, name = package.get("ecosystem"), package.get("name")
    if not isinstance(ecosystem, str) or not isinstance(name, str) or not name:
        return None
    ranges: list[Interval] = []
    for one in _list(_object(entry).get("ranges")):
        if _object(one).get("type") in _RANGES:
            ranges += _intervals(_list(_object(one).get("events")))
    versions = tuple(one for one in _list(_object(entry).get("versions")) if _is_text(one))
    return Affected(ecosystem.partition(":")[0], name, tuple(ranges), versions)


def _intervals(events: Sequence[object]) -> list[Interval]:
    """Events in the order of the document, which is that of versions, as intervals."""
    found: list[Interval] = []
    begun: str | None = None
    for event in events:
        for kind, version in _object(event).items():
            if not _is_text(version):
                raise Invalid("the events of a range hold versions")
            if kind == "introduced":
                begun = version
            elif kind in {"fixed", "last_affected"} and begun is not None:
                found.append((begun, version, None) if kind == "fixed" else (begun, None, version))
                begun = None
    if begun is not None:
        found.append((begun, None, None))
    return found


def _merged(entries: Any) -> tuple[Affected, ...]:
    """One entry for each package: documents may have several."""
    found: dict[tuple[str, str], Affected] = {}
    for one in entries:
        if one is not None:
            old = found.get((one.ecosystem, one.name), Affected(one.ecosystem, one.name, (), ()))
            found[one.ecosystem, one.name] = Affected(
                one.ecosystem, one.name, (*old.ranges, *one.ranges), (*old.versions, *one.versions)
            )
    return tuple(found.values())


def _url(document: Mapping[str, Any], osv_id: str) -> str:
    references = [_object(one) for one in _list(document.get("references"))]
    for kind in _PREFERRED:
        for one in references:
            url = one.get("url")
            if one.get("type") == kind and isinstance(url, str) and url.startswith(("http://", "https://")):
                return url[:2000]
    return f"urn:osv:{osv_id}"


def _time(value: object, field: str) -> datetime:
    try:
        time = datetime.fromisoformat(str(value))
    except ValueError:
        raise Invalid(f"{field} is not a time") from None
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def _text(value: object) -> str:
    text = value[:MOST_TEXT] if isinstance(value, str) else ""
    # Postgres stores no NUL.
    return text.replace("\0", "").strip()


def _is_text(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
