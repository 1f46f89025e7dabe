"""Every client that publishes: what goes in, what happens the second time, and what its user reads."""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from pytest_aiohttp.plugin import AiohttpServer

from registry.access import AccessLevel
from registry.model import Project
from tests import inventory
from tests.clients.process import Client, Result
from tests.clients.pypi import (
    digests,
    distributions,
    index_url,
    origin,
    project_directory,
    publish,
    start,
    upload_url,
    user,
)
from tests.formats.pypi.pages import V1_JSON, base, set_settings
from tests.people import People, Person

pytestmark = pytest.mark.client

FindClient = Callable[[str], Client]
PUBLISHERS = ("twine", "twine-6.1", "uv", "poetry", "pdm", "hatch", "flit")
# pdm prints the standard text of a status, whatever the answer says.
TALKATIVE = tuple(name for name in PUBLISHERS if name != "pdm")
LOGIN = "somebody"


@pytest.fixture
async def project(people: People) -> Project:
    return await people.project(visibility="private")


@pytest.fixture
async def developer(people: People, project: Project) -> Person:
    return await people.member(project, AccessLevel.DEVELOPER)


def credentials(person: Person) -> tuple[str, str]:
    return LOGIN, person.token or ""


def said(result: Result) -> str:
    """What a client printed; twine folds it at 80 columns."""
    return " ".join(result.text.split())


async def listed(person: Person, project: Project, name: str = "demo") -> dict[str, str]:
    """The sha256 of each file of a name."""
    page = await person.get(f"{base(project)}/simple/{name}/", headers={"Accept": V1_JSON})
    document = await page.json(content_type=None)
    return {file["filename"]: file["hashes"]["sha256"] for file in document.get("files", [])}


@pytest.mark.parametrize("name", PUBLISHERS)
async def test_a_wheel_and_an_sdist_are_published_and_again_without_harm(
    people: People, project: Project, developer: Person, find_client: FindClient, tmp_path: Path, name: str
) -> None:
    directory = project_directory(tmp_path / "demo")

    first = await publish(find_client(name), upload_url(people, project), credentials(developer), directory)
    before = await inventory.take(people.services)
    again = await publish(find_client(name), f"{upload_url(people, project)}/", credentials(developer), directory)

    assert 0 == first.code, first.text
    # flit has built the two files itself.
    assert digests(directory / "dist") == await listed(developer, project)
    assert 0 == again.code, again.text
    assert before == await inventory.take(people.services)
    events = "SELECT count(*) FROM audit_events WHERE event_name = 'package_published'"
    assert 2 == await people.services.db.fetchval(events)


# hatch asks for the names of what is there, and skips what has one.
@pytest.mark.parametrize("name", [name for name in PUBLISHERS if name != "hatch"])
async def test_one_changed_byte_is_refused_in_words_the_user_reads(
    people: People, project: Project, developer: Person, find_client: FindClient, tmp_path: Path, name: str
) -> None:
    directory = project_directory(tmp_path / "demo")
    for path in (directory / "dist").iterdir():
        content = path.read_bytes().replace(b"Made for tests", b"made for tests")
        response = await developer.upload(project, path.name, content, name="demo", version="1.0")
        assert 201 == response.status
    before = await inventory.take(people.services)

    result = await publish(find_client(name), upload_url(people, project), credentials(developer), directory)

    assert result.code != 0
    assert before == await inventory.take(people.services)
    if name in TALKATIVE:
        assert "already been taken" in said(result)
        assert "already exists" in said(result)


@pytest.mark.parametrize("name", ["poetry", "pdm", "twine-6.1"])
async def test_skip_existing_recognises_the_refusal(
    people: People, project: Project, developer: Person, find_client: FindClient, tmp_path: Path, name: str
) -> None:
    directory = project_directory(tmp_path / "demo")
    for path in (directory / "dist").iterdir():
        assert 201 == (await developer.upload(project, path.name, b"other", name="demo", version="1.0")).status

    url = upload_url(people, project)
    result = await publish(find_client(name), url, credentials(developer), directory, "--skip-existing")

    assert 0 == result.code, result.text


async def test_uv_skips_what_the_page_lists_and_refuses_what_differs(
    people: People, project: Project, developer: Person, find_client: FindClient, tmp_path: Path
) -> None:
    await set_settings(people, project, pypi_package_requests_forwarding=False)
    directory = project_directory(tmp_path / "demo")
    url, check = upload_url(people, project), ("--check-url", index_url(people, project, user(developer)))
    uv = find_client("uv")

    first = await publish(uv, url, credentials(developer), directory, *check)
    second = await publish(uv, url, credentials(developer), directory, *check)
    wheel = directory / "dist" / "demo-1.0-py3-none-any.whl"
    wheel.write_bytes(wheel.read_bytes().replace(b"Made for tests", b"made for tests"))
    third = await publish(uv, url, credentials(developer), directory, *check)

    assert (0, 0) == (first.code, second.code), first.text + second.text
    assert 2 == second.text.count("already exists, skipping")
    assert (2, True) == (third.code, "Local file and index file do not match" in third.text), third.text


async def test_every_form_of_credentials_publishes_with_twine(
    people: People, project: Project, developer: Person, find_client: FindClient, home: Path, tmp_path: Path
) -> None:
    directory = project_directory(tmp_path / "demo")
    twine, url = find_client("twine"), upload_url(people, project)
    writer = (await people.deploy_token(project, "write_package_registry")).headers["Deploy-Token"]
    (home / ".pypirc").write_text(
        f"[distutils]\nindex-servers = gitlab\n\n"
        f"[gitlab]\nrepository = {url}\nusername = {LOGIN}\npassword = {developer.token}\n"
    )
    files = sorted(map(str, (directory / "dist").iterdir()))

    results = [
        await publish(twine, url, (name, token), directory)
        for name, token in ((LOGIN, developer.token or ""), ("__token__", developer.token or ""), ("gitlab", writer))
    ]
    results.append(await start(twine, "upload", "--repository", "gitlab", *files, cwd=directory, home=home))

    assert [0] * 4 == [result.code for result in results], [result.text for result in results]


@pytest.mark.parametrize("name", TALKATIVE)
async def test_who_may_not_publish_reads_why(
    people: People, project: Project, find_client: FindClient, tmp_path: Path, name: str
) -> None:
    reporter = await people.member(project, AccessLevel.REPORTER)
    directory = project_directory(tmp_path / "demo")

    forbidden = await publish(find_client(name), upload_url(people, project), credentials(reporter), directory)
    unknown = await publish(find_client(name), upload_url(people, project), (LOGIN, "glpat-wrong"), directory)

    assert forbidden.code != 0
    assert unknown.code != 0
    assert "403" in forbidden.text
    assert "Forbidden" in forbidden.text
    assert "401" in unknown.text
    assert "Unauthorized" in unknown.text
    assert inventory.EMPTY == await inventory.take(people.services)


async def test_uv_prints_the_answer_to_a_large_file_it_may_not_publish_and_no_broken_pipe(
    people: People, project: Project, find_client: FindClient, tmp_path: Path
) -> None:
    directory = tmp_path / "demo"
    distributions(directory / "dist")
    with zipfile.ZipFile(directory / "dist" / "demo-1.0-py3-none-any.whl", "a") as wheel:
        # More than all buffers on the way hold.
        wheel.writestr("demo.bin", bytes(60_000_000))

    result = await publish(find_client("uv"), upload_url(people, project), (LOGIN, "glpat-wrong"), directory)

    assert (2, True, False) == (result.code, "401 Unauthorized" in result.text, "Broken pipe" in result.text), (
        result.text
    )
    assert inventory.EMPTY == await inventory.take(people.services)


@pytest.mark.parametrize("name", TALKATIVE)
async def test_a_file_damaged_on_its_way_is_refused_in_words_the_user_reads(
    people: People,
    project: Project,
    developer: Person,
    find_client: FindClient,
    aiohttp_server: AiohttpServer,
    tmp_path: Path,
    name: str,
) -> None:
    async def damage(request: web.Request) -> web.Response:
        """Pass an upload on with another digest than the client declared."""
        declared = rb'(name="sha256_digest"\r\n(?:.+\r\n)*\r\n)[0-9a-f]{64}'
        body = re.sub(declared, rb"\g<1>" + b"0" * 64, await request.read())
        names = {"Content-Type", "Authorization", "Accept"} & request.headers.keys()
        headers = {header: request.headers[header] for header in names}
        async with ClientSession() as session:
            answer = await session.post(origin(people) + request.path, data=body, headers=headers)
            content = {"Content-Type": answer.headers["Content-Type"]}
            return web.Response(body=await answer.read(), status=answer.status, reason=answer.reason, headers=content)

    proxy = web.Application(client_max_size=1 << 20)
    proxy.router.add_post("/{path:.*}", damage)
    directory = project_directory(tmp_path / "demo")
    url = str((await aiohttp_server(proxy)).make_url(base(project)))

    result = await publish(find_client(name), url, credentials(developer), directory)

    assert result.code != 0
    sentence = r"The sha256 of demo-1\.0\S+ is [0-9a-f]{64}, but the form declares 0{64}"
    assert re.search(sentence, said(result)), result.text
    assert inventory.EMPTY == await inventory.take(people.services)


async def test_the_curl_of_gitlabs_api_page_works_literally(
    people: People, project: Project, developer: Person, tmp_path: Path
) -> None:
    curl = shutil.which("curl")
    assert curl is not None
    content = b"the content of my.pypi.package\n" * 100
    name = "my.pypi.package-0.0.1.tar.gz"
    directory = tmp_path / "dist"
    directory.mkdir()
    (directory / name).write_bytes(content)

    result = await start(
        Client("curl", "", (curl,)),
        *("--silent", "--show-error", "--request", "POST"),
        *("--form", "content=@my.pypi.package-0.0.1.tar.gz"),
        *("--form", "name=my.pypi.package"),
        *("--form", "version=1.3.7"),
        *("--user", f"{LOGIN}:{developer.token}"),
        upload_url(people, project),
        cwd=directory,
    )

    assert (0, '{"message":"201 Created"}', "") == (result.code, result.stdout, result.stderr)
    assert digests(directory) == await listed(developer, project, "my-pypi-package")
    assert ((("my.pypi.package", "1.3.7", name),)) == (await inventory.take(people.services)).files


async def test_curl_waits_for_the_answer_before_it_sends_a_large_body(
    people: People, project: Project, developer: Person, tmp_path: Path
) -> None:
    curl = shutil.which("curl")
    assert curl is not None
    large = tmp_path / "large-1.0.zip"
    large.write_bytes(bytes(3 << 20))

    async def post(token: str) -> str:
        form = ("--form", f"content=@{large.name}", "--form", "name=large", "--form", "version=1.0")
        result = await start(
            Client("curl", "", (curl,)),
            *("--silent", "--verbose", "--user", f"{LOGIN}:{token}", *form, upload_url(people, project)),
            cwd=tmp_path,
        )
        return result.text

    allowed, refused = await post(developer.token or ""), await post("glpat-wrong")

    assert ("100 Continue" in allowed, "201 Created" in allowed) == (True, True), allowed
    assert ("100 Continue" in refused, "401 Unauthorized" in refused) == (False, True), refused
