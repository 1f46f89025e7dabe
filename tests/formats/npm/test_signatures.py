"""Registry signatures: which versions have one, what it says, and the keys that verify it."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import SecretStr

from registry import catalog, signing
from registry.formats.npm.signatures import signed_text
from registry.model import Group, Project
from registry.services import Services
from registry.settings import Settings
from tests import inventory
from tests.api.asking import events
from tests.formats.npm.transcripts import ABBREVIATED, a_publication, base, packument, path, publish, refused, send
from tests.people import OPERATOR, People

PEM, OTHER = signing.generate(), signing.generate()
NAME = "@acme/widget"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, signing_key=SecretStr(PEM))


async def take_up(services: Services, pem: str | None) -> None:
    """Configure a key, or none, as a restart would."""
    object.__setattr__(services.settings, "signing_key", None if pem is None else SecretStr(pem))
    if pem is not None:
        await signing.register(services.db, OPERATOR, signing.load(pem))


async def keys(people: People, place: Project | Group | None) -> Any:
    response = await people.anonymous.get(path(place, "-/npm/v1/keys"))
    assert 200 == response.status
    return (await response.json())["keys"]


async def signatures(people: People, project: Project, version: str = "1.0.0") -> Any:
    found = await packument(people.root, project, NAME)
    return found["versions"][version]["dist"].get("signatures")


def verify(key: dict[str, str], name: str, manifest: dict[str, Any]) -> None:
    """What npm and pnpm do."""
    (signature,) = manifest["dist"]["signatures"]
    assert {"keyid", "sig"} == set(signature)
    assert key["keyid"] == signature["keyid"]
    public = serialization.load_der_public_key(base64.b64decode(key["key"]))
    assert isinstance(public, ec.EllipticCurvePublicKey)
    text = f"{name}@{manifest['version']}:{manifest['dist']['integrity']}"
    public.verify(base64.b64decode(signature["sig"]), text.encode(), ec.ECDSA(hashes.SHA256()))


async def test_every_document_shows_one_signature_that_the_served_key_verifies(
    people: People, services: Services, project: Project, group: Group
) -> None:
    await take_up(services, PEM)
    await publish(people.root, project, NAME, "1.0.0")

    for place in (project, group, None):
        (key,) = await keys(people, place)
        assert {"expires": None, "keytype": "ecdsa-sha2-nistp256", "scheme": "ecdsa-sha2-nistp256"} == {
            name: key[name] for name in ("expires", "keytype", "scheme")
        }
        full = (await packument(people.root, place, NAME))["versions"]["1.0.0"]
        short = (await packument(people.root, place, NAME, Accept=ABBREVIATED))["versions"]["1.0.0"]
        alone = await (await people.root.get(path(place, f"{NAME}/latest"))).json()
        for manifest in (full, short, alone):
            verify(key, NAME, manifest)
            assert full["dist"]["signatures"] == manifest["dist"]["signatures"]


async def test_without_a_key_nothing_is_signed_and_no_keys_are_told(
    people: People, services: Services, project: Project
) -> None:
    await take_up(services, None)
    await publish(people.root, project, NAME, "1.0.0")

    assert None is await signatures(people, project)
    assert (404, "Not found") == await refused(await people.root.get(path(project, "-/npm/v1/keys")))


async def test_the_keys_are_told_to_everybody_whatever_the_place(
    people: People, services: Services, group: Group
) -> None:
    await take_up(services, PEM)
    hidden = await people.project(group, visibility="private")

    assert await keys(people, None) == await keys(people, hidden)
    response = await people.anonymous.get(f"{base(hidden).replace(str(hidden.id), '999999')}/-/npm/v1/keys")
    assert 200 == response.status


async def test_a_rotation_leaves_older_signatures_and_tells_when_the_old_key_ended(
    people: People, services: Services, project: Project
) -> None:
    await take_up(services, PEM)
    await publish(people.root, project, NAME, "1.0.0")
    before = await signatures(people, project)
    await take_up(services, OTHER)
    ends = datetime(2026, 1, 1, 12, tzinfo=UTC)
    await signing.expire(services.db, OPERATOR, signing.load(PEM).id, ends)
    await publish(people.root, project, NAME, "2.0.0")

    assert before == await signatures(people, project)
    assert [signing.load(OTHER).id] == [one["keyid"] for one in await signatures(people, project, "2.0.0")]
    assert [(signing.load(PEM).id, "2026-01-01T12:00:00.000Z"), (signing.load(OTHER).id, None)] == [
        (key["keyid"], key["expires"]) for key in await keys(people, project)
    ]


async def test_a_key_that_expired_signs_nothing_more(people: People, services: Services, project: Project) -> None:
    await take_up(services, PEM)
    key_id = signing.load(PEM).id
    await signing.expire(services.db, OPERATOR, key_id, datetime.now(UTC) - timedelta(seconds=1))
    before = await inventory.take(services)

    response = await send(people.root, project, a_publication(NAME, "1.0.0"))

    text = f"the signing key {key_id} has expired: this server needs a new one"
    assert (503, text) == await refused(response)
    assert before == await inventory.take(services)


async def test_a_key_that_a_restored_database_lacks_is_made_known_again(
    people: People, services: Services, project: Project
) -> None:
    await publish(people.root, project, NAME, "1.0.0")

    (key,) = await keys(people, project)
    verify(key, NAME, (await packument(people.root, project, NAME))["versions"]["1.0.0"])


async def test_what_was_published_before_is_signed_later_and_seen_at_once(
    people: People, services: Services, project: Project
) -> None:
    await take_up(services, None)
    await publish(people.root, project, NAME, "1.0.0")
    await publish(people.root, project, "gadget", "1.0.0")
    assert None is await signatures(people, project)
    await take_up(services, PEM)
    await publish(people.root, project, NAME, "2.0.0")
    newer = await signatures(people, project, "2.0.0")
    revision = (await packument(people.root, project, NAME))["_rev"]

    async def sign(pem: str, *, again: bool = False) -> int:
        key = signing.load(pem)
        return await catalog.sign(services.db, OPERATOR, key, "npm", signed_text, again=again)

    assert [2, 0, 0] == [await sign(PEM), await sign(PEM), await sign(PEM, again=True)]
    found = await packument(people.root, project, NAME)
    (key,) = await keys(people, project)
    for version in ("1.0.0", "2.0.0"):
        verify(key, NAME, found["versions"][version])
    assert newer == found["versions"]["2.0.0"]["dist"]["signatures"]
    assert revision != found["_rev"]

    await take_up(services, OTHER)
    assert [0, 3] == [await sign(OTHER), await sign(OTHER, again=True)]
    assert [signing.load(OTHER).id] == [one["keyid"] for one in await signatures(people, project)]
    assert ["packages_signed"] * 2 == [name for name in await events(services) if name == "packages_signed"]
