"""The road from `publish` to a frozen install, with the real clients of npm."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from registry import metrics
from registry.access import AccessLevel
from registry.model import Group, Project
from tests.clients.npm import (
    FROZEN,
    INSTALL,
    PUBLISH,
    configure,
    done,
    installed,
    integrity,
    locked,
    registry_url,
    start,
    write_application,
    write_package,
)
from tests.clients.process import Client
from tests.formats.npm.transcripts import below, packument, path, publish, set_settings
from tests.people import People, Person

pytestmark = pytest.mark.client

FindClient = Callable[[str], Client]
CLIENTS = ("npm-11", "npm-12", "pnpm", "yarn-1", "yarn-berry", "bun")
# Each client with one of the stores, each store with different kinds of clients.
ON_A_STORE = pytest.mark.parametrize(
    ("name", "storage_url"),
    list(zip(CLIENTS, ("local", "s3", "s3", "local", "s3", "local"), strict=True)),
    indirect=["storage_url"],
)
WIDGET, GADGET = "@acme/widget", "gadget"


@pytest.fixture
async def group(people: People) -> Group:
    await set_settings(people, None, npm_package_requests_forwarding=False)
    return await people.group("acme", visibility="private")


@pytest.fixture
async def project(people: People, group: Group) -> Project:
    return await people.project(group, visibility="private")


@pytest.fixture
async def developer(people: People, project: Project) -> Person:
    return await people.member(project, AccessLevel.DEVELOPER)


def forget(application: Path, home: Path) -> None:
    """What a machine that never installed this has: nothing but the lock file."""
    for cache in (application / "node_modules", application / ".yarn", home):
        shutil.rmtree(cache, ignore_errors=True)


@ON_A_STORE
async def test_what_a_client_publishes_it_installs_again_from_its_lock_file(
    people: People, project: Project, developer: Person, find_client: FindClient, home: Path, tmp_path: Path, name: str
) -> None:
    client = find_client(name)
    for package, version in ((GADGET, "1.0.0"), (WIDGET, "1.0.0"), (WIDGET, "1.1.0")):
        fields = {"dependencies": {GADGET: "^1.0.0"}, "bin": "index.js"} if package == WIDGET else {}
        directory = write_package(tmp_path / f"{package[-6:]}-{version}", package, version, **fields)
        configure(client, people, directory, project, developer)
        if client.name == "yarn-berry":
            await done(client, "install", "--mode=update-lockfile", cwd=directory, home=home)
        await done(client, *PUBLISH[name], cwd=directory, home=home)
    documents = {package: await packument(developer, project, package) for package in (WIDGET, GADGET)}
    assert [["1.0.0", "1.1.0"], ["1.0.0"]] == [list(one["versions"]) for one in documents.values()]
    latest = documents[WIDGET]["versions"]["1.1.0"]
    assert ({GADGET: "^1.0.0"}, "# @acme/widget\n") == (latest["dependencies"], documents[WIDGET]["readme"])

    application = write_application(tmp_path / "application", {WIDGET: "^1.0.0"})
    configure(client, people, application, project, developer)
    await done(client, *INSTALL[name], cwd=application, home=home)
    lock = locked(application, client)
    forget(application, home)
    await done(client, *FROZEN[name], cwd=application, home=home)

    module = (application / "node_modules" / WIDGET / "index.js").read_text()
    assert 'module.exports = "@acme/widget 1.1.0"\n' == module
    wanted = {WIDGET: "1.1.0"} if name == "pnpm" else {WIDGET: "1.1.0", GADGET: "1.0.0"}
    assert wanted == installed(application)
    tarballs = [
        await (await developer.get(below(documents[package]["versions"][version]["dist"]["tarball"]))).read()
        for package, version in ((WIDGET, "1.1.0"), (GADGET, "1.0.0"))
    ]
    if name != "yarn-berry":  # it records checksums of what it made of the tarballs
        assert {integrity(tarball) for tarball in tarballs} == lock


@pytest.mark.parametrize("name", CLIENTS)
async def test_every_level_serves_what_a_lock_file_of_it_needs(
    people: People, group: Group, project: Project, find_client: FindClient, tmp_path: Path, name: str
) -> None:
    """With the token of that level alone, in the lines that GitLab documents."""
    client = find_client(name)
    reader = await people.member(group, AccessLevel.GUEST)
    public = await people.project(await people.group("open", visibility="public"), visibility="public")
    await publish(people.root, project, WIDGET, "1.0.0", dependencies={"@acme/part": "1.0.0"})
    await publish(people.root, project, "@acme/part", "1.0.0")
    await publish(people.root, public, GADGET, "1.0.0")

    for title, place, person, scopes, package in (
        ("group", group, reader, (), WIDGET),
        ("group-scope", group, reader, ("acme",), WIDGET),
        ("instance", None, reader, ("acme",), WIDGET),
        ("public", public, people.anonymous, (), GADGET),
    ):
        application = write_application(tmp_path / title, {package: "1.0.0"})
        configure(client, people, application, place, person, scopes=scopes)
        home = tmp_path / f"home of {title}"
        await done(client, *INSTALL[name], cwd=application, home=home)
        if title in {"group", "instance"}:
            forget(application, home)
            await done(client, *FROZEN[name], cwd=application, home=home)
        assert "1.0.0" == installed(application)[package], title
        if name.startswith("npm"):
            lock = json.loads((application / "package-lock.json").read_bytes())["packages"]
            resolved = lock[f"node_modules/{package}"]["resolved"]
            assert f"{registry_url(people, place)}{package}/-/{package}-1.0.0.tgz" == resolved


@pytest.mark.parametrize("name", CLIENTS)
async def test_without_a_token_a_private_package_is_not_installed(
    people: People, project: Project, find_client: FindClient, home: Path, tmp_path: Path, name: str
) -> None:
    client = find_client(name)
    await publish(people.root, project, WIDGET, "1.0.0")
    application = write_application(tmp_path / "application", {WIDGET: "1.0.0"})
    configure(client, people, application, project, people.anonymous)

    result = await start(client, *INSTALL[name], cwd=application, home=home)

    assert (True, {}) == (result.code != 0, installed(application)), result.text


@pytest.mark.parametrize("name", CLIENTS)
async def test_a_refusal_to_publish_is_shown_by_its_client(
    people: People, project: Project, developer: Person, find_client: FindClient, home: Path, tmp_path: Path, name: str
) -> None:
    """The version exists, but the client's own check does not see it: a prerelease, or no check at all."""
    client = find_client(name)
    await publish(people.root, project, WIDGET, "1.0.0-rc.1", tag="next")
    directory = write_package(tmp_path / "widget", WIDGET, "1.0.0-rc.1")
    configure(client, people, directory, project, developer)
    if client.name == "yarn-berry":
        await done(client, "install", "--mode=update-lockfile", cwd=directory, home=home)

    result = await start(client, *PUBLISH[name], "--tag", "next", cwd=directory, home=home)

    text = "Package already exists. You cannot publish over the previously published version: 1.0.0-rc.1."
    assert (True, True) == (result.code != 0, text in result.text or "previously published" in result.text), result.text


async def test_yarn_berry_keeps_its_age_gate_and_the_documented_line_opens_it(
    people: People, project: Project, developer: Person, find_client: FindClient, home: Path, tmp_path: Path
) -> None:
    """It wants `time` for it; a version of three days ago passes without any line."""
    client = find_client("yarn-berry")
    await publish(people.root, project, WIDGET, "1.0.0")
    application = write_application(tmp_path / "application", {WIDGET: "1.0.0"})
    configure(client, people, application, project, developer)
    settings = application / ".yarnrc.yml"
    opened = settings.read_text()
    settings.write_text("".join(line for line in opened.splitlines(keepends=True) if "Preapproved" not in line))

    fresh = await start(client, "install", cwd=application, home=home)
    assert (1, True) == (fresh.code, "quarantined" in fresh.text), fresh.text
    await people.services.db.execute(
        "UPDATE packages SET created_at = created_at - interval '3 days', revision = revision + 1"
    )
    # The tag makes a new document of it; yarn keeps the one it has.
    await people.root.ask("PUT", path(project, "-/package/@acme%2fwidget/dist-tags/old"), json="1.0.0")
    shutil.rmtree(home)
    await done(client, "install", cwd=application, home=home)
    assert {WIDGET: "1.0.0"} == installed(application)
    await publish(people.root, project, WIDGET, "2.0.0")
    settings.write_text(opened)
    await done(client, "up", f"{WIDGET}@2.0.0", cwd=application, home=home)
    assert {WIDGET: "2.0.0"} == installed(application)


async def test_pnpm_asks_for_one_document_per_package(
    people: People, project: Project, developer: Person, find_client: FindClient, home: Path, tmp_path: Path
) -> None:
    """With its age gate at its default: the abbreviated document holds the times."""
    client = find_client("pnpm")
    await publish(people.root, project, WIDGET, "1.0.0")
    application = write_application(tmp_path / "application", {WIDGET: "1.0.0"})
    configure(client, people, application, project, developer)
    (application / "pnpm-workspace.yaml").unlink()
    before = _documents()

    await done(client, *INSTALL["pnpm"], cwd=application, home=home)

    assert (1, {WIDGET: "1.0.0"}) == (_documents() - before, installed(application))


def _documents() -> float:
    samples = metrics.requests.collect()[0].samples
    wanted = [s for s in samples if s.labels["route"].endswith("npm/{name:scoped}") and s.labels["code"] == "200"]
    return sum(s.value for s in wanted if s.name.endswith("_total"))
