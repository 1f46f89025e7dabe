"""The younger standards of the simple API as installers and independent readers understand them."""

from __future__ import annotations

import asyncio
import io
import re
import sys
import tarfile
import tomllib
import warnings
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pypi_simple
import pytest
from aiohttp import FormData
from mousebender import simple as mousebender

from registry.access import AccessLevel
from registry.model import Group, Project
from tests.clients import corpus, packing
from tests.clients.corpus import CorpusFile
from tests.clients.process import Client
from tests.clients.pypi import (
    PIP,
    index_url,
    install,
    installed,
    project_directory,
    publish,
    requests,
    start,
    upload_url,
    user,
)
from tests.formats.pypi.distributions import a_wheel, an_sdist, core_metadata
from tests.formats.pypi.pages import V1_JSON, base, set_settings, sha256
from tests.people import People, Person

pytestmark = pytest.mark.client

FindClient = Callable[[str], Client]
CorpusPath = Callable[[CorpusFile], Path]
# pip-22.1 and older know HTML pages only; pip-23.0 dies of `dist-info-metadata` in JSON.
KNOWING_YANKS = ("pip", "pip-23.0", "pip-22.1", "pip-19.2", "uv")
INSTALLERS = (*KNOWING_YANKS, "pip-18.1")
# Which sdists of the corpus say of themselves that what they say holds (metadata 2.2, nothing of it dynamic).
STATIC_SDISTS = {"attrs-25.4.0.tar.gz", "idna-3.11.tar.gz", "typing_extensions-4.16.0rc2.tar.gz"}


@pytest.fixture
async def project(people: People) -> Project:
    group = await people.group(visibility="private")
    project = await people.project(group, visibility="private")
    await set_settings(people, project, pypi_package_requests_forwarding=False)
    return project


@pytest.fixture
async def maintainer(people: People, project: Project) -> Person:
    return await people.member(project, AccessLevel.MAINTAINER)


async def put(person: Person, project: Project, version: str, content: bytes = b"", name: str = "demo") -> None:
    content = content or packing.wheel(name, version)
    answer = await person.upload(project, f"{name}-{version}-py3-none-any.whl", content, name=name, version=version)
    assert 201 == answer.status, await answer.text()


async def patch(person: Person, project: Project, path: str, **values: object) -> None:
    answer = await person.ask("PATCH", f"{base(project)}/names/{path}", json=values)
    assert 200 == answer.status, await answer.text()


async def downloads(people: People) -> int:
    """How many packages a file was downloaded of."""
    await people.services.usage.flush()
    count: int = await people.services.db.fetchval("SELECT count(*) FROM packages WHERE last_downloaded_at IS NOT NULL")
    return count


@pytest.mark.parametrize("name", INSTALLERS)
async def test_installers_old_and_new_read_the_pages_whatever_they_know_of_what_is_on_them(
    people: People, project: Project, maintainer: Person, find_client: FindClient, tmp_path: Path, name: str
) -> None:
    await put(maintainer, project, "1.0")
    wanting = core_metadata("demo", "2.0", "Requires-Python: >=4")
    await put(maintainer, project, "2.0", a_wheel("demo", "2.0", metadata=wanting))
    await patch(maintainer, project, "demo", status="deprecated", reason='use <other> & "better"')

    result = await install(find_client(name), index_url(people, project, user(maintainer)), tmp_path / "any", "demo")

    assert (0, ["demo-1.0"]) == (result.code, installed(tmp_path / "any")), result.text


@pytest.mark.parametrize("name", KNOWING_YANKS)
async def test_a_yanked_release_is_installed_only_when_it_is_pinned(
    people: People, project: Project, maintainer: Person, find_client: FindClient, tmp_path: Path, name: str
) -> None:
    await put(maintainer, project, "1.0")
    await put(maintainer, project, "2.0")
    await patch(maintainer, project, "demo/versions/2.0", yanked=True, reason="breaks on Mondays")
    index, client = index_url(people, project, user(maintainer)), find_client(name)

    chosen = await install(client, index, tmp_path / "any", "demo")
    pinned = await install(client, index, tmp_path / "pinned", "demo==2.0")

    assert (0, 0) == (chosen.code, pinned.code), chosen.text + pinned.text
    assert ["demo-1.0"] == installed(tmp_path / "any")
    assert ["demo-2.0"] == installed(tmp_path / "pinned")
    assert "breaks on Mondays" in pinned.text


async def test_a_release_whose_yank_is_taken_back_is_installed_again(
    people: People, project: Project, maintainer: Person, find_client: FindClient, home: Path, tmp_path: Path
) -> None:
    await put(maintainer, project, "1.0")
    await put(maintainer, project, "2.0")
    index, uv = index_url(people, project, user(maintainer)), find_client("uv")
    found = []

    for yanked in (True, False):
        await patch(maintainer, project, "demo/versions/2.0", yanked=yanked)
        result = await install(uv, index, tmp_path / str(yanked), "demo", home=home)
        assert 0 == result.code, result.text
        found += installed(tmp_path / str(yanked))

    assert ["demo-1.0", "demo-2.0"] == found


@pytest.mark.parametrize("name", ["pip", "uv"])
async def test_a_quarantined_name_has_no_version_to_install_and_an_archived_one_has(
    people: People, project: Project, maintainer: Person, find_client: FindClient, tmp_path: Path, name: str
) -> None:
    await put(maintainer, project, "1.0")
    index, client = index_url(people, project, user(maintainer)), find_client(name)

    await patch(maintainer, project, "demo", status="quarantined", reason="malware")
    quarantined = await install(client, index, tmp_path / "quarantined", "demo")
    await patch(maintainer, project, "demo", status="archived")
    archived = await install(client, index, tmp_path / "archived", "demo")

    assert quarantined.code != 0
    assert re.search(r"from versions: none|no versions of demo", quarantined.text), quarantined.text
    assert (0, ["demo-1.0"]) == (archived.code, installed(tmp_path / "archived")), archived.text


async def test_twine_prints_that_an_archived_name_takes_no_uploads(
    people: People, project: Project, maintainer: Person, find_client: FindClient, tmp_path: Path
) -> None:
    await put(maintainer, project, "0.9")
    await patch(maintainer, project, "demo", status="archived")
    directory = project_directory(tmp_path / "demo")

    login = ("somebody", maintainer.token or "")
    result = await publish(find_client("twine"), upload_url(people, project), login, directory)

    assert result.code != 0
    assert "demo is archived and accepts no files" in " ".join(result.text.split())


@pytest.mark.parametrize("level", ["project", "group"])
async def test_installers_resolve_from_core_metadata_and_transfer_no_file(
    people: People, project: Project, maintainer: Person, find_client: FindClient, tmp_path: Path, level: str
) -> None:
    needs = core_metadata("demo", "1.0", "Requires-Dist: other>=1")
    await put(maintainer, project, "1.0", a_wheel("demo", "1.0", metadata=needs))
    static = an_sdist("other", "1.0", metadata=core_metadata("other", "1.0", metadata_version="2.2"))
    await maintainer.upload(project, "other-1.0.tar.gz", static, name="other", version="1.0")
    group = await people.services.lookups.group(str(project.namespace_id))
    assert group is not None
    place: Project | Group = project if level == "project" else group
    await set_settings(people, group, pypi_package_requests_forwarding=False)
    index = index_url(people, place, user(maintainer))

    before = requests()
    dry = ("install", *PIP, "--dry-run", "--ignore-installed", "--index-url", index, "demo")
    pip = await start(find_client("pip"), *dry, cwd=tmp_path)
    after_pip = requests() - before
    (tmp_path / "in").write_text("demo\n")
    # uv does not look at the metadata of an sdist: of `demo` alone.
    compile_ = ("pip", "compile", "--no-deps", "--default-index", index, "--python-version", "3.11", "in")
    uv = await start(find_client("uv"), *compile_, cwd=tmp_path)

    assert (0, 0) == (pip.code, uv.code), pip.text + uv.text
    assert "Would install demo-1.0 other-1.0" in pip.text
    assert {("{name}", "200"): 2, ("{file_name}", "200"): 2} == after_pip
    assert "demo==1.0" in uv.stdout
    assert 0 == await downloads(people)


async def test_uv_locks_as_of_a_moment_and_syncs_from_the_lock(
    people: People, project: Project, maintainer: Person, find_client: FindClient, tmp_path: Path
) -> None:
    await put(maintainer, project, "1.0")
    between = datetime.now(UTC)
    await put(maintainer, project, "2.0")
    index = index_url(people, project, user(maintainer))
    directory = tmp_path / "app"
    directory.mkdir()
    (directory / "pyproject.toml").write_text(
        '[project]\nname = "app"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["demo"]\n'
        f'[[tool.uv.index]]\nname = "ours"\nurl = "{index}"\ndefault = true\n'
    )
    uv, python = find_client("uv"), ("--python", sys.executable)

    moment = between.isoformat().replace("+00:00", "Z")
    locked = await start(uv, "lock", *python, "--exclude-newer", moment, cwd=directory)
    synced = await start(uv, "sync", *python, "--frozen", cwd=directory)

    assert (0, 0) == (locked.code, synced.code), locked.text + synced.text
    lock = (directory / "uv.lock").read_text()
    digest = sha256(packing.wheel("demo", "1.0"))
    assert re.search(rf'url = "[^"]+/files/{digest}/demo-1.0-py3-none-any.whl", hash = "sha256:{digest}"', lock), lock
    assert re.search(r'size = \d+, upload-time = "20', lock), lock
    assert "demo-2.0" not in lock
    assert ["demo-1.0"] == installed(next((directory / ".venv").glob("lib/python*/site-packages")))


@pytest.mark.parametrize("name", ["poetry", "pdm"])
async def test_poetry_and_pdm_lock_what_is_not_yanked_without_its_file(
    people: People, project: Project, maintainer: Person, find_client: FindClient, tmp_path: Path, name: str
) -> None:
    needs = core_metadata("demo", "1.0", "Requires-Dist: other>=1")
    await put(maintainer, project, "1.0", a_wheel("demo", "1.0", metadata=needs))
    await put(maintainer, project, "2.0")
    await put(maintainer, project, "1.0", name="other")
    await patch(maintainer, project, "demo/versions/2.0", yanked=True, reason="bad")
    # poetry sends what is in the URL of a source to its pages only.
    login = {"POETRY_HTTP_BASIC_OURS_USERNAME": "somebody", "POETRY_HTTP_BASIC_OURS_PASSWORD": maintainer.token or ""}
    index = index_url(people, project, user(maintainer) if name == "pdm" else "")
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "app"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["demo"]\n'
        f'[[tool.{name}.source]]\nname = "{"pypi" if name == "pdm" else "ours"}"\nurl = "{index}"\n'
    )

    result = await start(find_client(name), "lock", cwd=tmp_path, env=login if name == "poetry" else {})

    assert 0 == result.code, result.text
    lock = tomllib.loads((tmp_path / f"{name}.lock").read_text())
    assert {("demo", "1.0"), ("other", "1.0")} == {(one["name"], one["version"]) for one in lock["package"]}
    assert 0 == await downloads(people)


async def test_hatch_skips_what_is_uploaded(
    people: People, project: Project, maintainer: Person, find_client: FindClient, tmp_path: Path
) -> None:
    directory = project_directory(tmp_path / "demo")
    for path in (directory / "dist").iterdir():
        # With other bytes: to upload it again would be refused.
        assert 201 == (await maintainer.upload(project, path.name, b"other", name="demo", version="1.0")).status

    login = ("somebody", maintainer.token or "")
    result = await publish(find_client("hatch"), upload_url(people, project), login, directory)

    assert 2 == result.text.count("already exists"), result.text


# --- independent readers ------------------------------------------------------------------------------------------


async def fill(project: Project, person: Person, corpus_path: CorpusPath) -> set[str]:
    """Upload the corpus and give some of it a status and yanks; answers the names."""
    for file in corpus.files("pypi"):
        form = FormData({"name": file.name, "version": file.version}, quote_fields=False)
        form.add_field("content", io.BytesIO(corpus_path(file).read_bytes()), filename=file.file_name)
        answer = await person.ask("POST", base(project), data=form)
        assert 201 == answer.status, await answer.text()
    await patch(person, project, "six/versions/1.17.0", yanked=True, reason='because of <"this">')
    await patch(person, project, "pytz/files/pytz-2013b.zip", yanked=True)
    await patch(person, project, "idna", status="deprecated", reason="use other & better")
    await patch(person, project, "attrs", status="archived")
    await patch(person, project, "docopt", status="quarantined", reason="<malware>")
    return {re.sub(r"[-_.]+", "-", file.name).lower() for file in corpus.files("pypi")}


def read(index: str, name: str, accept: str) -> dict[str, Any]:
    """What pypi-simple makes of a page."""
    with pypi_simple.PyPISimple(index, accept=accept) as client:
        page = client.get_project_page(name)
    return {
        "status": (page.status, page.status_reason),
        "repository_version": page.repository_version,
        "files": {
            (
                file.filename,
                file.digests["sha256"],
                file.requires_python or None,
                file.is_yanked,
                file.yanked_reason or None,
                bool(file.has_metadata),
                (file.metadata_digests or {}).get("sha256"),
                file.url.partition("#")[0],
            )
            for file in page.packages
        },
    }


async def test_independent_readers_find_the_same_in_html_and_json_and_metadata_is_what_is_promised(
    people: People, project: Project, maintainer: Person, corpus_path: CorpusPath
) -> None:
    names = await fill(project, maintainer, corpus_path)
    index = index_url(people, project, user(maintainer))

    described, statuses, yanked = set(), {}, set()
    for name in sorted(names):
        as_json, as_html = [
            await asyncio.to_thread(read, index, name, accept)
            for accept in (pypi_simple.ACCEPT_JSON_ONLY, pypi_simple.ACCEPT_HTML_ONLY)
        ]
        assert as_json == as_html
        statuses[name] = as_json["status"]
        yanked |= {file[0] for file in as_json["files"] if file[3]}
        raw = await check_with_mousebender(maintainer, project, name)
        described |= {file["filename"] for file in raw["files"] if await check_metadata(maintainer, file)}

    wheels = {file.file_name for file in corpus.files("pypi") if file.file_name.endswith(".whl")}
    assert wheels | STATIC_SDISTS == described
    assert {"six-1.17.0-py2.py3-none-any.whl", "six-1.17.0.tar.gz", "pytz-2013b.zip"} == yanked
    different = {name: status for name, status in statuses.items() if status != ("active", None)}
    assert {
        "attrs": ("archived", None),
        "docopt": ("quarantined", "<malware>"),
        "idna": ("deprecated", "use other & better"),
    } == different


async def check_with_mousebender(person: Person, project: Project, name: str) -> Any:
    """Both forms say the same to the other reader; the JSON itself has what PEP 700 wants and no old key."""
    url = f"{base(project)}/simple/{name}/"
    answer = await person.get(url, headers={"Accept": V1_JSON})
    as_json: Any = mousebender.parse_project_details(await answer.text(), V1_JSON, name)
    html = await (await person.get(url)).text()
    with warnings.catch_warnings():
        # It knows nothing of HTML after 1.1, and has nothing else to say about 1.4.
        warnings.simplefilter("ignore", mousebender.APIVersionWarning)
        as_html: Any = mousebender.parse_project_details(html, "text/html", name)
    assert "1.4" == as_json["meta"]["api-version"]
    shared = ("filename", "url", "hashes", "requires-python", "core-metadata")
    for one, other in zip(as_json["files"], as_html["files"], strict=True):
        assert {key: one.get(key) or None for key in shared} == {key: other.get(key) or None for key in shared}
        assert bool(one["yanked"]) == ("yanked" in other and other["yanked"] is not False)
        assert "dist-info-metadata" not in one
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", one["upload-time"])
        assert isinstance(one["size"], int)
    return as_json


async def check_metadata(person: Person, file: Any) -> bool:
    """What is advertised is served, as it is in the file and with the digest that was promised; what is not is not."""
    path = "/" + file["url"].split("/", 3)[3]
    answer = await person.client.get(f"{path}.metadata", **person.auth(), allow_redirects=False)
    promised = file.get("core-metadata")
    if not promised:
        assert 404 == answer.status
        return False
    content = await (await person.client.get(path, **person.auth())).read()
    served = await answer.read()
    assert (200, promised, inside(file["filename"], content)) == (answer.status, {"sha256": sha256(served)}, served)
    return True


def inside(file_name: str, content: bytes) -> bytes:
    """The METADATA of a wheel or the PKG-INFO of an sdist, found without the registry's help."""
    if file_name.endswith(".whl"):
        with zipfile.ZipFile(io.BytesIO(content)) as wheel:
            return wheel.read(next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")))
    with tarfile.open(fileobj=io.BytesIO(content)) as sdist:
        member = sdist.extractfile(f"{file_name.removesuffix('.tar.gz')}/PKG-INFO")
        assert member is not None
        return member.read()
