"""Reserved prefixes, as clients see them: a foreign upload is refused, and simple API 1.5 disturbs nobody."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from pypi_simple import ACCEPT_HTML_ONLY, ACCEPT_JSON_ONLY, PyPISimple, UnexpectedRepoVersionWarning

from registry import accounts, grants
from registry.access import AccessLevel
from registry.model import Project
from tests.clients.process import Client
from tests.clients.pypi import index_url, install, installed, project_directory, publish, upload_url, user
from tests.formats.pypi.pages import page
from tests.people import OPERATOR, People, Person

pytestmark = pytest.mark.client

FindClient = Callable[[str], Client]


@pytest.fixture
async def project(people: People) -> Project:
    """In a group for which `demo` is reserved, where 1.5 is on."""
    group = await people.group("acme")
    await grants.create(people.services.db, OPERATOR, group, "pypi", "demo")
    await accounts.update_settings(people.services.db, OPERATOR, {"pypi_namespaces": True})
    return await people.project(group)


@pytest.fixture
async def developer(people: People, project: Project) -> Person:
    return await people.member(project, AccessLevel.DEVELOPER)


async def given_to(
    client: Client, people: People, project: Project, person: Person, directory: Path
) -> tuple[int, str]:
    """Publish `demo`: the exit code, and what the client printed."""
    login = ("somebody", person.token or "")
    result = await publish(client, upload_url(people, project), login, project_directory(directory))
    return result.code, " ".join(result.text.split())


@pytest.mark.parametrize("name", ["twine", "uv"])
async def test_a_foreign_upload_fails_with_the_reason(
    people: People, project: Project, find_client: FindClient, tmp_path: Path, name: str
) -> None:
    stranger = await people.project(await people.group("stranger"))
    outsider = await people.member(stranger, AccessLevel.DEVELOPER)

    code, text = await given_to(find_client(name), people, stranger, outsider, tmp_path)

    assert 0 != code
    assert "demo is reserved: names that begin with demo belong to another group" in text
    assert 404 == await page(outsider, stranger, "demo")


async def test_clients_publish_and_install_as_ever_where_1_5_is_on(
    people: People, project: Project, developer: Person, find_client: FindClient, tmp_path: Path
) -> None:
    assert 0 == (await given_to(find_client("twine"), people, project, developer, tmp_path))[0]

    for name in ("pip", "pip-22.1", "uv"):
        target = tmp_path / name
        result = await install(find_client(name), index_url(people, project, user(developer)), target, "demo")
        assert (0, ["demo-1.0"]) == (result.code, installed(target)), result.text


async def test_an_independent_reader_reads_both_forms_of_1_5(
    people: People, project: Project, developer: Person, find_client: FindClient, tmp_path: Path
) -> None:
    await given_to(find_client("twine"), people, project, developer, tmp_path)

    def read(accept: str) -> tuple[str | None, list[str]]:
        with warnings.catch_warnings(), PyPISimple(index_url(people, project, user(developer))) as client:
            # It was written before 1.5, and reads what it knows.
            warnings.simplefilter("ignore", UnexpectedRepoVersionWarning)
            found = client.get_project_page("demo", accept=accept)
            return found.repository_version, sorted(package.filename for package in found.packages)

    expected = ("1.5", ["demo-1.0-py3-none-any.whl", "demo-1.0.tar.gz"])
    assert [expected] * 2 == [await asyncio.to_thread(read, form) for form in (ACCEPT_JSON_ONLY, ACCEPT_HTML_ONLY)]
