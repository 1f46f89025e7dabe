"""Fixtures of the npm routes: a public project in the group `acme`, and who may publish to it."""

from __future__ import annotations

import pytest

from registry.access import AccessLevel
from registry.model import Group, Project
from tests.people import People, Person


@pytest.fixture
async def group(people: People) -> Group:
    return await people.group("acme", visibility="public")


@pytest.fixture
async def project(people: People, group: Group) -> Project:
    return await people.project(group, visibility="public")


@pytest.fixture
async def developer(people: People, project: Project) -> Person:
    return await people.member(project, AccessLevel.DEVELOPER)


@pytest.fixture
async def maintainer(people: People, project: Project) -> Person:
    return await people.member(project, AccessLevel.MAINTAINER)
