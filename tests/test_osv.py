"""OSV documents: read as the schema has them, whatever else they hold."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry import osv
from registry.errors import Invalid
from registry.osv import Advisory, Affected

VECTOR = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
LEAST = {"id": "X-1", "modified": "2026-01-02T03:04:05Z"}

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = ("id", "modified", "published", "withdrawn", "summary", "details", "severity", "affected", "references",
        "database_specific")  # fmt: skip


def about(*ranges: dict[str, Any], **fields: Any) -> Any:
    package = {"ecosystem": "npm", "name": "gadget"}
    return osv.parse({**LEAST, "affected": [{"package": package, "ranges": list(ranges), **fields}]}).affected


def events(*pairs: tuple[str, str], kind: str = "SEMVER") -> dict[str, Any]:
    return {"type": kind, "events": [{name: version} for name, version in pairs]}


def test_a_document_is_read() -> None:
    document = {
        "schema_version": "1.7.0",
        "id": "GHSA-aaaa-bbbb-cccc",
        "published": "2025-12-31T23:00:00-01:00",
        "modified": "2026-01-02T03:04:05.5Z",
        "summary": " Prototype\0 pollution ",
        "details": "At length.",
        "severity": [{"type": "CVSS_V4", "score": "CVSS:4.0/AV:N"}, {"type": "CVSS_V3", "score": VECTOR}],
        "references": [
            {"type": "WEB", "url": "https://web.test/"},
            {"type": "ADVISORY", "url": "javascript:alert(1)"},
            {"type": "ADVISORY", "url": "https://advisory.test/"},
        ],
        "database_specific": {"severity": "MODERATE", "cwe_ids": ["CWE-1321", 7]},
        "affected": [
            {
                "package": {"ecosystem": "npm", "name": "gadget"},
                "ranges": [events(("introduced", "0"), ("fixed", "2"))],
            },
            {"package": {"ecosystem": "npm", "name": "gadget"}, "versions": ["3.0.0"]},
            {"package": {"ecosystem": "Debian:12", "name": "gadget"}},
        ],
    }

    assert osv.parse(document) == Advisory(
        id="GHSA-aaaa-bbbb-cccc",
        title="Prototype pollution",
        details="At length.",
        severity="moderate",
        cvss_vector=VECTOR,
        cvss_score=9.8,
        cwes=("CWE-1321",),
        url="https://advisory.test/",
        published=datetime(2026, 1, 1, tzinfo=UTC),
        modified=datetime(2026, 1, 2, 3, 4, 5, 500_000, tzinfo=UTC),
        withdrawn=False,
        affected=(
            Affected("npm", "gadget", (("0", "2", None),), ("3.0.0",)),
            Affected("Debian", "gadget", (), ()),
        ),
    )


def test_the_least_document_says_little_and_is_seen() -> None:
    found = osv.parse(LEAST)
    malware = osv.parse(
        {**LEAST, "id": "MAL-2026-1", "details": "First line.\nSecond.", "withdrawn": LEAST["modified"]}
    )

    assert ("X-1", "high", 0.0, "urn:osv:X-1", found.modified, False) == (
        found.title,
        found.severity,
        found.cvss_score,
        found.url,
        found.published,
        found.withdrawn,
    )
    assert ("First line.", "critical", True) == (malware.title, malware.severity, malware.withdrawn)


def test_events_make_intervals() -> None:
    ((affected,), (), (listed,)) = (
        about(
            events(
                ("introduced", "0"), ("fixed", "1"), ("introduced", "2"), ("last_affected", "3"), ("introduced", "4")
            ),
            events(("introduced", "5"), kind="ECOSYSTEM"),
            events(("introduced", "0123abc"), kind="GIT"),
        ),
        osv.parse({**LEAST, "affected": [{"package": {"name": "gadget"}}, "what", {}]}).affected,
        about(versions=["1.0.0", 2]),
    )

    assert (("0", "1", None), ("2", None, "3"), ("4", None, None), ("5", None, None)) == affected.ranges
    assert ((), ("1.0.0",)) == (listed.ranges, listed.versions)


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ([], "JSON object"),
        ({"modified": "2026-01-01T00:00:00Z"}, "has an id"),
        ({"id": "", "modified": "2026-01-01T00:00:00Z"}, "has an id"),
        ({"id": "X-1"}, "says when"),
        ({"id": "X-1", "modified": "yesterday"}, "modified is not a time"),
        ({**LEAST, "published": "yesterday"}, "published is not a time"),
    ],
)
def test_what_is_no_document_is_refused(document: object, text: str) -> None:
    with pytest.raises(Invalid, match=text):
        osv.parse(document)
    with pytest.raises(Invalid, match="hold versions"):
        about({"type": "SEMVER", "events": [{"introduced": 1}]})


# The first are of the examples of CVSS 3.1, the rest of its calculator.
@pytest.mark.parametrize(
    ("vector", "score"),
    [
        ("AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 6.1),
        ("AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N", 6.4),
        ("AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:N/A:N", 3.1),
        ("AV:N/AC:L/PR:L/UI:N/S:C/C:H/I:H/A:H", 9.9),
        ("AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H", 7.5),
        ("AV:L/AC:L/PR:H/UI:N/S:U/C:L/I:L/A:L", 4.2),
        ("AV:P/AC:H/PR:H/UI:R/S:C/C:N/I:N/A:N", 0.0),
        ("AV:N/AC:L", 0.0),
        ("", 0.0),
    ],
)
def test_base_scores_are_those_of_the_standard(vector: str, score: float) -> None:
    assert score == osv.cvss3_score(f"CVSS:3.1/{vector}") == osv.cvss3_score(f"CVSS:3.0/{vector}")
    word = (
        "high"
        if score == 0
        else "low"
        if score < 4
        else "moderate"
        if score < 7
        else "high"
        if score < 9
        else "critical"
    )
    assert word == osv.parse({**LEAST, "severity": [{"type": "CVSS_V3", "score": f"CVSS:3.1/{vector}"}]}).severity


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, json_values)), st.booleans())
def test_whatever_a_document_holds_it_is_read_or_refused(document: dict[str, Any], complete: bool) -> None:  # noqa: FBT001
    try:
        found = osv.parse({**document, **LEAST} if complete else document)
    except Invalid:
        return
    assert (True, True) == (found.title != "", "\0" not in found.title + found.details + found.url)
