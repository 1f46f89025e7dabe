"""What fsck is told about stored names: nothing of sound ones, each flaw of others."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from registry.db.fsck import StoredVersion
from registry.formats.pypi.examination import examine
from registry.fsck import StoredName

METADATA = b"Metadata-Version: 2.1\nName: Demo\nVersion: 1.0\n"


def version(number: str = "1.0") -> StoredVersion:
    return StoredVersion(
        name="Demo",
        version=number,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        manifest=None,
        abbreviated=None,
        readme=None,
        file_name=f"demo-{number}-py3-none-any.whl",
        requires_python=">=3.8,<4",
        core_metadata=METADATA,
        core_metadata_sha256=hashlib.sha256(METADATA).hexdigest(),
        facts={},
        size=50,
        sha1=None,
        sha256=hashlib.sha256(number.encode()).hexdigest(),
        sha512=None,
    )


def said(*versions: StoredVersion) -> list[str]:
    return list(examine(StoredName("demo", versions, [])))


def test_a_sound_name_is_passed() -> None:
    without = replace(version("3.0"), file_name=None, core_metadata=None, core_metadata_sha256=None)
    assert [] == said(version(), version("2.0+local.1"), without)


@pytest.mark.parametrize(
    ("flaw", "expected"),
    [
        ({"name": "Other"}, "1.0: is a version of 'Other'"),
        ({"version": "one"}, "one: demo-1.0-py3-none-any.whl: Validation failed: Version is invalid"),
        (
            {"core_metadata": b"x"},
            "1.0: demo-1.0-py3-none-any.whl: its core metadata does not have the digest that is announced",
        ),
        (
            {"core_metadata": None},
            "1.0: demo-1.0-py3-none-any.whl: its core metadata does not have the digest that is announced",
        ),
        (
            {"file_name": "../x"},
            (
                "1.0: ../x: Validation failed: File name is invalid "
                "(ASCII letters, digits, inner spaces and ._-+!~@=,() without a leading dot are accepted)"
            ),
        ),
    ],
)
def test_a_flaw_is_told_and_the_rest_is_passed(flaw: dict[str, Any], expected: str) -> None:
    assert [expected] == said(replace(version(), **flaw), version("2.0"))
