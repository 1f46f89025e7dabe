"""Full disks: an upload is told so and leaves nothing, reads go on, and so does everything when there is room again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from registry.model import Project
from registry.settings import Settings
from tests import inventory
from tests.cli.processes import TOKEN, Serving, form, serving
from tests.formats.npm import transcripts
from tests.formats.pypi.distributions import a_wheel
from tests.full_disks import MIB, Disk, mounted
from tests.people import People

FULL = "507 Insufficient Storage - The object store is full"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with mounted(tmp_path / "disk", 16 * MIB) as disk:
        yield disk


@pytest.fixture
def storage_url(disk: Disk) -> str:
    return (disk.path / "objects").as_uri()


@pytest.fixture(params=[4 * MIB, 0], ids=["floor", "no-floor"])
def settings(request: pytest.FixtureRequest, settings: Settings) -> Settings:
    return settings.model_copy(update={"free_space_bytes": request.param})


@pytest.fixture
async def project(people: People) -> Project:
    return await people.project()


async def test_an_upload_without_room_is_refused_and_leaves_nothing(
    people: People, project: Project, disk: Disk, settings: Settings
) -> None:
    root, wheel = people.root, a_wheel()
    name, later = "demo-1.0-py3-none-any.whl", "demo-2.0-py3-none-any.whl"
    assert 201 == (await root.upload(project, name, wheel, name="demo", version="1.0")).status
    before = await inventory.take(people.services)

    # With a floor it is known from the length; without one the disk is full in the middle of the file.
    disk.fill(leave=settings.free_space_bytes + MIB // 2)
    large = await root.upload(project, later, wheel + bytes(1_000_000), name="demo", version="2.0")
    assert (507, {"message": FULL, "code": FULL}) == (large.status, await large.json())
    if settings.free_space_bytes:
        disk.fill(leave=settings.free_space_bytes // 2)
        npm = await transcripts.send(root, project, transcripts.a_publication("widget", "1.0.0"))
        assert (507, "The object store is full") == await transcripts.refused(npm)
    assert before == await inventory.take(people.services)
    assert [] == list((disk.path / "objects/.incoming").iterdir())

    # What is there is read, and deleted, as always.
    page = await root.get(f"/api/v4/projects/{project.id}/packages/pypi/simple/demo")
    assert 200 == page.status
    href = (await page.text()).partition('href="')[2].partition("#")[0]
    assert wheel == await (await root.get(transcripts.below(href))).read()

    disk.empty()
    assert 201 == (await root.upload(project, later, a_wheel(version="2.0"), name="demo", version="2.0")).status


def upload(server: Serving, version: str) -> int:
    headers, body = form(f"demo-{version}.tar.gz", bytes(100_000), name="demo", version=version)
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
        connection.request("POST", "/api/v4/projects/1/packages/pypi", body, {**headers, "PRIVATE-TOKEN": TOKEN})
        return connection.getresponse().status


def make(server: Serving, number: int) -> int:
    wanted = {"name": f"project{number}", "description": "x" * 2000}
    return server.ask("POST", "/api/v4/projects", wanted)[0]


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that root's Postgres may enter, which runs as somebody else."""
    with TemporaryDirectory(prefix="full-", dir="/tmp") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


def test_the_database_of_one_command_survives_a_full_disk(place: Path) -> None:
    settings = {"root_token": TOKEN, "free_space_bytes": str(MIB)}
    with (
        mounted(place / "disk", 160 * MIB) as disk,
        serving(place / "server", data_dir=str(disk.path / "data"), **settings) as server,
    ):
        assert [201, 201] == [make(server, 0), upload(server, "1.0")]
        disk.fill()
        made = [make(server, 1)]
        while made[-1] == 201 and len(made) < 2000:
            made.append(make(server, len(made) + 1))
        assert 503 == made[-1]
        assert 507 == upload(server, "2.0")
        page = "/api/v4/projects/1/packages/pypi/simple/demo/"
        assert (200, None) == (server.ask("GET", page)[0], server.process.poll())

        disk.empty()
        assert [201, 201] == [make(server, 5000), upload(server, "2.0")]
        # What was answered with 201 is there, and nothing else.
        asked = [server.ask("GET", f"/api/v4/projects/root%2Fproject{number}")[0] for number in range(1, len(made) + 1)]
        assert [200 if status == 201 else 404 for status in made] == asked
        assert 0 == server.stop()
