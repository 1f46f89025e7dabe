"""Registry signatures: `audit signatures` of the clients that have it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from registry import signing
from registry.access import AccessLevel
from registry.model import Project
from registry.services import Services
from registry.settings import Settings
from tests.clients.npm import INSTALL, configure, done, start, write_application
from tests.clients.process import Client
from tests.formats.npm.transcripts import publish, set_settings
from tests.people import OPERATOR, People, Person

pytestmark = pytest.mark.client

FindClient = Callable[[str], Client]
PEM = signing.generate()
PACKAGES = ("@acme/widget", "gadget")
WITHOUT_TUF = {"NODE_OPTIONS": f"--require={Path(__file__).with_name('tuf_without_network.cjs')}"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, signing_key=SecretStr(PEM))


@pytest.fixture
async def project(people: People) -> Project:
    await set_settings(people, None, npm_package_requests_forwarding=False)
    return await people.project(await people.group("acme"))


@pytest.fixture
async def reader(people: People, project: Project) -> Person:
    return await people.member(project, AccessLevel.REPORTER)


async def take_up(services: Services, pem: str | None) -> str:
    """Configure a key, or none, as a restart would; answers its id."""
    object.__setattr__(services.settings, "signing_key", None if pem is None else SecretStr(pem))
    if pem is None:
        return ""
    key = signing.load(pem)
    await signing.register(services.db, OPERATOR, key)
    return key.id


async def audit(
    people: People, client: Client, directory: Path, home: Path, project: Project, reader: Person
) -> tuple[int, str]:
    """Install everything and audit its signatures: the exit code and what was said."""
    write_application(directory, dict.fromkeys(PACKAGES, "1.0.0"))
    configure(client, people, directory, project, reader)
    await done(client, *INSTALL[client.name], cwd=directory, home=home)
    result = await start(client, "audit", "signatures", cwd=directory, home=home, env=WITHOUT_TUF)
    return result.code, result.text


@pytest.mark.parametrize("name", ["npm-11", "npm-12", "pnpm"])
async def test_all_signatures_are_verified_also_those_of_a_key_that_has_expired_since(
    people: People,
    services: Services,
    project: Project,
    reader: Person,
    find_client: FindClient,
    home: Path,
    tmp_path: Path,
    name: str,
) -> None:
    old = await take_up(services, signing.generate())
    await publish(people.root, project, PACKAGES[0], "1.0.0")
    await take_up(services, signing.generate())
    await signing.expire(services.db, OPERATOR, old, datetime.now(UTC))
    await publish(people.root, project, PACKAGES[1], "1.0.0")

    code, text = await audit(people, find_client(name), tmp_path / "application", home, project, reader)

    assert 0 == code, text
    assert "2 packages have verified registry signatures" in text


@pytest.mark.parametrize("name", ["npm-12", "pnpm"])
async def test_a_signature_that_is_missing_or_of_something_else_is_found(
    people: People,
    services: Services,
    project: Project,
    reader: Person,
    find_client: FindClient,
    home: Path,
    tmp_path: Path,
    name: str,
) -> None:
    await take_up(services, None)
    await publish(people.root, project, PACKAGES[0], "1.0.0")
    key_id = await take_up(services, signing.generate())
    await publish(people.root, project, PACKAGES[1], "1.0.0")
    of_another = signing.facts(signing.Signature(key_id, signing.load(PEM).sign("gadget@1.0.0:sha512-").value))
    await services.db.execute("UPDATE package_files SET facts = facts || $1 WHERE facts ? 'signatures'", of_another)

    code, text = await audit(people, find_client(name), tmp_path / "application", home, project, reader)

    assert 1 == code, text
    for found in ("missing", "@acme/widget@1.0.0", "invalid", "gadget@1.0.0"):
        assert found in text, text
