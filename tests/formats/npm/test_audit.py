from __future__ import annotations

import json

from registry.formats.npm import audit


def test_the_bulk_report_without_advisories_is_an_empty_object() -> None:
    assert {} == json.loads(audit.BULK)


def test_the_quick_report_without_advisories_counts_nothing() -> None:
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
    } == json.loads(audit.QUICK)
