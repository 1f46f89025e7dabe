"""The suites of single clients, with each request going to any of three replicas: what one did, the others know."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry.model import Project
from tests.clients import test_npm as npm
from tests.clients import test_pypi as pypi
from tests.clients import test_pypi_publishing as pypi_publishing
from tests.clients.test_npm import FindClient, developer, group, project
from tests.people import People, Person

__all__ = ["developer", "group", "project"]

pytestmark = pytest.mark.client


@pytest.mark.parametrize(("name", "storage_url"), [("npm-11", "s3"), ("pnpm", "local")], indirect=["storage_url"])
async def test_what_a_client_publishes_it_installs_again_from_its_lock_file(
    people: People, project: Project, developer: Person, find_client: FindClient, home: Path, tmp_path: Path, name: str
) -> None:
    await npm.test_what_a_client_publishes_it_installs_again_from_its_lock_file(
        people, project, developer, find_client, home, tmp_path, name
    )


@pytest.mark.parametrize("name", ["twine", "uv"])
async def test_a_wheel_and_an_sdist_are_published_and_again_without_harm(
    people: People, project: Project, developer: Person, find_client: FindClient, tmp_path: Path, name: str
) -> None:
    await pypi_publishing.test_a_wheel_and_an_sdist_are_published_and_again_without_harm(
        people, project, developer, find_client, tmp_path, name
    )


@pytest.mark.parametrize("storage_url", ["s3"], indirect=True)
@pytest.mark.parametrize("name", ["pip", "uv"])
async def test_a_newer_version_is_seen_at_once_and_nothing_unchanged_is_sent_again(
    people: People, project: Project, developer: Person, find_client: FindClient, home: Path, tmp_path: Path, name: str
) -> None:
    await pypi.test_a_newer_version_is_seen_at_once_and_nothing_unchanged_is_sent_again(
        people, project, developer, find_client, home, tmp_path, name
    )
