"""Clients whose server fails, dies, or is left: what they do by themselves, and what running them again does."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from registry import failpoints, metrics
from registry.services import Services
from tests.clients import npm, pypi
from tests.clients.process import Client, Result
from tests.clients.toolbox import Missing, find
from tests.faults import invariants
from tests.faults.conftest import Fork, NewPlace
from tests.faults.deeds import SMALL, Place, seen
from tests.formats.pypi.forms import CONTENT_TYPE, upload
from tests.people import ROOT_TOKEN, People

# What a client leaves behind is gone this soon.
SOON_SECONDS = 5
POINTS = ("ingest.after-piece", "publish.before-commit", "publish.after-commit")


async def twine(place: Place, port: int, directory: Path) -> Result:
    client = _client("twine")
    url = f"http://127.0.0.1:{port}/api/v4/projects/{place.project.id}/packages/pypi"
    files = await asyncio.to_thread(pypi.distributions, directory)
    environment = pypi.publish_environment(client, url, ("root", ROOT_TOKEN))
    arguments = ("upload", "--non-interactive", "--disable-progress-bar", files[0])
    return await pypi.start(client, *arguments, cwd=directory, env=environment)


async def npm_publish(place: Place, port: int, directory: Path) -> Result:
    client = _client("npm-11")
    npm.write_package(directory, "demo", "1.0.0")
    url = f"//127.0.0.1:{port}/api/v4/projects/{place.project.id}/packages/npm/"
    (directory / ".npmrc").write_text(
        f"registry=http:{url}\n{url}:_authToken={ROOT_TOKEN}\nfetch-retry-mintimeout=100\n"
    )
    return await npm.start(client, "publish", cwd=directory)


def _client(name: str) -> Client:
    try:
        return find(name)
    except Missing as missing:
        pytest.skip(str(missing))


PUBLISHERS = {"pypi": twine, "npm": npm_publish}


@pytest.mark.client
@pytest.mark.parametrize("kind", PUBLISHERS)
async def test_twine_and_npm_repeat_what_failed_by_themselves_and_it_is_published_once(
    services: Services, people: People, new_place: NewPlace, tmp_path: Path, kind: str, subtests: pytest.Subtests
) -> None:
    for point in POINTS:
        with subtests.test(point):
            place = await new_place()
            failpoints.arm(f"{point}#1:raise")
            result = await PUBLISHERS[kind](place, people.client.port or 0, tmp_path / point)
            assert failpoints.reached() >= 1
            failpoints.arm(None)
            # npm 11 and 12 send no npm-session, by which a lost answer would be told from a second publish: they are
            # told that the version is there, which it is.
            taken = (kind, point) == ("npm", "publish.after-commit")
            assert (taken, "E403" in result.text) == (result.code != 0, taken), result.text
            await _is_published(services, place, people.client.port or 0, kind)


@pytest.mark.client
@pytest.mark.parametrize("kind", PUBLISHERS)
async def test_a_client_whose_server_died_before_the_commit_is_run_again_and_succeeds(
    services: Services, people: People, new_place: NewPlace, fork: Fork, tmp_path: Path, kind: str
) -> None:
    place = await new_place()
    async with fork("publish.before-commit:kill") as victim:
        assert 0 != (await PUBLISHERS[kind](place, victim.port, tmp_path / "package")).code
        assert -signal.SIGKILL == await victim.end()
    result = await PUBLISHERS[kind](place, people.client.port or 0, tmp_path / "package")
    assert 0 == result.code, result.text
    await _is_published(services, place, people.client.port or 0, kind)


async def _is_published(services: Services, place: Place, port: int, kind: str) -> None:
    await invariants.clean(services)
    assert [] == await invariants.violations(services) + await invariants.left_over(services)
    assert 1 == len((await seen(place, port, kind))["versions"])


# --- clients that go away ---------------------------------------------------------------------------------------------


async def _send(place: Place, port: int, *, missing: int) -> asyncio.StreamWriter:
    """An upload of which the last bytes are missing."""
    body = upload(content=SMALL * 2000)
    head = (
        f"POST /api/v4/projects/{place.project.id}/packages/pypi HTTP/1.1\r\nHost: x\r\n"
        f"PRIVATE-TOKEN: {ROOT_TOKEN}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head.encode() + body[: len(body) - missing])
    await writer.drain()
    return writer


async def _soon(happened: Callable[[], object]) -> None:
    async with asyncio.timeout(SOON_SECONDS):
        while not happened():
            await asyncio.sleep(0.02)


def _budget() -> float:
    return metrics.REGISTRY.get_sample_value("registry_upload_budget_bytes") or 0


async def test_a_client_that_goes_away_in_the_middle_frees_its_memory_and_leaves_nothing(
    services: Services, people: People, new_place: NewPlace
) -> None:
    place, port = await new_place(), people.client.port or 0
    failpoints.arm("ingest.after-piece:hang")
    writer = await _send(place, port, missing=1000)
    await _soon(failpoints.reached)
    writer.transport.abort()
    failpoints.arm(None)
    await _soon(lambda: _budget() == 0)
    assert [] == await invariants.left_over(services)
    assert {"stages": []} == await seen(place, port, "pypi")


async def test_a_client_that_goes_away_after_the_last_byte_has_published_and_may_repeat_it(
    services: Services, new_place: NewPlace, fork: Fork
) -> None:
    place = await new_place()
    # Not in this process: aiohttp's test server cancels handlers whose client is gone, the one in production does not.
    async with fork("publish.before-transaction#1:hang", registry__failpoints__HANG_SECONDS=1.0) as replica:
        writer = await _send(place, replica.port, missing=0)
        async with asyncio.timeout(SOON_SECONDS):
            while not await services.db.fetchval("SELECT count(*) FROM blobs WHERE sha256 IS NOT NULL"):
                await asyncio.sleep(0.02)
        writer.transport.abort()
        async with asyncio.timeout(SOON_SECONDS):
            while not await services.db.fetchval("SELECT count(*) FROM package_files"):
                await asyncio.sleep(0.02)
        headers = {"Content-Type": CONTENT_TYPE}
        status, _ = await place.ask(replica.port, "POST", "packages/pypi", body=upload(content=SMALL * 2000), **headers)
    assert 201 == status
    assert [] == await invariants.violations(services) + await invariants.left_over(services)
