from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from registry.blocks import Block, identity
from registry.formats.npm import names, packument
from registry.formats.npm.packument import Packument, Person, Tarballs, VersionRow
from registry.sections import Sections

PREFIX = "https://packages.test/api/v4/projects/42/packages/npm"
FIRST = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
SECOND = datetime(2026, 2, 3, tzinfo=UTC)
MODIFIED = datetime(2026, 3, 4, 6, 7, 8, tzinfo=timezone(timedelta(hours=2)))
ADA = Person("ada", "ada@example.org")


def row(version: str, created_at: datetime = FIRST, **facts: Any) -> VersionRow:
    text = {"name": "@acme/widget", "version": version, "description": f"Widget {version} ü", "license": "MIT"}
    found = VersionRow(
        version=version,
        manifest=json.dumps({**text, "_id": f"@acme/widget@{version}"}, ensure_ascii=False).encode(),
        shasum="a" * 40,
        integrity="sha512-AAAA",
        file_count=3,
        unpacked_size=1234,
        created_at=created_at,
    )
    return dataclasses.replace(found, **facts)


TARBALLS = Tarballs(names.parse("@acme/widget"), PREFIX)
VERSIONS = (row("1.0.0", publisher=ADA), row("2.0.0-rc.1", SECOND, publisher=Person("bob"), deprecated='use "1"'))


def a_packument(
    versions: Sequence[VersionRow] = VERSIONS,
    *,
    abbreviated: bool = False,
    tarballs: Tarballs = TARBALLS,
    **facts: Any,
) -> Packument:
    entries = {
        number: packument.entry(tarballs, number, one, abbreviated=abbreviated)
        for number, one in enumerate(versions, 1)
    }
    found = Packument(
        name=names.parse("@acme/widget"),
        versions=Sections[packument.Entry]().renewed([(number, 1) for number in entries], entries),
        tags={"latest": "1.0.0", "next": "2.0.0-rc.1", "gone": "9.9.9"},
        revision="17",
        modified=MODIFIED,
        latest=versions[0].manifest,
        readme="# Widget",
    )
    return dataclasses.replace(found, **facts)


def read(document: bytes | tuple[Block, ...]) -> Any:
    return json.loads(document if isinstance(document, bytes) else identity(document))


def dist(version: str) -> dict[str, object]:
    return {
        "integrity": "sha512-AAAA",
        "shasum": "a" * 40,
        "tarball": f"{PREFIX}/@acme/widget/-/@acme/widget-{version}.tgz",
        "fileCount": 3,
        "unpackedSize": 1234,
    }


TIME = {
    "created": "2026-01-02T03:04:05.678Z",
    "modified": "2026-03-04T04:07:08.000Z",
    "1.0.0": "2026-01-02T03:04:05.678Z",
    "2.0.0-rc.1": "2026-02-03T00:00:00.000Z",
}


def test_the_full_document() -> None:
    assert {
        "_id": "@acme/widget",
        "_rev": "17",
        "name": "@acme/widget",
        "dist-tags": {"latest": "1.0.0", "next": "2.0.0-rc.1"},
        "versions": {
            "1.0.0": {
                "name": "@acme/widget",
                "version": "1.0.0",
                "description": "Widget 1.0.0 ü",
                "license": "MIT",
                "_id": "@acme/widget@1.0.0",
                "_npmUser": {"name": "ada", "email": "ada@example.org"},
                "maintainers": [{"name": "ada", "email": "ada@example.org"}],
                "dist": dist("1.0.0"),
            },
            "2.0.0-rc.1": {
                "name": "@acme/widget",
                "version": "2.0.0-rc.1",
                "description": "Widget 2.0.0-rc.1 ü",
                "license": "MIT",
                "_id": "@acme/widget@2.0.0-rc.1",
                "_npmUser": {"name": "bob"},
                "maintainers": [{"name": "bob"}],
                "dist": dist("2.0.0-rc.1"),
                "deprecated": 'use "1"',
            },
        },
        "time": TIME,
        "maintainers": [{"name": "ada", "email": "ada@example.org"}, {"name": "bob"}],
        "description": "Widget 1.0.0 ü",
        "license": "MIT",
        "readme": "# Widget",
    } == read(packument.full(a_packument()))


def test_the_abbreviated_document_holds_the_times_too() -> None:
    short = [
        dataclasses.replace(one, manifest=json.dumps({"name": "@acme/widget", "version": one.version}).encode())
        for one in VERSIONS
    ]
    assert {
        "name": "@acme/widget",
        "modified": "2026-03-04T04:07:08.000Z",
        "dist-tags": {"latest": "1.0.0", "next": "2.0.0-rc.1"},
        "versions": {
            "1.0.0": {"name": "@acme/widget", "version": "1.0.0", "dist": dist("1.0.0")},
            "2.0.0-rc.1": {
                "name": "@acme/widget",
                "version": "2.0.0-rc.1",
                "dist": dist("2.0.0-rc.1"),
                "deprecated": 'use "1"',
            },
        },
        "time": TIME,
    } == read(packument.abbreviated(a_packument(short, abbreviated=True)))


def test_versions_are_in_publish_order() -> None:
    versions = [row("2.0.0"), row("1.0.0"), row("10.0.0")]

    for render in (packument.full, packument.abbreviated):
        assert ["2.0.0", "1.0.0", "10.0.0"] == list(read(render(a_packument(versions)))["versions"])


@pytest.mark.parametrize(("canonical", "file_name"), [(False, "@acme/widget-1.0.0.tgz"), (True, "widget-1.0.0.tgz")])
def test_tarballs_are_announced_under_the_prefix_that_was_asked(*, canonical: bool, file_name: str) -> None:
    prefix = "http://127.0.0.1:8080/api/v4/groups/7/-/packages/npm"
    found = a_packument(tarballs=dataclasses.replace(TARBALLS, prefix=prefix, canonical=canonical))

    for render in (packument.full, packument.abbreviated):
        tarball = read(render(found))["versions"]["1.0.0"]["dist"]["tarball"]
        assert f"{prefix}/@acme/widget/-/{file_name}" == tarball


def test_one_version_alone_equals_its_entry_in_the_document() -> None:
    entries = read(packument.full(a_packument()))["versions"]

    assert entries == {one.version: json.loads(packument.manifest(TARBALLS, one)) for one in VERSIONS}


@pytest.mark.parametrize(
    ("asked", "version"),
    [("1.0.0", "1.0.0"), ("latest", "1.0.0"), ("next", "2.0.0-rc.1"), ("gone", None), ("3.0.0", None), ("", None)],
)
def test_a_version_is_found_by_number_or_tag(asked: str, version: str | None) -> None:
    assert version == packument.find({one.version for one in VERSIONS}, a_packument().tags, asked)


@pytest.mark.parametrize("tags", [{}, {"latest": "9.9.9"}, {"next": "1.0.0"}])
def test_latest_falls_back_to_the_highest_version(tags: dict[str, str]) -> None:
    for render in (packument.full, packument.abbreviated):
        assert "2.0.0-rc.1" == read(render(a_packument(tags=tags)))["dist-tags"]["latest"]


def test_the_tags_alone_are_a_flat_object_of_what_is_there() -> None:
    tags = {"next": "1.0.0", "gone": "9.9.9"}
    assert {"latest": "2.0.0", "next": "1.0.0"} == json.loads(packument.pointers(["1.0.0", "2.0.0"], tags))


def test_what_the_latest_version_says_is_repeated_at_the_top() -> None:
    said = {
        "description": "d",
        "homepage": "h",
        "keywords": ["k"],
        "repository": {"url": "r"},
        "bugs": {"url": "b"},
        "license": "MIT",
        "author": {"name": "a"},
        "contributors": [],
        "readmeFilename": "README.md",
    }
    found = read(packument.full(a_packument([row("1.0.0", manifest=json.dumps(said).encode())])))

    assert said == {key: found[key] for key in said}


def test_the_revision_names_every_serial() -> None:
    assert ("17", "17-4") == (packument.revision([17]), packument.revision([17, 4]))


def test_integrity_is_written_as_a_subresource_integrity() -> None:
    assert "sha512-q80=" == packument.subresource_integrity("abcd")


CORGI = "application/vnd.npm.install-v1+json"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, False),
        ("", False),
        ("*/*", False),
        ("application/json", False),
        (CORGI, True),
        (f"{CORGI}; q=1.0, application/json; q=0.8, */*", True),
        (f"application/json; q=0.8, {CORGI};q=1.0, */*", True),
        (CORGI.upper(), True),
        ("application/json; q=1.0, */*", False),
        (f"{CORGI};q=0.5, application/json", False),
        (f"{CORGI};q=0, */*", False),
        (f"{CORGI};q=high, */*", False),
        (f"{CORGI};q=0.5, application/*;q=0.9", False),
        (",;,=", False),
    ],
)
def test_the_abbreviated_form_is_for_those_who_prefer_it(accept: str | None, *, expected: bool) -> None:
    assert expected == packument.wants_abbreviated(accept)
