"""Attestations on their way through the clients that carry them: what a user publishes is what readers get."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pypi_attestations import Attestation

from registry.access import AccessLevel
from registry.model import Project
from tests import inventory
from tests.clients import packing
from tests.clients.npm import configure, done, write_package
from tests.clients.process import Client, Result
from tests.clients.pypi import publish_environment, start, upload_url
from tests.formats.npm.transcripts import below, packument
from tests.formats.pypi.pages import V1_JSON, base, set_settings
from tests.people import People, Person
from tests.sigstore_authority import SLSA, Authority, statement

pytestmark = pytest.mark.client

FindClient = Callable[[str], Client]
WHEEL = "demo-1.0-py3-none-any.whl"
WITHOUT_SIGSTORE = Path(__file__).with_name("without_sigstore.js")


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
async def project(people: People) -> Project:
    project = await people.project(await people.group("acme", visibility="private"), visibility="private")
    await set_settings(people, project, npm_package_requests_forwarding=False)
    return project


@pytest.fixture
async def developer(people: People, project: Project) -> Person:
    return await people.member(project, AccessLevel.DEVELOPER)


def write_attested(directory: Path, authority: Authority, about: bytes | None = None) -> str:
    """A wheel, and beside it an attestation of it, or of another content; answers the attestation's text."""
    directory.mkdir(parents=True)
    content = packing.wheel("demo", "1.0")
    made = json.dumps(authority.attestation(WHEEL, content if about is None else about))
    (directory / WHEEL).write_bytes(content)
    (directory / f"{WHEEL}.publish.attestation").write_text(made)
    return made


async def publish_attested(client: Client, people: People, project: Project, person: Person, directory: Path) -> Result:
    """What the manuals of the two clients that send attestations say."""
    more = ("--disable-progress-bar", "--attestations") if client.name.startswith("twine") else ()
    command = ("upload", *more) if more else ("publish", "--trusted-publishing", "never")
    files = [directory / WHEEL, directory / f"{WHEEL}.publish.attestation"]
    env = publish_environment(client, upload_url(people, project), ("somebody", person.token or ""))
    return await start(client, *command, *files, cwd=directory, env=env)


@pytest.mark.parametrize("name", ["twine", "uv"])
async def test_an_attestation_beside_a_wheel_is_published_and_served(
    people: People,
    project: Project,
    developer: Person,
    authority: Authority,
    find_client: FindClient,
    tmp_path: Path,
    name: str,
) -> None:
    made = write_attested(tmp_path / "dist", authority)

    result = await publish_attested(find_client(name), people, project, developer, tmp_path / "dist")

    assert 0 == result.code, result.text
    page = await developer.get(f"{base(project)}/simple/demo/", headers={"Accept": V1_JSON})
    (file,) = json.loads(await page.read())["files"]
    served = json.loads(await (await developer.get(below(file["provenance"]))).read())
    ((attestation,),) = [bundle["attestations"] for bundle in served["attestation_bundles"]]
    assert Attestation.model_validate_json(made) == Attestation.model_validate(attestation)


@pytest.mark.parametrize("name", ["twine", "uv"])
async def test_an_attestation_of_another_content_is_refused_in_words_the_user_reads(
    people: People,
    project: Project,
    developer: Person,
    authority: Authority,
    find_client: FindClient,
    tmp_path: Path,
    name: str,
) -> None:
    write_attested(tmp_path / "dist", authority, about=b"other")

    result = await publish_attested(find_client(name), people, project, developer, tmp_path / "dist")

    assert 0 != result.code
    assert "the attestation is about a file with the sha256" in " ".join(result.text.split()), result.text
    assert inventory.EMPTY == await inventory.take(people.services)


@pytest.mark.parametrize("name", ["npm-11", "npm-12"])
async def test_a_provenance_file_is_published_and_served(
    people: People,
    project: Project,
    developer: Person,
    authority: Authority,
    find_client: FindClient,
    home: Path,
    tmp_path: Path,
    name: str,
) -> None:
    client = find_client(name)
    directory = write_package(tmp_path / "widget", "@acme/widget", "1.0.0")
    configure(client, people, directory, project, developer)
    await done(client, "pack", "--pack-destination", tmp_path, cwd=directory, home=home)
    digest = {"sha512": hashlib.sha512((tmp_path / "acme-widget-1.0.0.tgz").read_bytes()).hexdigest()}
    bundle = authority.bundle(statement("pkg:npm/%40acme/widget@1.0.0", digest, SLSA))
    file = tmp_path / "bundle.sigstore.json"
    file.write_text(json.dumps(bundle))

    options = ("--access", "public", "--provenance-file", file)
    env = {"NODE_OPTIONS": f"--require {WITHOUT_SIGSTORE}"}
    await done(client, "publish", *options, cwd=directory, home=home, env=env)

    attested = (await packument(developer, project, "@acme/widget"))["versions"]["1.0.0"]["dist"]["attestations"]
    answer = await developer.get(below(attested["url"]))
    expected = {"attestations": [{"predicateType": SLSA, "bundle": bundle}]}
    assert expected == json.loads(await answer.read())
