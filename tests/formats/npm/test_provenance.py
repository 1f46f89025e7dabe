from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from registry.errors import Invalid
from registry.formats.npm import provenance
from registry.model import Group, Project
from registry.settings import Settings
from tests import inventory
from tests.formats.npm.transcripts import (
    ABBREVIATED,
    a_publication,
    base,
    below,
    packument,
    path,
    refused,
    send,
    set_settings,
)
from tests.people import People, Person
from tests.sigstore_authority import GITHUB, SLSA, Authority, Identity, statement

NAME, VERSION = "@acme/widget", "1.0.0"
PURL = "pkg:npm/%40acme/widget@1.0.0"
EXPECTED = f"{GITHUB} https://github.com/acme/*"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def trusting(settings: Settings, authority: Authority, tmp_path: Path) -> None:
    """A server with a trust root, for tests that ask for this before the server."""
    root = tmp_path / "trusted_root.json"
    root.write_text(authority.trusted_root())
    object.__setattr__(settings, "trust_root", root)


def sha512(document: dict[str, Any]) -> str:
    """The digest of the tarball in a publish document, in hexadecimal."""
    attachment = document["_attachments"][f"{document['name']}-{next(iter(document['versions']))}.tgz"]
    return hashlib.sha512(base64.b64decode(attachment["data"])).hexdigest()


def attach(document: dict[str, Any], bundle: object) -> dict[str, Any]:
    """The document with a bundle, as npm attaches one."""
    text = bundle if isinstance(bundle, str) else json.dumps(bundle)
    name = f"{document['name']}-{next(iter(document['versions']))}.sigstore"
    media_type = "application/vnd.dev.sigstore.bundle.v0.3+json"
    more = {name: {"content_type": media_type, "data": text, "length": len(text)}}
    return document | {"_attachments": document["_attachments"] | more}


def provenance_of(authority: Authority, document: dict[str, Any], identity: Identity | None = None) -> dict[str, Any]:
    return authority.bundle(statement(PURL, {"sha512": sha512(document)}, SLSA), identity)


def attestations_url(people: People, place: Project | Group | None) -> str:
    return f"http://127.0.0.1:{people.client.port}{base(place)}/-/npm/v1/attestations/@acme%2Fwidget@1.0.0"


async def test_a_provenance_bundle_is_served_at_every_level_as_it_came(
    people: People, group: Group, project: Project, developer: Person, authority: Authority
) -> None:
    document = a_publication(NAME, VERSION)
    bundle = provenance_of(authority, document)

    response = await send(developer, project, attach(document, bundle))

    assert 200 == response.status, await response.text()
    for place in (project, group, None):
        for accept in ("application/json", ABBREVIATED):
            version = (await packument(people.anonymous, place, NAME, Accept=accept))["versions"][VERSION]
            assert {"url": attestations_url(people, place)} == version["dist"]["attestations"]
        rest = below(version["dist"]["attestations"]["url"])
        # npm 11 and 12 ask for the path of the URL, npm 10 for that path behind the one of its registry.
        for asked in (rest, f"{base(place)}{rest}", path(place, f"-/npm/v1/attestations/{NAME}@{VERSION}")):
            answer = await people.anonymous.get(asked)
            assert (200, "application/json") == (answer.status, answer.headers["Content-Type"])
            expected = {"attestations": [{"predicateType": SLSA, "bundle": bundle}]}
            assert expected == json.loads(await answer.read())


@pytest.mark.usefixtures("trusting")
async def test_only_provenance_of_an_expected_signer_is_shown_as_evidence(
    people: People, project: Project, developer: Person, authority: Authority
) -> None:
    document = a_publication(NAME, VERSION)
    await set_settings(people, project, attestation_identities=[EXPECTED])
    stranger = Identity(GITHUB, "https://github.com/evil/tool/.github/workflows/release.yml@refs/tags/v1")
    for bundle, says in (
        (provenance_of(authority, document, stranger), "which attestation_identities does not name"),
        (provenance_of(Authority(), document), "the attestation does not verify"),
    ):
        status, text = await refused(await send(developer, project, attach(document, bundle)))
        assert (400, True) == (status, says in text), text
        assert inventory.EMPTY == await inventory.take(people.services)

    response = await send(developer, project, attach(document, provenance_of(authority, document)))

    assert 200 == response.status, await response.text()
    dist = (await packument(people.anonymous, project, NAME))["versions"][VERSION]["dist"]
    assert {"url": attestations_url(people, project), "provenance": {"predicateType": SLSA}} == dist["attestations"]
    package_id = (await response.json())["id"]
    files = await developer.get(f"/api/v4/projects/{project.id}/packages/{package_id}/package_files")
    assert [
        {
            "predicate_type": SLSA,
            "verified": True,
            "issuer": GITHUB,
            "identity": Identity().name,
            "claims": {
                "source_repository_uri": "https://github.com/acme/tool",
                "source_repository_digest": "c0ffee",
                "source_repository_ref": "refs/tags/v1",
                "build_config_uri": Identity().name,
            },
        }
    ] == (await files.json())[0]["attestations"]


async def test_a_version_without_provenance_has_no_attestations(
    people: People, group: Group, project: Project, developer: Person
) -> None:
    assert 200 == (await send(developer, project, a_publication(NAME, VERSION))).status

    assert "attestations" not in (await packument(people.anonymous, project, NAME))["versions"][VERSION]["dist"]
    answers = {
        spec: await refused(await people.anonymous.get(path(place, f"-/npm/v1/attestations/{spec}")))
        for place in (project, group)
        for spec in (f"{NAME}@{VERSION}", f"{NAME}@2.0.0", "@acme%2fother@1.0.0", NAME, "widget")
    }
    assert {404} == {status for status, _ in answers.values()}, answers


async def test_attestations_of_a_hidden_project_are_hidden(people: People, authority: Authority) -> None:
    project = await people.project(await people.group("acme", visibility="public"), visibility="private")
    document = a_publication(NAME, VERSION)
    response = await send(people.root, project, attach(document, provenance_of(authority, document)))
    assert 200 == response.status, await response.text()
    rest = f"-/npm/v1/attestations/@acme%2fwidget@{VERSION}"

    outsider = await people.user()
    assert [401, 404, 200] == [
        (await person.get(path(project, rest))).status for person in (people.anonymous, outsider, people.root)
    ]
    assert [401, 403, 200] == [
        (await person.get(path(None, rest))).status for person in (people.anonymous, outsider, people.root)
    ]


def said(name: str = PURL, predicate: str = SLSA, digest: str = "ab", **more: Any) -> Callable[[Authority], object]:
    return lambda authority: authority.bundle(statement(name, {"sha512": digest}, predicate, **more))


REFUSED: dict[str, tuple[Callable[[Authority], object], str]] = {
    "no JSON": (lambda _: "{", "the Sigstore bundle is not valid JSON"),
    "a key twice": (lambda _: '{"mediaType": "a", "mediaType": "b"}', "the Sigstore bundle is not valid JSON"),
    "half a character": (lambda _: '{"mediaType": "\\ud800"}', "the Sigstore bundle is not valid JSON"),
    "no bundle": (lambda _: {}, "the Sigstore bundle is malformed"),
    "another type of bundle": (
        lambda a: a.bundle(b"{}") | {"mediaType": "application/json"},
        "the Sigstore bundle is malformed: failed to load bundle",
    ),
    "no statement": (lambda a: a.bundle(b"[]"), "an in-toto statement about one subject"),
    "another package": (said("pkg:npm/widget@1.0.0"), "the provenance is about 'pkg:npm/widget@1.0.0'"),
    "another version": (said("pkg:npm/%40acme/widget@1.0.1"), f"not '{PURL}'"),
    "another content": (said(digest="cd"), "the attestation is about a file with the sha512 cd"),
    "another predicate": (said(predicate="https://example.com/v1"), "the statement of the provenance must have"),
    "another statement": (said(_type="https://example.com/v1"), "the statement of the provenance must have"),
}


@pytest.mark.parametrize("title", REFUSED)
def test_a_bad_bundle_is_refused_with_a_reason(authority: Authority, title: str) -> None:
    make, says = REFUSED[title]
    made = make(authority)
    with pytest.raises(Invalid) as refusal:
        provenance.inspect(
            io.BytesIO(),
            text=made if isinstance(made, str) else json.dumps(made),
            purl=PURL,
            sha512="ab",
            trust={"root": None, "identities": []},
        )
    assert says in refusal.value.text


@pytest.mark.parametrize("title", ["no JSON", "another content"])
async def test_nothing_is_stored_of_a_publish_with_a_bad_bundle(
    people: People, project: Project, developer: Person, authority: Authority, title: str
) -> None:
    make, says = REFUSED[title]
    response = await send(developer, project, attach(a_publication(NAME, VERSION), make(authority)))

    status, text = await refused(response)
    assert (400, True) == (status, says in text), text
    assert inventory.EMPTY == await inventory.take(people.services)


def test_gitlab_ci_makes_an_older_statement(authority: Authority) -> None:
    predicate = "https://slsa.dev/provenance/v0.2"
    older = said(predicate=predicate, _type="https://in-toto.io/Statement/v0.1")(authority)
    trust: Any = {"root": None, "identities": []}
    found = provenance.inspect(io.BytesIO(), text=json.dumps(older), purl=PURL, sha512="ab", trust=trust)
    kept = found["attestation"]
    assert (predicate, False) == (kept["predicate_type"], kept["verified"])


def test_what_is_kept_is_what_was_checked(authority: Authority) -> None:
    bundle = said()(authority)
    assert isinstance(bundle, dict)
    envelope = bundle["dsseEnvelope"]
    # A name of protobuf's that readers in JavaScript do not know, and what a lenient reader of base64 skips.
    spelled = {key: value for key, value in bundle.items() if key != "dsseEnvelope"}
    spelled["dsse_envelope"] = envelope | {"payload": envelope["payload"] + "\n"}

    trust: Any = {"root": None, "identities": []}
    found = provenance.inspect(io.BytesIO(), text=json.dumps(spelled), purl=PURL, sha512="ab", trust=trust)

    assert bundle == json.loads(found["text"])
