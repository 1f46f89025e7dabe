"""The drill: publish with real clients, back up, lose everything, restore, and install."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from registry.embedded import running_url
from tests.cli.conftest import a_place
from tests.cli.processes import TOKEN, Serving, registry, serving
from tests.clients.npm import write_application, write_package
from tests.clients.process import Client, run
from tests.clients.pypi import PIP, distributions

pytestmark = pytest.mark.client

FindClient = Callable[[str], Client]


@pytest.fixture
def place() -> Iterator[Path]:
    yield from a_place()


def test_what_was_published_before_the_backup_is_installed_after_the_disaster(
    place: Path, tmp_path: Path, find_client: FindClient
) -> None:
    data, backup = place / "data", place / "backup"
    settings = {"data_dir": str(data), "root_token": TOKEN}
    with serving(place / "first", **settings) as server:
        status, project = server.ask("POST", "/api/v4/projects", {"name": "demo"})
        assert 201 == status
        base = f"/api/v4/projects/{project['id']}/packages"
        publish(find_client, server, base, tmp_path, "1.0")
        # While it runs.
        made = registry("backup", str(backup), **settings)
        assert (0, "") == (made.returncode, made.stderr)
        assert ", 3 objects, " in made.stdout
        publish(find_client, server, base, tmp_path, "2.0")
        assert 1 == registry("backup", str(backup), **settings).returncode
        over = registry("restore", str(backup), **settings)
        refusal = f"registry: {data} is not empty: a backup is restored into a new data directory only\n"
        assert (2, refusal) == (over.returncode, over.stderr)
        before = asyncio.run(position(data))
        assert 0 == server.stop()
    shutil.rmtree(data)

    restored = registry("restore", str(backup), "--verify", **settings)

    assert (0, "registry fsck: everything is in order\n") == (restored.returncode, restored.stderr)
    assert ["objects", "postgres"] == sorted(path.name for path in data.iterdir())
    with serving(place / "second", **settings) as server:
        # Numbers that were given out after the backup are not given out again.
        assert all(was < now for was, now in zip(before, asyncio.run(position(data)), strict=True))
        install(find_client, server, base, tmp_path / "once", "1.0")
        publish(find_client, server, base, tmp_path, "2.0")
        checked = registry("fsck", "--deep", **settings)
        assert (0, "") == (checked.returncode, checked.stdout)


def publish(find_client: FindClient, server: Serving, base: str, directory: Path, version: str) -> None:
    """With twine and npm."""
    url = f"http://127.0.0.1:{server.port}{base}"
    environment = {"TWINE_REPOSITORY_URL": f"{url}/pypi", "TWINE_USERNAME": "root", "TWINE_PASSWORD": TOKEN}
    files = distributions(directory / "dist" / version, version)
    result = run(find_client("twine"), "upload", *files, cwd=directory, env=environment)
    assert 0 == result.code, result.text
    package = write_package(directory / f"widget-{version}", "widget", f"{version}.0")
    npmrc(package, url)
    result = run(find_client("npm-12"), "publish", cwd=package)
    assert 0 == result.code, result.text


def install(find_client: FindClient, server: Serving, base: str, directory: Path, version: str) -> None:
    """With pip and npm, the newest there is."""
    application = write_application(directory, {"widget": "*"})
    npmrc(application, f"http://127.0.0.1:{server.port}{base}")
    result = run(find_client("npm-12"), "install", "--no-audit", cwd=application)
    assert 0 == result.code, result.text
    assert f'"widget {version}.0"' in (application / "node_modules" / "widget" / "index.js").read_text()
    index = f"http://root:{TOKEN}@127.0.0.1:{server.port}{base}/pypi/simple"
    target = directory / "target"
    arguments = ("install", *PIP, "--trusted-host", "127.0.0.1", "--index-url", index, "--target", target, "demo")
    result = run(find_client("pip"), *arguments, cwd=directory)
    assert 0 == result.code, result.text
    assert (target / f"demo-{version}.dist-info").is_dir()


def npmrc(directory: Path, url: str) -> None:
    lines = (f"registry={url}/npm/", f"{url.removeprefix('http:')}/npm/:_authToken={TOKEN}")
    (directory / ".npmrc").write_text("".join(f"{line}\n" for line in lines))


async def position(data: Path) -> tuple[int, int]:
    """The change log's newest number, and the highest serial."""
    url = running_url(data / "postgres")
    assert url is not None
    connection = await asyncpg.connect(url)
    row = await connection.fetchrow("SELECT number, (SELECT max(serial) FROM package_names) AS serial FROM change_head")
    await connection.close()
    assert row is not None
    return row["number"], row["serial"]
