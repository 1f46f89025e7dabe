"""Staged publishing with the real clients: nobody sees a release before it is promoted, then everybody all of it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from registry.access import AccessLevel
from registry.model import Project
from tests.clients import npm, pypi
from tests.clients.npm import configure, done, start, write_application, write_package
from tests.clients.process import Client
from tests.formats.npm.transcripts import packument, path, publish, username
from tests.formats.pypi.pages import page, set_settings
from tests.people import People, Person
from tests.staging import ask, open_stage

pytestmark = pytest.mark.client

FindClient = Callable[[str], Client]
WIDGET = "@acme/widget"
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


@pytest.fixture
async def project(people: People) -> Project:
    project = await people.project(await people.group("acme"))
    off = {"pypi_package_requests_forwarding": False, "npm_package_requests_forwarding": False}
    await set_settings(people, project, package_stages_four_eyes=True, **off)
    return project


@pytest.fixture
async def author(people: People, project: Project) -> Person:
    return await people.member(project, AccessLevel.DEVELOPER)


@pytest.fixture
async def approver(people: People, project: Project) -> Person:
    return await people.member(project, AccessLevel.DEVELOPER)


async def test_a_python_release_is_staged_installed_from_its_preview_promoted_and_installed(
    people: People, project: Project, author: Person, approver: Person, find_client: FindClient, tmp_path: Path
) -> None:
    stage = await open_stage(author, project, title="1.0")
    directory = pypi.project_directory(tmp_path / "release")
    result = await pypi.publish(find_client("twine"), stage["upload_url"], ("somebody", author.token or ""), directory)
    assert 0 == result.code, result.text
    pip, home = find_client("pip"), tmp_path

    released = pypi.index_url(people, project, pypi.user(author))
    preview = str(URL(stage["preview_url"]).with_user("somebody").with_password(author.token))
    assert 404 == await page(author, project, "demo")
    assert 0 != (await pypi.install(pip, released, tmp_path / "before", "demo")).code
    for name in ("pip", "uv"):
        result = await pypi.install(find_client(name), preview, home / f"preview-{name}", "demo")
        assert 0 == result.code, result.text
        assert ["demo-1.0"] == pypi.installed(home / f"preview-{name}")

    assert 403 == (await ask(author, "POST", project, f"/{stage['id']}/promote"))[0]
    status, promoted = await ask(approver, "POST", project, f"/{stage['id']}/promote")
    assert (200, "promoted", ["demo"]) == (status, promoted["state"], [one["name"] for one in promoted["packages"]])

    assert ["demo-1.0-py3-none-any.whl", "demo-1.0.tar.gz"] == sorted(await page(author, project, "demo"))  # type: ignore[arg-type]
    result = await pypi.install(pip, released, home / "after", "demo")
    assert (0, ["demo-1.0"]) == (result.code, pypi.installed(home / "after")), result.text


async def test_twine_stages_the_same_files_again_and_is_refused_them_outside_of_the_stage(
    people: People, project: Project, author: Person, find_client: FindClient, tmp_path: Path
) -> None:
    stage = await open_stage(author, project)
    directory, credentials = pypi.project_directory(tmp_path / "release"), ("somebody", author.token or "")
    twine = find_client("twine")
    for _ in range(2):
        result = await pypi.publish(twine, stage["upload_url"], credentials, directory)
        assert 0 == result.code, result.text
    result = await pypi.publish(twine, pypi.upload_url(people, project), credentials, directory)
    assert 0 != result.code
    assert "is in a stage: promote or drop that first" in result.text
    assert 404 == await page(author, project, "demo")


STAGE = {
    "npm-12": ("stage", "publish"),
    "pnpm": ("stage", "publish", "--no-git-checks"),
    "yarn-berry": ("npm", "publish", "--staged"),
}
PREFIX = {"npm-12": ("stage",), "pnpm": ("stage",), "yarn-berry": ("npm", "stage")}
# Berry has no more than list, approve and reject.
INSPECTING = ("npm-12", "pnpm")


@pytest.mark.parametrize("name", STAGE)
async def test_a_version_is_staged_inspected_rejected_staged_again_and_approved_by_somebody_else(
    people: People, project: Project, author: Person, approver: Person, find_client: FindClient, tmp_path: Path,
    name: str,
) -> None:  # fmt: skip
    client, prefix = find_client(name), PREFIX[name]
    mine, theirs = write_package(tmp_path / "mine", WIDGET, "1.1.0"), tmp_path / "theirs"
    write_application(theirs, {WIDGET: "^1.0.0"})
    configure(client, people, mine, project, author)
    configure(client, people, theirs, project, approver)
    await publish(people.root, project, WIDGET, "1.0.0")
    before = await packument(author, project, WIDGET)
    if name == "yarn-berry":
        await done(client, "install", cwd=mine)

    told = await done(client, *STAGE[name], cwd=mine)
    stage = await _only_stage(author, project)
    listed = await done(client, *prefix, "list", cwd=theirs)
    assert stage["id"] in listed
    assert WIDGET in listed
    assert before == await packument(author, project, WIDGET)
    assert 404 == (await author.get(path(project, f"{WIDGET}/-/widget-1.1.0.tgz"))).status
    if name == "npm-12":
        assert [stage["id"]] == ID.findall(told)
    if name in INSPECTING:
        assert "1.1.0" in await done(client, *prefix, "view", stage["id"], cwd=theirs)
        await done(client, *prefix, "download", stage["id"], cwd=theirs)
        (tarball,) = theirs.glob("*.tgz")
        assert stage["files"][0]["file_sha256"] == hashlib.sha256(tarball.read_bytes()).hexdigest()
    refused = await start(client, *npm.PUBLISH[name], cwd=mine)
    assert 0 != refused.code
    assert "is in a stage" in _unwrapped(refused.text) or name not in INSPECTING
    await done(client, *prefix, "reject", stage["id"], cwd=theirs)
    assert (200, []) == await ask(author, "GET", project)

    await done(client, *STAGE[name], cwd=mine)
    stage = await _only_stage(author, project)
    refused = await start(client, *prefix, "approve", stage["id"], cwd=mine)
    assert 0 != refused.code
    assert "who staged a file may not promote it" in _unwrapped(refused.text) or name not in INSPECTING
    assert before == await packument(author, project, WIDGET)
    await done(client, *prefix, "approve", stage["id"], cwd=theirs)
    after = await packument(author, project, WIDGET)
    assert (["1.0.0", "1.1.0"], "1.1.0") == (list(after["versions"]), after["dist-tags"]["latest"])
    await done(client, *npm.INSTALL[name], cwd=theirs)
    assert {WIDGET: "1.1.0"} == npm.installed(theirs)


def _unwrapped(text: str) -> str:
    """What pnpm draws a line beside, as one line."""
    return re.sub(r"[\s│]+", " ", text)


async def _only_stage(person: Person, project: Project) -> dict[str, Any]:
    status, (stage,) = await ask(person, "GET", project)
    assert 200 == status
    found: dict[str, Any] = stage
    return found


async def test_two_packages_are_staged_together_installed_from_their_preview_and_promoted_at_once(
    people: People, project: Project, author: Person, approver: Person, find_client: FindClient, tmp_path: Path
) -> None:
    client = find_client("npm-12")
    stage = await open_stage(author, project, "npm", title="both")
    for name, more in (("@acme/one", {}), ("@acme/two", {"dependencies": {"@acme/one": "1.0.0"}})):
        directory = write_package(tmp_path / name, name, "1.0.0", **more)
        configure(client, people, directory, project, author)
        with (directory / ".npmrc").open("a") as settings:
            settings.write(f"{stage['upload_url'].removeprefix('http:')}:_authToken={author.token}\n")
        await done(client, "publish", "--registry", stage["upload_url"], cwd=directory)
    application = write_application(tmp_path / "application", {"@acme/two": "^1.0.0"})
    configure(client, people, application, project, author)
    assert 0 != (await start(client, "install", cwd=application)).code
    await done(client, "install", "--registry", stage["preview_url"], cwd=application)
    assert {"@acme/one": "1.0.0", "@acme/two": "1.0.0"} == npm.installed(application)

    status, promoted = await ask(approver, "POST", project, f"/{stage['id']}/promote")
    assert (200, ["@acme/one", "@acme/two"]) == (status, [one["name"] for one in promoted["packages"]])
    (application / "package-lock.json").unlink()
    await done(client, "install", cwd=write_application(tmp_path / "application", {"@acme/two": "^1.0.0"}))
    assert await _published_by(author, project, "@acme/two") == await username(author)


async def _published_by(person: Person, project: Project, name: str) -> Any:
    return (await packument(person, project, name))["versions"]["1.0.0"]["_npmUser"]["name"]
