"""What fsck is told about stored names: nothing of sound ones, each flaw of others."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from registry.db.fsck import StoredTag, StoredVersion
from registry.formats.npm.examination import examine
from registry.fsck import StoredName

MANIFEST = {"name": "@acme/widget", "version": "1.0.0", "description": "A widget", "dependencies": {"gadget": "^1"}}
SHORT = {key: value for key, value in MANIFEST.items() if key != "description"}


def version(number: str = "1.0.0") -> StoredVersion:
    return StoredVersion(
        name="@acme/widget",
        version=number,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        manifest=orjson.dumps(MANIFEST | {"version": number}).decode(),
        abbreviated=orjson.dumps(SHORT | {"version": number}).decode(),
        readme=None,
        file_name=f"@acme/widget-{number}.tgz",
        requires_python="",
        core_metadata=None,
        core_metadata_sha256=None,
        facts={"file_count": 2, "unpacked_size": 100},
        size=50,
        sha1=hashlib.sha1(number.encode(), usedforsecurity=False).hexdigest(),
        sha256=hashlib.sha256(number.encode()).hexdigest(),
        sha512=hashlib.sha512(number.encode()).hexdigest(),
    )


def said(*versions: StoredVersion) -> list[str]:
    return list(examine(StoredName("@acme/widget", versions, [StoredTag("latest", "1.0.0")])))


def test_a_sound_name_is_passed() -> None:
    # One whose tarball was deleted is in no document.
    fileless = replace(version("3.0.0"), file_name=None, sha1=None, sha512=None, manifest=None)
    assert [] == said(version(), version("2.0.0-rc.1"), fileless)


@pytest.mark.parametrize(
    ("flaw", "expected"),
    [
        ({"manifest": "{"}, "1.0.0: its manifest is no JSON object"),
        ({"manifest": "[1]"}, "1.0.0: its manifest is no JSON object"),
        ({"manifest": None}, "1.0.0: its manifest is no JSON object"),
        ({"manifest": '{"name":"other","version":"1.0.0"}'}, "1.0.0: its manifest is about 'other' '1.0.0'"),
        ({"abbreviated": "{}"}, "1.0.0: its abbreviated manifest is not the short form of its manifest"),
        ({"file_name": "x.tgz"}, "1.0.0: its tarball is named x.tgz"),
        ({"sha512": None}, "1.0.0: its tarball lacks the digests that clients check"),
        ({"name": "other"}, "1.0.0: is a version of 'other'"),
        ({"version": "one"}, "one: is no version"),
    ],
)
def test_a_flaw_is_told_and_the_rest_is_passed(flaw: dict[str, Any], expected: str) -> None:
    assert [expected] == said(replace(version(), **flaw), version("2.0.0"))
