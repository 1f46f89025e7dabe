"""The balancer for real: `deploy/nginx.conf` in front of two servers, and in front of one that misbehaves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from tests.cli.processes import TOKEN, serving
from tests.clients import npm, pypi
from tests.clients.process import Client
from tests.deploy.balancer import balancing


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Replica:
    """A server that notes what arrives; told to `fail`, it reads a request and hangs up."""

    fail: bool = False
    port: int = 0
    received: int = 0
    seen: list[tuple[str, str, dict[str, str], int]] = field(default_factory=list)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        before = self.received
        async for piece in request.content.iter_any():
            self.received += len(piece)
        headers = {name: value for name, value in request.headers.items() if name.startswith(("X-", "Forw", "Host"))}
        self.seen.append((request.method, request.raw_path, headers, self.received - before))
        if self.fail:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(text="ok")


@pytest.fixture
async def replicas() -> AsyncIterator[list[Replica]]:
    pair = [Replica(), Replica()]
    async with contextlib.AsyncExitStack() as stack:
        for one in pair:
            runner = web.ServerRunner(web.Server(one.handle))
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            one.port = runner.addresses[0][1]
        yield pair


@pytest.fixture
async def through(nginx: str, replicas: list[Replica], tmp_path: Path) -> AsyncIterator[str]:
    with balancing(nginx, tmp_path, free_port(), [one.port for one in replicas]) as address:
        yield address


def seen(replicas: list[Replica]) -> list[tuple[str, str, dict[str, str], int]]:
    return [request for one in replicas for request in one.seen]


async def test_paths_go_on_as_they_came_and_clients_are_not_believed(
    through: str, replicas: list[Replica], tmp_path: Path
) -> None:
    said = {"X-Forwarded-For": "1.2.3.4", "X-Forwarded-Host": "evil.example", "Forwarded": "for=1.2.3.4"}
    path = "/api/v4/projects/acme%2Ftools/packages/npm/@acme%2fwidget"
    url = URL(f"{through}{path}?private_token=secret", encoded=True)
    async with aiohttp.ClientSession() as client, client.get(url, headers=said) as answer:
        assert answer.status == 200

    ((method, raw_path, headers, _),) = seen(replicas)
    host = through.removeprefix("http://")
    assert (method, raw_path) == ("GET", f"{path}?private_token=secret")
    assert headers == {
        "Host": host,
        "X-Real-IP": "127.0.0.1",
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": host,
    }
    (line,) = (tmp_path / "access.log").read_text().splitlines()
    assert json.loads(line)["status"] == 200
    assert "secret" not in line


async def test_no_secret_in_a_path_is_written_down(through: str, replicas: list[Replica], tmp_path: Path) -> None:
    npm = "/api/v4/projects/1/packages/npm/-"
    known = (f"{npm}/user/token/", f"{npm}/npm/v1/tokens/token/", "/-/npm/v1/login/")
    async with aiohttp.ClientSession() as client:
        for path in known:
            assert (await client.get(f"{through}{path}glpat-secret/done")).status == 200

    lines = [json.loads(line) for line in (tmp_path / "access.log").read_text().splitlines()]
    assert [f"{path}..." for path in known] == [line["path"] for line in lines]
    assert sorted(f"{path}glpat-secret/done" for path in known) == sorted(path for _, path, _, _ in seen(replicas))


async def test_what_is_for_operators_is_not_shown(through: str, replicas: list[Replica]) -> None:
    paths = ["/-/metrics", "/-/readiness", "/-/liveness", "/%2d/metrics", "/a/../-/metrics", "/-/metrics?a=b"]
    async with aiohttp.ClientSession() as client:
        statuses = [(await client.get(URL(through + path, encoded=True))).status for path in paths]

    assert (statuses, seen(replicas)) == ([404] * len(paths), [])


async def test_a_body_of_any_size_streams_through_and_nothing_is_kept(
    through: str, replicas: list[Replica], tmp_path: Path
) -> None:
    size = 8 * 2**20

    async def body() -> AsyncIterator[bytes]:
        yield bytes(size)
        # With a balancer that keeps bodies until they are complete, nothing would ever arrive.
        while sum(one.received for one in replicas) < size:
            await asyncio.sleep(0.01)
        yield b"end"

    async with aiohttp.ClientSession() as client, client.put(through, data=body()) as answer:
        assert answer.status == 200

    assert [length for *_, length in seen(replicas)] == [size + 3]
    assert list((tmp_path / "client_body").iterdir()) == []


@pytest.mark.parametrize(
    ("method", "size", "tries"),
    [
        ("GET", 0, 2),
        ("DELETE", 0, 2),
        ("PUT", 1, 2),
        ("PUT", 2**20, 1),
        ("POST", 0, 1),
        ("POST", 1, 1),
        ("PATCH", 1, 1),
    ],
)
async def test_only_what_may_be_repeated_is_sent_to_a_second_replica(
    through: str, replicas: list[Replica], method: str, size: int, tries: int
) -> None:
    for one in replicas:
        one.fail = True

    async with aiohttp.ClientSession() as client, client.request(method, through, data=bytes(size)) as answer:
        assert answer.status == 502

    assert len(seen(replicas)) == tries


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
async def test_a_replica_that_is_gone_is_gone_around(
    nginx: str, replicas: list[Replica], tmp_path: Path, method: str
) -> None:
    with balancing(nginx, tmp_path, free_port(), [free_port(), replicas[0].port]) as address:
        async with aiohttp.ClientSession() as client:
            statuses = [(await client.request(method, address, data=b"a")).status for _ in range(4)]

    assert (statuses, len(seen(replicas))) == ([200] * 4, 4)


@pytest.mark.client
async def test_real_clients_publish_and_install_through_it(
    nginx: str, find_client: Callable[[str], Client], database_url: str, tmp_path: Path
) -> None:
    twine, npm_client = find_client("twine"), find_client("npm-11")
    port, *ports = (free_port() for _ in range(3))
    common = {
        "external_url": f"http://127.0.0.1:{port}",
        "database_url": database_url,
        "storage_url": (tmp_path / "objects").as_uri(),
        "root_token": TOKEN,
        "trusted_proxies": "127.0.0.1/32",
    }
    with contextlib.ExitStack() as stack:
        for name, one in zip(("one", "two"), ports, strict=True):
            stack.enter_context(serving(tmp_path / name, "--port", str(one), **common))
        address = stack.enter_context(balancing(nginx, tmp_path, port, ports))
        async with aiohttp.ClientSession(address, headers={"PRIVATE-TOKEN": TOKEN}) as client:
            async with client.post("/api/v4/projects", json={"name": "tools", "path": "tools"}) as answer:
                project = (await answer.json())["id"]
            base = f"/api/v4/projects/{project}/packages"

            await _publish_python(twine, f"{address}{base}/pypi", tmp_path)
            await _publish_and_install_node(npm_client, f"{address}{base}/npm/", tmp_path)

            # Each of the two replicas shows both, whoever took them.
            for _ in range(4):
                async with client.get(f"{base}/pypi/simple/demo/") as answer:
                    assert (answer.status, "demo-1.0.tar.gz" in await answer.text()) == (200, True)
                async with client.get(URL(f"{address}{base}/npm/@acme%2fwidget", encoded=True)) as answer:
                    assert list((await answer.json())["versions"]) == ["1.0.0"]
    upstreams = {json.loads(line)["upstream"] for line in (tmp_path / "access.log").read_text().splitlines()}
    assert {f"127.0.0.1:{one}" for one in ports} <= upstreams


async def _publish_python(twine: Client, url: str, directory: Path) -> None:
    files = pypi.distributions(directory / "dist")
    environment = pypi.publish_environment(twine, url, ("__token__", TOKEN))
    result = await pypi.start(twine, "upload", "--non-interactive", *files, cwd=directory, env=environment)
    assert result.code == 0, result.text


async def _publish_and_install_node(client: Client, url: str, directory: Path) -> None:
    settings = f"@acme:registry={url}\n{url.removeprefix('http:')}:_authToken={TOKEN}\n"
    package = npm.write_package(directory / "widget", "@acme/widget", "1.0.0")
    application = npm.write_application(directory / "application", {"@acme/widget": "1.0.0"})
    for place in (package, application):
        (place / ".npmrc").write_text(settings)

    await npm.done(client, *npm.PUBLISH[client.name], cwd=package)
    await npm.done(client, *npm.INSTALL[client.name], cwd=application)

    assert npm.installed(application) == {"@acme/widget": "1.0.0"}
