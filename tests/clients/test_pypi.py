"""The road from `twine upload` to `pip install`, with the real clients."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from registry.access import AccessLevel
from registry.model import Group, Project
from tests.clients import corpus, packing
from tests.clients.corpus import CorpusFile
from tests.clients.process import Client
from tests.clients.pypi import (
    index_url,
    install,
    installed,
    requests,
    start,
    upload_url,
    user,
)
from tests.formats.pypi.pages import set_settings
from tests.people import People, Person

pytestmark = pytest.mark.client

FindClient = Callable[[str], Client]
CorpusPath = Callable[[CorpusFile], Path]
BOTH = pytest.mark.parametrize("storage_url", ["local", "s3"], indirect=True)
INSTALLERS = ("pip", "pip-23.0", "pip-22.1", "uv")
REAL = ["attrs-25.4.0", "idna-3.11", "six-1.17.0"]


@pytest.fixture
async def project(people: People) -> Project:
    group = await people.group(visibility="private")
    return await people.project(group, visibility="private")


@pytest.fixture
async def developer(people: People, project: Project) -> Person:
    return await people.member(project, AccessLevel.DEVELOPER)


@BOTH
async def test_three_real_projects_go_in_through_twine_and_out_through_pip_and_uv(
    people: People,
    project: Project,
    developer: Person,
    find_client: FindClient,
    corpus_path: CorpusPath,
    tmp_path: Path,
) -> None:
    group = await people.services.lookups.group(str(project.namespace_id))
    assert group is not None
    files = [corpus_path(file) for file in corpus.files("pypi", role="road")]
    half = len(files) // 2
    for client, share in (("twine", files[:half]), ("twine-6.1", files[half:])):
        directory = tmp_path / client / "dist"
        directory.mkdir(parents=True)
        environment = {"TWINE_REPOSITORY_URL": upload_url(people, project), "TWINE_USERNAME": "somebody"}
        environment |= {"TWINE_PASSWORD": developer.token or ""}
        result = await start(find_client(client), "upload", *share, cwd=tmp_path, env=environment)
        assert 0 == result.code, result.text
    await set_settings(people, group, pypi_package_requests_forwarding=False)

    for name in INSTALLERS:
        for place in (project, group):
            target = tmp_path / f"{name}-{type(place).__name__}"
            index = index_url(people, place, user(developer))
            result = await install(find_client(name), index, target, "six", "idna==3.11", "attrs>=25")
            assert 0 == result.code, result.text
            assert REAL == installed(target)


async def put_demo(person: Person, project: Project, version: str = "1.0") -> None:
    name = f"demo-{version}-py3-none-any.whl"
    response = await person.upload(project, name, packing.wheel("demo", version), name="demo", version=version)
    assert 201 == response.status, await response.text()


async def test_every_form_of_credentials_opens_a_private_project_to_pip_and_uv(
    people: People, project: Project, developer: Person, find_client: FindClient, home: Path, tmp_path: Path
) -> None:
    await put_demo(developer, project)
    group = await people.services.lookups.group(str(project.namespace_id))
    assert group is not None
    project_token = (await people.deploy_token(project)).headers["Deploy-Token"]
    group_token = (await people.deploy_token(group)).headers["Deploy-Token"]
    login, token = "somebody", developer.token
    (home / ".netrc").write_text(f"machine 127.0.0.1 login {login} password {token}\n")
    (home / ".netrc").chmod(0o600)

    ways: list[tuple[Project | Group, str, Path | None]] = [
        (project, f"{login}:{token}", None),
        (project, f"__token__:{token}", None),
        (project, f"gitlab+deploy-token-1:{project_token}", None),
        (project, f"{login}:{group_token}", None),
        (group, f"gitlab+deploy-token-2:{group_token}", None),
        (project, "", home),
        (group, "", home),
    ]

    for name in ("pip", "uv"):
        for number, (place, credentials, from_home) in enumerate(ways):
            target = tmp_path / f"{name}-{number}"
            index = index_url(people, place, credentials)
            result = await install(find_client(name), index, target, "demo", home=from_home)
            assert (0, ["demo-1.0"]) == (result.code, installed(target)), (name, number, result.text)


async def test_pip_and_uv_say_no_to_who_may_not_read(
    people: People, project: Project, developer: Person, find_client: FindClient, tmp_path: Path
) -> None:
    await put_demo(developer, project)
    stranger = await people.user()

    said = {}
    for who, credentials in (("anonymous", ""), ("wrong", "somebody:glpat-wrong"), ("stranger", user(stranger))):
        for name in ("pip", "uv"):
            index = index_url(people, project, credentials)
            result = await install(find_client(name), index, tmp_path / "target", "demo")
            assert result.code != 0
            said[name, who] = result.text

    assert "401 Unauthorized" in said["uv", "anonymous"]
    assert "401 Unauthorized" in said["uv", "wrong"]
    assert "demo" in said["uv", "stranger"]
    assert all("No matching distribution found for demo" in said["pip", who] for who in ("wrong", "stranger"))
    # pip asks for a name and password, which --no-input forbids.
    assert "demo" in said["pip", "anonymous"]


@BOTH
@pytest.mark.parametrize("name", ["pip", "uv"])
async def test_a_newer_version_is_seen_at_once_and_nothing_unchanged_is_sent_again(
    people: People,
    project: Project,
    developer: Person,
    find_client: FindClient,
    home: Path,
    tmp_path: Path,
    name: str,
) -> None:
    index = index_url(people, project, user(developer))
    seen = []
    for number, newer in enumerate(("1.0", "2.0", None)):
        if newer is not None:
            await put_demo(developer, project, newer)
        before = requests()
        target = tmp_path / str(number)
        result = await install(find_client(name), index, target, "-U", "demo", home=home)
        assert 0 == result.code, result.text
        answers = requests() - before
        seen.append((installed(target), answers["{name}", "200"], answers["{file_name}", "200"] > 0, answers))

    assert [(["demo-1.0"], 1, True), (["demo-2.0"], 1, True), (["demo-2.0"], 0, False)] == [one[:3] for one in seen]
    assert {("{name}", "304"): 1} == seen[-1][-1]
