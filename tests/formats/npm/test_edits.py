from __future__ import annotations

from typing import Any

import pytest

from registry.errors import Invalid
from registry.formats.npm import edits
from registry.formats.npm.edits import Deprecation, OwnerChange, StarChange, Unpublication

NAME = "@acme/widget"
PACKUMENT: dict[str, Any] = {
    "_id": NAME,
    "_rev": "17",
    "name": NAME,
    "dist-tags": {"latest": "2.0.0"},
    "versions": {"1.0.0": {"name": NAME, "dist": {"shasum": "x"}}, "2.0.0": {"name": NAME}},
    "time": {"modified": "2026-01-01T00:00:00.000Z"},
    "maintainers": [{"name": "ada", "email": "ada@example.org"}],
}


def test_deprecating_reads_the_messages_and_nothing_else() -> None:
    versions = {
        "1.0.0": {"deprecated": "use 2", "dist": {"shasum": "changed"}},
        "1.1.0": {"deprecated": ""},
        "1.2.0": {"deprecated": None},
        "1.3.0": {"deprecated": False},
        "2.0.0": {"scripts": {"postinstall": "evil"}},
    }

    expected = Deprecation(NAME, {"1.0.0": "use 2", "1.1.0": None, "1.2.0": None, "1.3.0": None}, "17")
    assert expected == edits.parse({**PACKUMENT, "versions": versions}, NAME)


def test_the_order_of_pnpm_makes_no_difference() -> None:
    document = {"versions": {"1.0.0": {"deprecated": "no"}}, "name": NAME}

    assert Deprecation(NAME, {"1.0.0": "no"}, None) == edits.parse(document, NAME)


def test_nothing_to_deprecate_is_said_in_gitlabs_words() -> None:
    with pytest.raises(Invalid) as refusal:
        edits.parse(PACKUMENT, NAME)

    assert '400 Bad request - "package versions to deprecate" not given' == refusal.value.text


def test_unpublishing_one_version_keeps_the_others() -> None:
    assert Unpublication(NAME, frozenset({"1.0.0", "2.0.0"}), "17") == edits.parse_revision(PACKUMENT, NAME)


def test_changing_owners_does_not_remove_versions() -> None:
    document = {"_id": NAME, "_rev": "17", "maintainers": [{"name": "ada", "email": "x"}, {"name": "bob"}]}

    expected = OwnerChange(NAME, ("ada", "bob"), "17")
    assert expected == edits.parse_revision(document, NAME)
    assert expected == edits.parse(document, NAME)


def test_a_star_is_a_change_of_users() -> None:
    document = {"_id": NAME, "_rev": "17", "users": {"ada": True, "bob": False}}

    expected = StarChange(NAME, frozenset({"ada"}), "17")
    assert expected == edits.parse_revision(document, NAME)
    assert expected == edits.parse(document, NAME)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "Versions key is missing from the JSON upload"),
        ({"versions": None}, "versions is not an object"),
        ({"versions": ["1.0.0"]}, "versions is not an object"),
        ({"versions": {"1.0.0": None}}, "versions['1.0.0'] is not an object"),
        ({"versions": {"1.0.0": {"deprecated": True}}}, "The deprecation message of '1.0.0' is not a text"),
        ({"versions": {"1.0.0": {"deprecated": ["x"]}}}, "The deprecation message of '1.0.0' is not a text"),
        (
            {"name": "other", "versions": {"1.0.0": {"deprecated": "x"}}},
            "The document's name is 'other', the URL says '@acme/widget'",
        ),
        ({"_id": "other", "users": {}}, "The document's _id is 'other', the URL says '@acme/widget'"),
        ({"maintainers": []}, "maintainers is a list of objects that have a name, at least one"),
        ({"maintainers": ["ada"]}, "maintainers is a list of objects that have a name, at least one"),
        ({"maintainers": [{"name": "ada"}, {}]}, "maintainers is a list of objects that have a name, at least one"),
    ],
)
def test_another_document_is_refused(document: dict[str, Any], message: str) -> None:
    with pytest.raises(Invalid) as refusal:
        edits.parse(document, NAME)

    assert message == refusal.value.text


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "versions, maintainers or users are expected in the document"),
        ({"versions": {}}, "The document keeps no version: unpublish the whole package instead"),
        ({"versions": []}, "versions is not an object"),
        ({"name": "other", "versions": {"1.0.0": {}}}, "The document's name is 'other', the URL says '@acme/widget'"),
    ],
)
def test_another_revision_is_refused(document: dict[str, Any], message: str) -> None:
    with pytest.raises(Invalid) as refusal:
        edits.parse_revision(document, NAME)

    assert message == refusal.value.text
