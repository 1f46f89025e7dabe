from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from registry.formats.npm import names, search
from registry.formats.npm.packument import Person, VersionRow

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def latest(publisher: Person | None = None, **manifest: Any) -> VersionRow:
    return VersionRow("1.0.0", json.dumps(manifest).encode(), "", "", 1, 1, NOW, publisher=publisher)


def test_a_page_of_results() -> None:
    version = latest(
        Person("ada", "ada@example.org"),
        description="A widget",
        keywords=["w", 1],
        homepage="https://example.org",
        repository={"type": "git", "url": "git+https://example.org/w.git"},
    )
    hit = search.result(names.parse("@acme/widget"), version)

    assert {
        "objects": [
            {
                "package": {
                    "name": "@acme/widget",
                    "scope": "acme",
                    "version": "1.0.0",
                    "description": "A widget",
                    "keywords": ["w"],
                    "date": "2026-01-02T00:00:00.000Z",
                    "links": {"homepage": "https://example.org", "repository": "git+https://example.org/w.git"},
                    "maintainers": [{"username": "ada", "email": "ada@example.org"}],
                    "publisher": {"username": "ada", "email": "ada@example.org"},
                },
                "score": {"final": 1.0, "detail": {"quality": 1.0, "popularity": 1.0, "maintenance": 1.0}},
                "searchScore": 1.0,
            }
        ],
        "total": 7,
        "time": "2026-01-02T00:00:00.000Z",
    } == search.page([hit], total=7, now=NOW)


def test_a_sparse_manifest_gives_what_npm_can_print() -> None:
    package: Any = search.result(names.parse("widget"), latest(description=1, keywords="x", bugs={}))["package"]

    assert {
        "name": "widget",
        "scope": "unscoped",
        "version": "1.0.0",
        "description": "",
        "keywords": [],
        "date": "2026-01-02T00:00:00.000Z",
        "links": {},
        "maintainers": [],
    } == package


@pytest.mark.parametrize(
    ("text", "prefix", "words"),
    [
        ("", "", ()),
        ("  Two   Words ", "", ("two", "words")),
        ('"in quotes" a\\b', "", ("in", "quotes", "a", "b")),
        ("scope:acme", "@acme/", ()),
        ("scope:@acme widget", "@acme/", ("widget",)),
        ("keywords:a,B,, author:ada maintainer:bob not:unstable is:unstable boost-exact:false c", "", ("a", "b", "c")),
        ("a " * 40, "", ("a",) * 16),
    ],
)
def test_a_text_is_words_and_qualifiers(text: str, prefix: str, words: tuple[str, ...]) -> None:
    assert search.Query(prefix, words) == search.parse(text)
