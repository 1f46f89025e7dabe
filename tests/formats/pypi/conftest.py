"""Fixtures of the PyPI routes: a public project and who may upload to it."""

from __future__ import annotations

import pytest

from registry.access import AccessLevel
from registry.model import Project
from tests.people import People, Person


@pytest.fixture
async def project(people: People) -> Project:
    return await people.project(visibility="public")


@pytest.fixture
async def developer(people: People, project: Project) -> Person:
    return await people.member(project, AccessLevel.DEVELOPER)
