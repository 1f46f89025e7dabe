"""What else npm clients do with a registry, each command with the clients that have it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from registry.access import AccessLevel
from registry.model import Project
from tests.clients.npm import INSTALL, configure, done, start, write_application
from tests.clients.process import Client
from tests.formats.npm.transcripts import packument, path, publish, set_settings, username
from tests.people import People, Person

pytestmark = pytest.mark.client

FindClient = Callable[[str], Client]
WIDGET, GADGET = "@acme/widget", "gadget"
NPM = ("npm-11", "npm-12", "pnpm")


class Shell:
    """One client in one directory with its home, as one person."""

    def __init__(self, client: Client, cwd: Path, home: Path) -> None:
        self.client, self.cwd, self.home = client, cwd, home

    async def __call__(self, *arguments: str) -> str:
        return await done(self.client, *arguments, cwd=self.cwd, home=self.home)

    async def fails(self, *arguments: str) -> str:
        result = await start(self.client, *arguments, cwd=self.cwd, home=self.home)
        assert 0 != result.code, result.text
        return result.text


@pytest.fixture
async def project(people: People) -> Project:
    await set_settings(people, None, npm_package_requests_forwarding=False)
    return await people.project(await people.group("acme"))


@pytest.fixture
async def maintainer(people: People, project: Project) -> Person:
    return await people.member(project, AccessLevel.MAINTAINER)


@pytest.fixture
async def shell(
    people: People, project: Project, maintainer: Person, find_client: FindClient, home: Path, tmp_path: Path, name: str
) -> Shell:
    """A client in a project that depends on 1.0.0 of two packages, of which there is a 1.1.0."""
    for package in (WIDGET, GADGET):
        for version in ("1.0.0", "1.1.0"):
            await publish(people.root, project, package, version, description=f"The {package}")
    client = find_client(name)
    directory = write_application(tmp_path / "application", {WIDGET: "1.0.0", GADGET: "1.0.0"})
    configure(client, people, directory, project, maintainer)
    return Shell(client, directory, home)


TAGS = {
    "npm-11": ("dist-tag add", "dist-tag ls", "dist-tag rm"),
    "npm-12": ("dist-tag add", "dist-tag ls", "dist-tag rm"),
    "pnpm": ("dist-tag add", "dist-tag ls", "dist-tag rm"),
    "yarn-1": ("tag add", "tag list", "tag remove"),
    "yarn-berry": ("npm tag add", "npm tag list", "npm tag remove"),
}


@pytest.mark.parametrize("name", TAGS)
async def test_tags_are_added_listed_and_removed(
    people: People, project: Project, maintainer: Person, shell: Shell, name: str
) -> None:
    add, ls, rm = (command.split() for command in TAGS[name])

    await shell(*add, f"{WIDGET}@1.0.0", "stable")
    listed = await shell(*ls, WIDGET)
    assert {"latest": "1.1.0", "stable": "1.0.0"} == dict(re.findall(r"(latest|stable)(?::| →) (\S+)", listed))
    assert "1.0.0" == (await packument(maintainer, project, WIDGET))["dist-tags"]["stable"]
    await shell(*rm, WIDGET, "stable")

    assert {"latest": "1.1.0"} == (await packument(maintainer, project, WIDGET))["dist-tags"]


SHOW = {
    "npm-11": "view",
    "npm-12": "view",
    "pnpm": "view",
    "yarn-1": "info --json",
    "yarn-berry": "npm info --json",
    "bun": "info",
}


@pytest.mark.parametrize("name", SHOW)
async def test_a_package_is_shown(shell: Shell, name: str) -> None:
    for package in (WIDGET, GADGET):
        printed = await shell(*SHOW[name].split(), package)
        assert (True, True) == (package in printed, "1.1.0" in printed), printed


@pytest.mark.parametrize("name", NPM)
async def test_a_version_is_deprecated_and_taken_back(
    people: People, project: Project, maintainer: Person, shell: Shell, name: str
) -> None:
    async def messages() -> list[str | None]:
        versions = (await packument(maintainer, project, WIDGET))["versions"]
        return [versions[version].get("deprecated") for version in ("1.0.0", "1.1.0")]

    await shell("deprecate", f"{WIDGET}@1.0.0", "use 1.1.0")
    assert ["use 1.1.0", None] == await messages()
    await shell("undeprecate", f"{WIDGET}@1.0.0")
    assert [None, None] == await messages()


@pytest.mark.parametrize("name", NPM)
async def test_a_version_and_a_package_are_unpublished(
    people: People, project: Project, maintainer: Person, shell: Shell, name: str
) -> None:
    await shell("unpublish", f"{WIDGET}@1.1.0")
    await shell("unpublish", GADGET, "--force")

    found = await packument(maintainer, project, WIDGET)
    assert (["1.0.0"], {"latest": "1.0.0"}) == (list(found["versions"]), found["dist-tags"])
    gone = [f"{WIDGET}/-/widget-1.1.0.tgz", GADGET, f"{GADGET}/-/gadget-1.0.0.tgz"]
    assert [404] * 3 == [(await maintainer.get(path(project, rest))).status for rest in gone]


@pytest.mark.parametrize("name", NPM)
async def test_a_version_is_unpublished_with_the_registry_of_its_scope_only(
    people: People, project: Project, maintainer: Person, shell: Shell, name: str
) -> None:
    """npm sends the last DELETE to a doubled path then, and prints success."""
    configure(shell.client, people, shell.cwd, project, maintainer, scopes=("acme",))

    await shell("unpublish", f"{WIDGET}@1.1.0")

    assert ["1.0.0"] == list((await packument(maintainer, project, WIDGET))["versions"])
    assert 404 == (await maintainer.get(path(project, f"{WIDGET}/-/widget-1.1.0.tgz"))).status


WHO = {"npm-11": "whoami", "npm-12": "whoami", "pnpm": "whoami", "yarn-berry": "npm whoami", "bun": "pm whoami"}


@pytest.mark.parametrize("name", WHO)
async def test_who_is_asking_is_said(people: People, maintainer: Person, shell: Shell, name: str) -> None:
    assert await username(maintainer) in await shell(*WHO[name].split())
    if name in NPM:
        assert "PONG" in await shell("ping")


@pytest.mark.parametrize("name", NPM)
async def test_search_finds_what_the_caller_may_see(people: People, shell: Shell, name: str) -> None:
    hidden = await people.project()
    await publish(people.root, hidden, "secret-widget", "1.0.0")

    found = json.loads(await shell("search", "widget", "--json"))

    assert [(WIDGET, "1.1.0", f"The {WIDGET}")] == [(one["name"], one["version"], one["description"]) for one in found]


# The commands, and what they say when nothing is known against anything.
AUDIT = {
    "npm-11": ("audit", "found 0 vulnerabilities"),
    "npm-12": ("audit", "found 0 vulnerabilities"),
    "pnpm": ("audit", "No known vulnerabilities found"),
    "yarn-berry": ("npm audit", "No audit suggestions"),
    "bun": ("audit", "No vulnerabilities found"),
}
OUTDATED = {
    "npm-11": "outdated",
    "npm-12": "outdated",
    "pnpm": "outdated",
    "yarn-1": "outdated",
    "bun": "outdated",
}


@pytest.mark.parametrize("name", SHOW)
async def test_what_is_installed_is_audited_and_compared(shell: Shell, name: str) -> None:
    await shell(*INSTALL[name])
    if name in AUDIT:
        command, expected = AUDIT[name]
        assert expected in await shell(*command.split())
    if name in OUTDATED:
        # All but bun fail when something is outdated.
        printed = await (shell if name == "bun" else shell.fails)(*OUTDATED[name].split())
        for package in (WIDGET, GADGET):
            (line,) = [line for line in printed.splitlines() if package in line and "1.1.0" in line]
            assert "1.0.0" in line


async def test_pnpm_adds_the_latest_version_it_asks_for_by_its_tag(
    people: People, project: Project, maintainer: Person, find_client: FindClient, home: Path, tmp_path: Path
) -> None:
    await publish(people.root, project, WIDGET, "1.0.0")
    await publish(people.root, project, WIDGET, "2.0.0-rc.1", tag="next")
    client = find_client("pnpm")
    directory = write_application(tmp_path / "application", {})
    configure(client, people, directory, project, maintainer)

    for asked, version in ((WIDGET, "1.0.0"), (f"{WIDGET}@next", "2.0.0-rc.1")):
        printed = await done(client, "add", asked, cwd=directory, home=home)
        assert f"+ {WIDGET} {version}" in printed
