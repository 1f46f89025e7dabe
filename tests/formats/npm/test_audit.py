"""Audit reports: which versions an advisory is about, and what clients are told."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.db.advisories import PackageAdvisory
from registry.errors import Invalid, TooLarge
from registry.formats.npm import audit

WHEN = datetime(2026, 1, 1, tzinfo=UTC)
VERSIONS = ("0.0.1", "1.0.0-rc.1", "1.0.0", "1.2.3", "1.10.0", "2.0.0-alpha", "2.0.0", "3.0.0")


def an_advisory(*ranges: list[str | None], versions: tuple[str, ...] = (), **fields: Any) -> PackageAdvisory:
    values = {
        "name": "gadget", "id": 1, "osv_id": "GHSA-1", "title": "Trouble", "details": "At length", "severity": "high",
        "cvss_vector": "CVSS:3.1/AV:N", "cvss_score": 7.5, "cwes": ["CWE-1"], "url": "https://advisory.test/",
        "published": WHEN, "modified": WHEN, "ranges": list(ranges), "versions": list(versions), **fields,
    }  # fmt: skip
    return PackageAdvisory(**values)


@pytest.mark.parametrize(
    ("advisory", "affected", "vulnerable"),
    [
        (an_advisory(["0", "1.2.3", None]), ("0.0.1", "1.0.0-rc.1", "1.0.0"), "<1.2.3"),
        (an_advisory(["1.0.0", None, "1.10.0"]), ("1.0.0", "1.2.3", "1.10.0"), ">=1.0.0 <=1.10.0"),
        (an_advisory(["2.0.0", None, None]), ("2.0.0", "3.0.0"), ">=2.0.0"),
        (an_advisory(["0", None, None]), VERSIONS, "*"),
        (an_advisory(["0", "1.0.0", None], ["2.0.0", "3.0.0", None]), ("0.0.1", "1.0.0-rc.1", "2.0.0"),
         "<1.0.0 || >=2.0.0 <3.0.0"),
        (an_advisory(["0", "1.0.0", None], versions=("0.0.1", "3.0.0", "latest")), ("0.0.1", "1.0.0-rc.1", "3.0.0"),
         "<1.0.0 || =3.0.0"),
        (an_advisory(["0", "whenever", None]), (), "<whenever"),
        (an_advisory(), (), ""),
    ],
)  # fmt: skip
def test_versions_are_affected_as_osv_has_it(
    advisory: PackageAdvisory, affected: tuple[str, ...], vulnerable: str
) -> None:
    assert frozenset(affected) == audit.affected(advisory, VERSIONS)
    assert vulnerable == audit.vulnerable_versions(advisory)


@given(st.sampled_from(VERSIONS), st.sampled_from(VERSIONS), st.sampled_from(VERSIONS))
def test_an_interval_ends_before_what_is_fixed_and_with_what_is_affected(low: str, high: str, version: str) -> None:
    place = VERSIONS.index
    inside = place(low) <= place(version)

    assert (inside and place(version) < place(high)) is bool(audit.affected(an_advisory([low, high, None]), [version]))
    assert (inside and place(version) <= place(high)) is bool(audit.affected(an_advisory([low, None, high]), [version]))


def test_what_is_no_version_is_affected_where_it_is_listed() -> None:
    advisory = an_advisory(["0", None, None], versions=("next",))

    assert {"next"} == audit.affected(advisory, ["next", "file:../gadget"])


def test_the_bulk_report_has_what_npm_7_and_later_read() -> None:
    installed = audit.parse_bulk({"gadget": ["1.0.0", "3.0.0", 7], "widget": []})

    assert {
        "gadget": [
            {
                "id": 1,
                "url": "https://advisory.test/",
                "title": "Trouble",
                "severity": "high",
                "vulnerable_versions": "<2.0.0",
                "cwe": ["CWE-1"],
                "cvss": {"score": 7.5, "vectorString": "CVSS:3.1/AV:N"},
            }
        ]
    } == json.loads(audit.bulk(installed, [an_advisory(["0", "2.0.0", None]), an_advisory(["4.0.0", None, None])]))
    assert b"{}" == audit.bulk(installed, [])


def test_the_quick_report_has_what_npm_6_and_pnpm_10_read() -> None:
    below = {"version": "1.0.0"}
    tree = audit.parse_tree({
        "dependencies": {
            "gadget": {"version": "1.2.3", "dependencies": {"gadget": below}},
            "widget": {"version": "1.0.0", "dependencies": {"gadget": below, "odd": "1.0.0"}},
            "linked": {"dependencies": None},
        }
    })  # fmt: skip

    report = json.loads(audit.quick(tree, [an_advisory(["0", "2.0.0", None])]))

    assert {"info": 0, "low": 0, "moderate": 0, "high": 3, "critical": 0} == report["metadata"]["vulnerabilities"]
    assert (4, 4) == (report["metadata"]["dependencies"], report["metadata"]["totalDependencies"])
    one = report["advisories"]["1"]
    assert ("gadget", "<2.0.0", ">=2.0.0", "Upgrade to version 2.0.0 or later", "At length") == tuple(
        one[key] for key in ("module_name", "vulnerable_versions", "patched_versions", "recommendation", "overview")
    )
    assert [("1.0.0", ["gadget>gadget", "widget>gadget"]), ("1.2.3", ["gadget"])] == sorted(
        (found["version"], sorted(found["paths"])) for found in one["findings"]
    )
    (action,) = report["actions"]
    assert ("review", "gadget", 3) == (action["action"], action["module"], len(action["resolves"]))


def test_a_report_without_advisories_counts_nothing() -> None:
    assert {
        "actions": [],
        "advisories": {},
        "muted": [],
        "metadata": {
            "vulnerabilities": {"info": 0, "low": 0, "moderate": 0, "high": 0, "critical": 0},
            "dependencies": 0,
            "devDependencies": 0,
            "optionalDependencies": 0,
            "totalDependencies": 0,
        },
    } == json.loads(audit.quick(audit.parse_tree({}), []))


def test_what_is_no_audit_is_refused() -> None:
    for document in ({"gadget": "1.0.0"}, {"gadget": {"version": "1.0.0"}}):
        with pytest.raises(Invalid):
            audit.parse_bulk(document)
    for tree in ([], "gadget"):
        with pytest.raises(Invalid):
            audit.parse_tree({"dependencies": tree})


def test_an_audit_is_about_so_many_versions() -> None:
    most = {f"p{number}": ["1.0.0"] for number in range(audit.MOST_VERSIONS)}
    assert audit.MOST_VERSIONS == len(audit.parse_bulk(most).installed)
    with pytest.raises(TooLarge):
        audit.parse_bulk({**most, "one-more": []})
    wide = {"dependencies": {name: {"version": "1.0.0"} for name in (*most, "one-more")}}
    with pytest.raises(TooLarge):
        audit.parse_tree(wide)


def test_a_deep_tree_costs_little() -> None:
    tree: dict[str, Any] = {}
    for _ in range(audit.MOST_VERSIONS):
        tree = {"dependencies": {"gadget": {"version": "1.0.0", **tree}}}
    found = audit.parse_tree(tree)

    report = json.loads(audit.quick(found, [an_advisory(["0", None, None])]))

    assert audit.MOST_VERSIONS == report["metadata"]["vulnerabilities"]["high"]
    (finding,) = report["advisories"]["1"]["findings"]
    assert audit.MOST_PATHS == len(finding["paths"])


def test_a_report_has_so_many_paths_and_one_at_least_of_each_advisory() -> None:
    many = audit.MOST_PATHS_IN_ALL // audit.MOST_PATHS
    below = {f"p{number}": {"dependencies": {"gadget": {"version": "1.0.0"}}} for number in range(audit.MOST_PATHS)}
    known = [an_advisory(["0", None, None], id=number) for number in range(many + 2)]

    report = json.loads(audit.quick(audit.parse_tree({"dependencies": below}), known))

    told = [len(action["resolves"]) for action in report["actions"]]
    assert [audit.MOST_PATHS] * many + [1, 1] == told
    assert (many + 2) * audit.MOST_PATHS == report["metadata"]["vulnerabilities"]["high"]


@pytest.mark.parametrize(
    "known",
    [
        [an_advisory(["0", "1.0.0", None])] * (audit.MOST_KNOWN + 1),
        [an_advisory(versions=("1.0.0",) * 10_000)] * 200,
        [an_advisory(*[["0", "1.0.0", None]] * 1_000)] * 2_000,
    ],
)
def test_a_report_is_about_so_many_advisories(known: list[PackageAdvisory]) -> None:
    tree = audit.parse_tree({"dependencies": {"gadget": {"version": "2.0.0"}}})
    for report in (audit.bulk, audit.quick):
        with pytest.raises(TooLarge, match=r"^More than 5000 advisories .* audit fewer"):
            report(tree, known)
