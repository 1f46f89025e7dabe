from __future__ import annotations

import asyncio
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pypi_attestations import Attestation, Distribution, GitHubPublisher, Provenance
from sigstore.models import TrustedRoot
from sigstore.verify import Verifier, policy

from registry import standings
from registry.access import AccessLevel
from registry.errors import Invalid
from registry.formats.pypi import attestations
from registry.model import Group, Project
from registry.settings import Settings
from tests import inventory
from tests.formats.pypi.distributions import a_wheel
from tests.formats.pypi.pages import V1_JSON, base, put, set_settings, sha256
from tests.formats.pypi.refusals import ACCEPT, check_answer
from tests.people import OPERATOR, People, Person
from tests.sigstore_authority import GITHUB, GITLAB, PUBLISH, SLSA, Authority, Identity, as_attestation, statement

WHEEL = "demo-1.0-py3-none-any.whl"
CONTENT = a_wheel()
EXPECTED = f"{GITHUB} https://github.com/acme/*"
INTEGRITY = "application/vnd.pypi.integrity.v1+json"
UNVERIFIED = {"kind": "unverified"}
BY_GITHUB = {"kind": "GitHub", "repository": "acme/tool", "workflow": "release.yml", "environment": None}


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def trust_root(authority: Authority, tmp_path: Path) -> Path:
    path = tmp_path / "trusted_root.json"
    path.write_text(authority.trusted_root())
    return path


@pytest.fixture
def trusting(settings: Settings, trust_root: Path) -> None:
    """A server with a trust root, for tests that ask for this before the server."""
    object.__setattr__(settings, "trust_root", trust_root)


def inspect(text: object, *, root: Path | None = None, identities: tuple[str, ...] = ()) -> attestations.Attested:
    """What a child is asked about `WHEEL`."""
    return attestations.inspect(
        io.BytesIO(),
        text=text if isinstance(text, str) else json.dumps(text),
        file_name=WHEEL,
        sha256=sha256(CONTENT),
        trust={"root": str(root) if root else None, "identities": list(identities)},
    )


def publishers(attested: attestations.Attested) -> list[Any]:
    return [bundle["publisher"] for bundle in json.loads(attested["provenance"])["attestation_bundles"]]


async def listed(person: Person, place: Project | Group) -> dict[str, Any]:
    """The files of `demo` in the JSON page, by name."""
    response = await person.get(f"{base(place)}/simple/demo/", headers={"Accept": V1_JSON})
    return {file["filename"]: file for file in json.loads(await response.read())["files"]}


def below(people: People, url: str) -> str:
    return url.removeprefix(f"http://127.0.0.1:{people.client.port}")


@pytest.mark.parametrize("storage_url", ["local", "s3"], indirect=True)
async def test_an_attested_file_has_provenance_at_every_level(
    people: People, authority: Authority, storage_url: str
) -> None:
    group = await people.group(visibility="public")
    project = await people.project(group, visibility="public")
    made = [authority.attestation(WHEEL, CONTENT), authority.attestation(WHEEL, CONTENT, predicate=SLSA)]
    await put(people.root, project, "Demo", "1.0", WHEEL, CONTENT, attestations=json.dumps(made))
    await put(people.root, project, "Demo", "1.0")

    for place in (project, group):
        files = await listed(people.anonymous, place)
        url = files[WHEEL]["provenance"]
        path = f"{base(place)}/integrity/demo/1.0/{WHEEL}/provenance"
        assert f"http://127.0.0.1:{people.client.port}{path}?sha256={sha256(CONTENT)}" == url
        assert "provenance" not in files["Demo-1.0.tar.gz"]
        html = await (await people.anonymous.get(f"{base(place)}/simple/demo/")).text()
        assert (1, True) == (html.count("data-provenance"), f'data-provenance="{url}"' in html)
        for asked in (below(people, url), path, path.replace("/demo/", "/DEMO/")):
            response = await people.anonymous.get(asked, headers={"Accept": INTEGRITY})
            assert (200, INTEGRITY) == (response.status, response.headers["Content-Type"])
            assert {
                "version": 1,
                "attestation_bundles": [{"publisher": UNVERIFIED, "attestations": made}],
            } == json.loads(await response.read())
            again = await people.anonymous.get(
                asked, headers={"Accept": INTEGRITY, "If-None-Match": response.headers["ETag"]}
            )
            assert 304 == again.status


@pytest.mark.usefixtures("trusting")
async def test_pypi_attestations_reads_and_verifies_what_is_served(
    people: People, project: Project, developer: Person, authority: Authority, trust_root: Path
) -> None:
    await set_settings(people, project, attestation_identities=[EXPECTED])
    made = authority.attestation(WHEEL, CONTENT)
    await put(developer, project, "demo", "1.0", WHEEL, CONTENT, attestations=json.dumps([made]))

    url = (await listed(people.anonymous, project))[WHEEL]["provenance"]
    served = Provenance.model_validate_json(await (await people.anonymous.get(below(people, url))).read())

    (bundle,) = served.attestation_bundles
    assert GitHubPublisher(repository="acme/tool", workflow="release.yml") == bundle.publisher
    assert [Attestation.model_validate(made)] == bundle.attestations
    verifier = Verifier(trusted_root=TrustedRoot.from_file(str(trust_root)))
    identity = policy.AllOf(
        [policy.OIDCIssuerV2(GITHUB), policy.OIDCSourceRepositoryURI("https://github.com/acme/tool")]
    )
    kind, payload = verifier.verify_dsse(bundle.attestations[0].to_bundle(), identity)
    assert "application/vnd.in-toto+json" == kind
    subject = json.loads(payload)["subject"]
    assert [{"name": WHEEL, "digest": {"sha256": Distribution(name=WHEEL, digest=sha256(CONTENT)).digest}}] == subject


async def test_provenance_comes_in_the_types_there_are(
    people: People, project: Project, developer: Person, authority: Authority
) -> None:
    made = json.dumps([authority.attestation(WHEEL, CONTENT)])
    await put(developer, project, "demo", "1.0", WHEEL, CONTENT, attestations=made)
    path = f"{base(project)}/integrity/demo/1.0/{WHEEL}/provenance"

    answers = {}
    for accept in (INTEGRITY, "application/json", "*/*", "text/html", f"text/html, {INTEGRITY};q=0.5", "*/*;q=0"):
        response = await people.anonymous.get(path, headers={"Accept": accept})
        answers[accept] = (response.status, response.headers["Content-Type"] if response.status == 200 else "")
    assert {
        INTEGRITY: (200, INTEGRITY),
        "application/json": (200, "application/json"),
        "*/*": (200, "application/json"),
        "text/html": (406, ""),
        f"text/html, {INTEGRITY};q=0.5": (200, INTEGRITY),
        "*/*;q=0": (406, ""),
    } == answers


async def test_what_was_not_attested_has_no_provenance(people: People, project: Project, developer: Person) -> None:
    digest = await put(developer, project, "demo", "1.0", WHEEL, CONTENT)
    integrity = f"{base(project)}/integrity"

    answers = {
        path: (await people.anonymous.get(f"{integrity}/{path}")).status
        for path in (
            f"demo/1.0/{WHEEL}/provenance",
            f"demo/1.0/{WHEEL}/provenance?sha256={digest}",
            f"demo/1.0/{WHEEL}/provenance?sha256=x",
            f"demo/2.0/{WHEEL}/provenance",
            "other/1.0/other-1.0.zip/provenance",
        )
    }
    assert [404, 404, 400, 404, 404] == list(answers.values()), answers


async def test_provenance_of_a_quarantined_name_is_refused_like_its_files(
    people: People, project: Project, developer: Person, authority: Authority
) -> None:
    made = json.dumps([authority.attestation(WHEEL, CONTENT)])
    await put(developer, project, "demo", "1.0", WHEEL, CONTENT, attestations=made)
    path = f"{base(project)}/integrity/demo/1.0/{WHEEL}/provenance"
    answers = []
    for status in ("active", "quarantined", "archived"):
        given: dict[str, Any] = {"status": status, "reason": None}
        await standings.set_status(people.services.db, OPERATOR, project, "pypi", "demo", **given)
        answers.append((await people.anonymous.get(path)).status)

    assert [200, 403, 200] == answers


async def test_provenance_of_a_hidden_project_is_hidden(people: People, authority: Authority) -> None:
    group = await people.group(visibility="public")
    hidden = await people.project(group, visibility="private")
    developer = await people.member(hidden, AccessLevel.DEVELOPER)
    made = json.dumps([authority.attestation(WHEEL, CONTENT)])
    await put(developer, hidden, "demo", "1.0", WHEEL, CONTENT, attestations=made)

    rest = f"integrity/demo/1.0/{WHEEL}/provenance"
    assert [401, 404, 200] == [
        (await person.get(f"{base(place)}/{rest}")).status
        for person, place in ((people.anonymous, hidden), (people.anonymous, group), (developer, group))
    ]


async def test_files_of_one_name_in_two_projects_keep_their_own_provenance(
    people: People, authority: Authority
) -> None:
    group = await people.group(visibility="public")
    contents = [CONTENT, a_wheel(extra={"demo/more.py": b""})]
    for content in contents:
        project = await people.project(group, visibility="public")
        made = json.dumps([authority.attestation(WHEEL, content)])
        await put(people.root, project, "demo", "1.0", WHEEL, content, attestations=made)

    response = await people.anonymous.get(f"{base(group)}/simple/demo/", headers={"Accept": V1_JSON})
    for file in json.loads(await response.read())["files"]:
        served = json.loads(await (await people.anonymous.get(below(people, file["provenance"]))).read())
        said = Attestation.model_validate(served["attestation_bundles"][0]["attestations"][0]).statement
        assert file["hashes"]["sha256"] == said["subject"][0]["digest"]["sha256"]


def tampered(attestation: dict[str, Any], change: Callable[[dict[str, Any]], None]) -> list[dict[str, Any]]:
    copy = json.loads(json.dumps(attestation))
    change(copy)
    return [copy]


def about(authority: Authority, name: str = WHEEL, predicate: str = PUBLISH, **more: Any) -> list[dict[str, Any]]:
    digest = {"sha256": sha256(CONTENT)}
    return [as_attestation(authority.bundle(statement(name, digest, predicate, **more)))]


REFUSED: dict[str, tuple[Callable[[Authority], object], str]] = {
    "an empty list": (lambda _: [], "attestations must be a JSON array of at least one attestation"),
    "no list": (lambda a: a.attestation(WHEEL, CONTENT), "attestations must be a JSON array"),
    "no JSON": (lambda _: "[", "attestations is not valid JSON"),
    "a key twice": (lambda _: '[{"version": 1, "version": 1}]', "attestations is not valid JSON"),
    "no number": (lambda _: '[{"version": NaN}]', "attestations is not valid JSON"),
    "half a character": (lambda _: '[{"version": "\\ud800"}]', "attestations is not valid JSON"),
    "too deep": (lambda _: "[" * 100_000, "attestations is not valid JSON"),
    "no attestation": (lambda _: [{}], "an attestation is malformed: version Field required"),
    "another version": (
        lambda a: tampered(a.attestation(WHEEL, CONTENT), lambda one: one.update(version=2)),
        "an attestation is malformed: version",
    ),
    "no log entry": (
        lambda a: tampered(
            a.attestation(WHEEL, CONTENT), lambda one: one["verification_material"].update(transparency_entries=[])
        ),
        "an attestation is malformed: verification_material.transparency_entries",
    ),
    "no certificate": (
        lambda a: tampered(
            a.attestation(WHEEL, CONTENT), lambda one: one["verification_material"].update(certificate="AAAA")
        ),
        "an attestation is malformed: invalid X.509 certificate",
    ),
    "one predicate twice": (
        lambda a: [a.attestation(WHEEL, CONTENT), a.attestation(WHEEL, CONTENT)],
        "attestations may hold one attestation of each predicate type",
    ),
    "another content": (
        lambda a: [a.attestation(WHEEL, b"other")],
        f"the attestation is about a file with the sha256 {sha256(b'other')}",
    ),
    "another file": (
        lambda a: [a.attestation("demo-1.0-py2-none-any.whl", CONTENT)],
        "the attestation is about 'demo-1.0-py2-none-any.whl'",
    ),
    "no file name": (lambda a: about(a, "demo"), "the attestation is about 'demo'"),
    "another predicate": (
        lambda a: about(a, predicate="https://example.com/v1"),
        "the predicate of an attestation must be one of",
    ),
    "an old statement": (
        lambda a: about(a, _type="https://in-toto.io/Statement/v0.1"),
        "the statement of an attestation must be of type",
    ),
    "two subjects": (
        lambda a: about(a, subject=[{"name": WHEEL, "digest": {"sha256": sha256(CONTENT)}}] * 2),
        "an in-toto statement about one subject",
    ),
    "the signature of another": (
        lambda a: tampered(
            a.attestation(WHEEL, CONTENT), lambda one: one.update(envelope=a.attestation(WHEEL, CONTENT)["envelope"])
        ),
        "the attestation is not signed by its certificate",
    ),
}


@pytest.mark.parametrize("title", REFUSED)
def test_a_bad_attestation_is_refused_with_a_reason(authority: Authority, title: str) -> None:
    make, says = REFUSED[title]
    with pytest.raises(Invalid) as refusal:
        inspect(make(authority))
    assert says in refusal.value.text


@pytest.mark.parametrize("title", ["an empty list", "another content"])
async def test_nothing_is_stored_of_a_file_with_a_bad_attestation(
    people: People, project: Project, developer: Person, authority: Authority, title: str
) -> None:
    made, says = REFUSED[title]
    developer.headers.update(ACCEPT)
    response = await developer.upload(
        project, WHEEL, CONTENT, name="demo", version="1.0", attestations=json.dumps(made(authority))
    )

    await check_answer(response, 400, says)
    assert inventory.EMPTY == await inventory.take(people.services)


def test_the_name_of_a_subject_may_be_spelled_otherwise(authority: Authority) -> None:
    attested = attestations.inspect(
        io.BytesIO(),
        text=json.dumps([authority.attestation("My.Demo-1.0.tar.gz", CONTENT)]),
        file_name="my_demo-1.0.0.tar.gz",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        trust={"root": None, "identities": []},
    )
    assert [UNVERIFIED] == publishers(attested)


def test_what_is_kept_is_what_was_checked(authority: Authority) -> None:
    made = authority.attestation(WHEEL, CONTENT)
    (more,) = tampered(made, lambda one: one["verification_material"]["transparency_entries"].append({"logIndex": "7"}))

    attested = inspect([more | {"verified": True, "number": 10**30}])

    (bundle,) = json.loads(attested["provenance"])["attestation_bundles"]
    assert [made] == bundle["attestations"]


async def test_a_signer_with_a_name_that_cannot_be_stored_has_none(
    people: People, project: Project, developer: Person, authority: Authority
) -> None:
    made = authority.attestation(WHEEL, CONTENT, identity=Identity(name="a\0b@acme.example", claims={12: "a\0b"}))

    await put(developer, project, "demo", "1.0", WHEEL, CONTENT, attestations=json.dumps([made]))

    (package,) = await (await developer.get(f"/api/v4/projects/{project.id}/packages")).json()
    files = await developer.get(f"/api/v4/projects/{project.id}/packages/{package['id']}/package_files")
    assert [{"predicate_type": PUBLISH, "verified": False, "issuer": GITHUB, "identity": "", "claims": {}}] == (
        await files.json()
    )[0]["attestations"]


def test_nobody_is_verified_without_a_trust_root_and_expected_identities(
    authority: Authority, trust_root: Path
) -> None:
    made = [authority.attestation(WHEEL, CONTENT)]
    found = [inspect(made), inspect(made, identities=(EXPECTED,)), inspect(made, root=trust_root)]

    assert [[UNVERIFIED], [UNVERIFIED], [BY_GITHUB]] == [publishers(one) for one in found]
    assert [False] * 3 == [one["attestations"][0]["verified"] for one in found]


def test_pypi_attestations_reads_what_a_trust_root_proves_and_nothing_else(
    authority: Authority, trust_root: Path
) -> None:
    made = [authority.attestation(WHEEL, CONTENT)]

    served = Provenance.model_validate_json(inspect(made, root=trust_root)["provenance"])
    with pytest.raises(ValidationError, match="'unverified'"):
        Provenance.model_validate_json(inspect(made)["provenance"])

    assert [GitHubPublisher(repository="acme/tool", workflow="release.yml")] == [
        bundle.publisher for bundle in served.attestation_bundles
    ]


def test_a_verified_signer_is_named_by_the_kind_of_its_issuer(authority: Authority, trust_root: Path) -> None:
    at_gitlab = {
        12: "https://gitlab.com/acme/tools/one",
        18: "https://gitlab.com/acme/tools/one//.gitlab-ci.yml@refs/tags/v1",
    }
    elsewhere = {number: text.replace("//gitlab.com", "//gitlab.acme.example") for number, text in at_gitlab.items()}
    foreign = {12: "https://github.com/acme/tool", 18: "https://github.com/evil/x/.github/workflows/a.yml@refs/tags/v1"}
    own = Identity("https://gitlab.acme.example", elsewhere[18], elsewhere)
    robot = Identity("https://accounts.google.com", "robot@acme.example", {})
    people = {
        "GitHub": (Identity(), BY_GITHUB),
        "GitLab": (
            Identity(GITLAB, at_gitlab[18], at_gitlab),
            {
                "kind": "GitLab",
                "repository": "acme/tools/one",
                "workflow_filepath": ".gitlab-ci.yml",
                "environment": None,
            },
        ),
        "Google": (robot, {"kind": "Google", "email": robot.name}),
        "own": (own, {"kind": "Sigstore", "claims": {"issuer": own.issuer, "identity": own.name}}),
        "foreign workflow": (
            Identity(GITHUB, foreign[18], foreign),
            {"kind": "Sigstore", "claims": {"issuer": GITHUB, "identity": foreign[18]}},
        ),
    }
    for title, (identity, expected) in people.items():
        made = [authority.attestation(WHEEL, CONTENT, identity=identity)]
        attested = inspect(made, root=trust_root, identities=(f"{identity.issuer} *",))
        assert [expected] == publishers(attested), title
        assert [True] == [one["verified"] for one in attested["attestations"]], title


@pytest.mark.usefixtures("trusting")
async def test_what_does_not_verify_before_the_trust_root_is_refused(
    people: People, project: Project, developer: Person, authority: Authority
) -> None:
    """The identities in force are those of the group, as the project has none of its own."""
    developer.headers.update(ACCEPT)
    group = await people.services.lookups.group(str(project.namespace_id))
    assert group is not None
    await set_settings(people, group, attestation_identities=[EXPECTED])
    other = Identity(GITHUB, "https://github.com/evil/tool/.github/workflows/release.yml@refs/tags/v1")
    for made, says in (
        (Authority().attestation(WHEEL, CONTENT), "the attestation does not verify"),
        (authority.attestation(WHEEL, CONTENT, identity=other), "which attestation_identities does not name"),
    ):
        response = await developer.upload(
            project, WHEEL, CONTENT, name="demo", version="1.0", attestations=json.dumps([made])
        )
        await check_answer(response, 400, says)
        assert inventory.EMPTY == await inventory.take(people.services)


@pytest.mark.usefixtures("trusting")
async def test_a_trust_root_that_cannot_be_used_is_not_the_clients_fault(
    people: People, project: Project, developer: Person, authority: Authority, trust_root: Path
) -> None:
    await asyncio.to_thread(trust_root.write_text, "{}")
    made = json.dumps([authority.attestation(WHEEL, CONTENT)])
    response = await developer.upload(project, WHEEL, CONTENT, name="demo", version="1.0", attestations=made)

    assert 503 == response.status
    assert "cannot be verified for the moment" in (await response.json())["message"]
    assert inventory.EMPTY == await inventory.take(people.services)
