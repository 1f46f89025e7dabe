from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest

from registry.errors import DigestMismatch, Invalid
from registry.formats.npm import names, publication
from registry.formats.npm.edits import Deprecation, StarChange
from registry.formats.npm.publication import Publication
from registry.formats.npm.splitter import Splitter
from registry.model import Digests
from tests.formats.npm.documents import NAME, a_document, digests

TARBALL = b"the bytes of a tarball"
GITLAB_NAME = (
    "Validation failed: Name should be a valid NPM package name: "
    "https://github.com/npm/validate-npm-package-name#naming-rules."
)


def read(document: object, url_name: str = NAME, *, deprecating: bool = False) -> Any:
    splitter = Splitter()
    splitter.feed(json.dumps(document).encode())
    return publication.parse(splitter.finish(), url_name, deprecating=deprecating)


def test_a_publish_document_is_a_publication() -> None:
    document = a_document(TARBALL, readme="# Widget", bin={"widget": "cli.js"})
    manifest = document["versions"]["1.0.0"]

    assert Publication(
        name=names.parse(NAME),
        version="1.0.0",
        tags=("latest",),
        manifest=manifest,
        shasum=manifest["dist"]["shasum"],
        integrity=manifest["dist"]["integrity"],
        length=len(TARBALL),
        access=None,
        readme="# Widget",
        deprecated=None,
        provenance=None,
    ) == read(document)


@pytest.mark.parametrize("key", ["@acme/widget-1.0.0.tgz", "widget-1.0.0.tgz"])
def test_the_attachment_may_have_either_name(key: str) -> None:
    document = a_document(TARBALL)
    (attachment,) = document["_attachments"].values()
    document["_attachments"] = {key: attachment}

    assert "1.0.0" == read(document).version


def test_bun_names_the_file_after_the_build_metadata_and_nothing_else() -> None:
    document = a_document(TARBALL, version="3.0.0-rc.1")
    (attachment,) = document["_attachments"].values()
    document["_attachments"] = {"@acme/widget-3.0.0-rc.1+build.tgz": attachment}

    assert "3.0.0-rc.1" == read(document).version


def test_optional_members_are_read() -> None:
    document = a_document(TARBALL, deprecated="use another") | {"readme": "x" * 70_000, "access": "public"}
    document["_attachments"]["@acme/widget-1.0.0.sigstore"] = {"data": '{"bundle":1}', "length": 12}
    document["dist-tags"] = {"next": "1.0.0", "beta": "1.0.0"}

    found = read(document)

    assert ("use another", "x" * 65_536, "public", '{"bundle":1}', ("next", "beta")) == (
        found.deprecated,
        found.readme,
        found.access,
        found.provenance,
        found.tags,
    )


@pytest.mark.parametrize("readme", ["", "ERROR: No README data found!", None, 7])
def test_a_placeholder_is_no_readme(readme: object) -> None:
    assert read(a_document(TARBALL, readme=readme)).readme is None


def test_members_that_only_some_clients_send_may_be_absent() -> None:
    document = a_document(TARBALL, deprecated=False)
    del document["_id"], document["access"], document["versions"]["1.0.0"]["dist"]["integrity"]
    (attachment,) = document["_attachments"].values()
    del attachment["length"]

    found = read(document)

    assert (None, None, None, None) == (found.integrity, found.length, found.access, found.deprecated)


def test_without_attachments_it_is_an_edit() -> None:
    document = {"_id": NAME, "_rev": "7", "versions": {"1.0.0": {"deprecated": "no"}, "2.0.0": {}}}

    expected = Deprecation(NAME, {"1.0.0": "no"}, "7")
    assert expected == read(document)
    assert expected == read({**document, "_attachments": {}}, deprecating=True)
    assert StarChange(NAME, frozenset({"ada"}), None) == read({"_id": NAME, "users": {"ada": True, "bob": False}})


def change(*path: str, to: object) -> dict[str, Any]:
    """A document with one member replaced; `...` takes it out."""
    document = a_document(TARBALL)
    place: Any = document
    for key in path[:-1]:
        place = place[key]
    if to is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return document


MANIFEST = ("versions", "1.0.0")
FILE = "@acme/widget-1.0.0.tgz"

REFUSED = [
    (change("_id", to="@acme/other"), "The document's _id is '@acme/other', the URL says '@acme/widget'"),
    (change("_id", to=None), "The document's _id is None, the URL says '@acme/widget'"),
    (change("name", to="@acme/Widget"), "The document's name is '@acme/Widget', the URL says '@acme/widget'"),
    (change("name", to=["@acme/widget"]), "The document's name is ['@acme/widget'], the URL says '@acme/widget'"),
    (change("name", to=...), GITLAB_NAME),
    (change("versions", to=...), "Versions key is missing from the JSON upload"),
    (change("versions", to=None), "Versions key is missing from the JSON upload"),
    (change("versions", to=[]), "versions is not an object"),
    (change("versions", to={}), "One version is published at a time, the document holds 0"),
    (change("versions", "2.0.0", to={}), "One version is published at a time, the document holds 2"),
    (change("versions", to={"": {}}), "Version is empty."),
    (change("versions", to={" ": {}}), "Version is empty."),
    (change("versions", to={"1.0": {}}), "Validation failed: Version should follow SemVer: https://semver.org"),
    (change("versions", to={"../1.0.0": {}}), "Validation failed: Version should follow SemVer: https://semver.org"),
    (change(*MANIFEST, to="x"), "versions['1.0.0'] is not an object"),
    (change(*MANIFEST, "name", to="other"), "The name inside versions['1.0.0'] is 'other', not '@acme/widget'"),
    (change(*MANIFEST, "name", to=...), "The name inside versions['1.0.0'] is None, not '@acme/widget'"),
    (change(*MANIFEST, "version", to="1.0.1"), "The version inside versions['1.0.0'] is '1.0.1', not '1.0.0'"),
    (change(*MANIFEST, "version", to=1), "The version inside versions['1.0.0'] is 1, not '1.0.0'"),
    (change(*MANIFEST, "_id", to="a@1"), "The _id inside versions['1.0.0'] is 'a@1', not '@acme/widget@1.0.0'"),
    (change(*MANIFEST, "dist", to=...), "Validation failed: Package json dist is missing"),
    (change(*MANIFEST, "dist", to="x"), "dist is not an object"),
    (change(*MANIFEST, "dist", "shasum", to=...), "Validation failed: Package json dist.shasum is missing"),
    (change(*MANIFEST, "dist", "shasum", to=1), "shasum is not a text"),
    (change(*MANIFEST, "dist", "tarball", to=...), "Validation failed: Package json dist.tarball is missing"),
    (change(*MANIFEST, "dist", "integrity", to=["sha512-"]), "integrity is not a text"),
    (change("dist-tags", to=...), "dist-tags is missing from the JSON upload"),
    (change("dist-tags", to=["latest"]), "dist-tags is not an object"),
    (change("dist-tags", to={}), "dist-tags is empty, one tag is expected"),
    (
        change("dist-tags", "next", to="2.0.0"),
        "The tag 'next' points to '2.0.0', not to the published version '1.0.0'",
    ),
    (change("dist-tags", to={"1.x": "1.0.0"}), "Tag name must not be a valid SemVer range: 1.x"),
    (
        change("dist-tags", to={"a/b": "1.0.0"}),
        "'a/b' is not a tag name: letters, digits and -._~!*'() are allowed",
    ),
    (change("access", to={}), "access is not a text"),
    (change("_attachments", to={}), "Attachment data is empty."),
    (change("_attachments", to=[]), "Attachment data is empty."),
    (change("_attachments", FILE, "data", to=""), "Attachment data is empty."),
    (change("_attachments", FILE, "data", to=None), "Attachment data is empty."),
    (change("_attachments", FILE, "data", to=...), "Attachment data is empty."),
    (change("_attachments", FILE, to="x"), "Attachment data is empty."),
    (change("_attachments", FILE, "length", to="22"), "The attachment's length is not an integer"),
    (change("_attachments", FILE, "length", to=True), "The attachment's length is not an integer"),
    (
        change("_attachments", "other.tgz", to={"data": None}),
        "The attachment 'other.tgz' is neither the tarball nor a Sigstore bundle",
    ),
    (
        change("_attachments", "readme.md", to={"data": "x"}),
        "The attachment 'readme.md' is neither the tarball nor a Sigstore bundle",
    ),
    (
        change("_attachments", "x.sigstore", to={"data": {}}),
        "The Sigstore bundle is one attachment whose data is a text",
    ),
    (
        change("_attachments", to={"@acme/widget-1.0.1.tgz": {"data": "QUJD"}}),
        "The attachment is '@acme/widget-1.0.1.tgz', not '@acme/widget-1.0.0.tgz'",
    ),
    (
        change("_attachments", to={"../../widget-1.0.0.tgz": {"data": "QUJD"}}),
        "The attachment is '../../widget-1.0.0.tgz', not '@acme/widget-1.0.0.tgz'",
    ),
]


@pytest.mark.parametrize(("document", "message"), REFUSED)
def test_a_document_that_contradicts_itself_is_refused(document: dict[str, Any], message: str) -> None:
    with pytest.raises(Invalid) as refusal:
        read(document)

    assert message == refusal.value.text


def test_a_refusal_does_not_repeat_millions_of_characters() -> None:
    with pytest.raises(Invalid) as refusal:
        read(a_document(TARBALL) | {"_id": "x" * 1_000_000})

    assert f"The document's _id is '{'x' * 200}', the URL says '@acme/widget'" == refusal.value.text


@pytest.mark.parametrize("name", ["_x", ".x", "a b", "node_modules", "@s/.x", "x" * 215, "\u0430dmin"])
def test_a_name_that_may_not_be_published_is_refused(name: str) -> None:
    with pytest.raises(Invalid) as refusal:
        read(a_document(TARBALL, name=name), name)

    assert GITLAB_NAME == refusal.value.text


def test_the_declared_digests_must_be_those_of_the_bytes() -> None:
    publication.check_digests(read(a_document(TARBALL)), digests(TARBALL), len(TARBALL))


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha384", "sha512"])
def test_every_algorithm_of_integrity_is_checked_or_refused(algorithm: str) -> None:
    integrity = f"{algorithm}-{base64.b64encode(hashlib.new(algorithm, TARBALL).digest()).decode()}?option"
    document = a_document(TARBALL)
    document["versions"]["1.0.0"]["dist"]["integrity"] = integrity
    found = read(document)

    if algorithm != "sha384":
        publication.check_digests(found, digests(TARBALL), len(TARBALL))
        return
    with pytest.raises(Invalid, match=r"dist\.integrity uses 'sha384', sha512 is expected"):
        publication.check_digests(found, digests(TARBALL), len(TARBALL))


@pytest.mark.parametrize(
    ("dist", "length", "error", "message"),
    [
        ({}, 21, DigestMismatch, "The attachment's length is 22, the document says 21"),
        (
            {"shasum": "0" * 40},
            22,
            DigestMismatch,
            f"dist.shasum of the tarball is {digests(TARBALL).sha1}, the document says '{'0' * 40}'",
        ),
        ({"integrity": f"sha512-{'A' * 86}=="}, 22, DigestMismatch, "dist.integrity of the tarball is sha512-"),
        ({"integrity": "sha512-"}, 22, DigestMismatch, "dist.integrity of the tarball is sha512-"),
        ({"integrity": "sha512-!"}, 22, Invalid, "dist.integrity is not valid base64"),
        ({"integrity": "nonsense"}, 22, Invalid, "dist.integrity uses 'nonsense', sha512 is expected"),
    ],
)
def test_other_digests_are_refused(dist: dict[str, str], length: int, error: type[Invalid], message: str) -> None:
    document = a_document(TARBALL)
    document["versions"]["1.0.0"]["dist"] |= dist
    document["_attachments"][FILE]["length"] = length

    with pytest.raises(error) as refusal:
        publication.check_digests(read(document), digests(TARBALL), len(TARBALL))

    assert refusal.value.text.startswith(message)


def test_a_second_integrity_does_not_excuse_a_wrong_one() -> None:
    document = a_document(TARBALL)
    document["versions"]["1.0.0"]["dist"]["integrity"] += f" sha1-{'A' * 27}="

    with pytest.raises(DigestMismatch):
        publication.check_digests(read(document), digests(TARBALL), len(TARBALL))


def test_an_upper_case_shasum_is_the_same() -> None:
    document = a_document(TARBALL)
    document["versions"]["1.0.0"]["dist"]["shasum"] = document["versions"]["1.0.0"]["dist"]["shasum"].upper()

    publication.check_digests(read(document), digests(TARBALL), len(TARBALL))


def test_what_was_not_computed_does_not_pass() -> None:
    with pytest.raises(DigestMismatch):
        publication.check_digests(read(a_document(TARBALL)), Digests(sha256="0" * 64), len(TARBALL))
