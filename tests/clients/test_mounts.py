"""Real clients at the address of a mount: a host name of its own, and a path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from registry import mounts
from registry.access import AccessLevel
from registry.model import Project
from registry.services import Services
from tests.clients import npm, pypi
from tests.clients.process import Client
from tests.formats.npm.transcripts import set_settings
from tests.people import OPERATOR, People, Person

pytestmark = pytest.mark.client

FindClient = Callable[[str], Client]
# The machine has two names for itself: documents are named after the one, the mount after the other.
HOST, PATH = "http://localhost:{port}", "/team/all"


@pytest.fixture
async def project(people: People) -> Project:
    await set_settings(people, None, npm_package_requests_forwarding=False, pypi_package_requests_forwarding=False)
    return await people.project(visibility="private")


@pytest.fixture
async def developer(people: People, project: Project) -> Person:
    return await people.member(project, AccessLevel.DEVELOPER)


async def mounted(services: Services, people: People, project: Project, address: str) -> str:
    """Mount, for both formats; the base URL that clients are given."""
    url = address.format(port=people.client.port)
    await mounts.create_mount(services.db, OPERATOR, project, url=url, package_type="")
    return url if "://" in url else f"http://127.0.0.1:{people.client.port}{url}"


@pytest.mark.parametrize(
    ("address", "publisher", "installer"), [(HOST, "twine", "pip"), (PATH, "uv", "uv"), (PATH, "twine", "pip")]
)
async def test_what_a_client_uploads_to_a_mount_another_installs_from_there(
    services: Services,
    people: People,
    project: Project,
    developer: Person,
    find_client: FindClient,
    tmp_path: Path,
    address: str,
    publisher: str,
    installer: str,
) -> None:
    base = await mounted(services, people, project, address)
    pypi.distributions(tmp_path / "dist")
    credentials = ("somebody", developer.token or "")
    result = await pypi.publish(find_client(publisher), f"{base}/legacy/", credentials, tmp_path)
    assert 0 == result.code, result.text
    index = f"{base}/simple/".replace("://", f"://somebody:{developer.token}@")
    result = await pypi.install(find_client(installer), index, tmp_path / "installed", "demo")
    assert (0, ["demo-1.0"]) == (result.code, pypi.installed(tmp_path / "installed")), result.text


@pytest.mark.parametrize(("name", "address"), [("npm-11", HOST), ("npm-12", PATH), ("pnpm", HOST), ("yarn-1", HOST)])
async def test_what_a_client_publishes_to_a_mount_it_installs_from_there(
    services: Services,
    people: People,
    project: Project,
    developer: Person,
    find_client: FindClient,
    home: Path,
    tmp_path: Path,
    address: str,
    name: str,
) -> None:
    client, base = find_client(name), await mounted(services, people, project, address)

    def configure(directory: Path) -> None:
        npm.configure(client, people, directory, project, developer)
        settings = directory / ".npmrc"
        canonical = npm.registry_url(people, project).removeprefix("http:")
        settings.write_text(settings.read_text().replace(canonical, f"{base}/".removeprefix("http:")))

    for package in ("widget", "@acme/part"):
        directory = npm.write_package(tmp_path / f"package of {package[-4:]}", package, "1.0.0")
        configure(directory)
        await npm.done(client, *npm.PUBLISH[name], cwd=directory, home=home)
    application = npm.write_application(tmp_path / "application", {"widget": "^1.0.0", "@acme/part": "^1.0.0"})
    configure(application)
    await npm.done(client, *npm.INSTALL[name], cwd=application, home=home)
    assert {"widget": "1.0.0", "@acme/part": "1.0.0"} == npm.installed(application)
    if name.startswith("npm"):
        lock = (application / npm.LOCKS[name]).read_text()
        assert f'"resolved": "{base}/widget/-/widget-1.0.0.tgz"' in lock
