"""The corpus goes in through twine and comes out byte-identical."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from registry.access import AccessLevel
from registry.model import Project
from tests.clients import corpus
from tests.clients.corpus import CorpusFile
from tests.clients.process import Client
from tests.clients.pypi import PIP, digests, index_url, start, upload_url, user
from tests.formats.pypi.pages import V1_JSON, base, set_settings, sha256
from tests.people import People, Person

pytestmark = pytest.mark.client

FILES = corpus.files("pypi")
# twine refuses a requirement that PEP 440 does not allow, and knows no .tar.bz2: curl sends these.
UNKNOWN_TO_TWINE = {"omegaconf-2.0.6-py3-none-any.whl", "pytz-2013b.tar.bz2"}
# pip leaves out a wheel with such a requirement; of an sdist it wants to run the setup.py.
UNKNOWN_TO_PIP = {file.file_name for file in FILES if not file.file_name.endswith(".whl")} | UNKNOWN_TO_TWINE

Find = Callable[[str], Client]


@pytest.mark.parametrize("storage_url", ["local", "s3"], indirect=True)
async def test_the_corpus_goes_in_through_twine_and_comes_out_byte_identical(
    people: People, find_client: Find, corpus_path: Callable[[CorpusFile], Path], tmp_path: Path
) -> None:
    project = await people.project(visibility="private")
    developer = await people.member(project, AccessLevel.DEVELOPER)
    await set_settings(people, project, pypi_package_requests_forwarding=False)
    paths = {file: corpus_path(file) for file in FILES}

    twine = {"TWINE_REPOSITORY_URL": upload_url(people, project), "TWINE_USERNAME": "somebody"}
    twine["TWINE_PASSWORD"] = developer.token or ""
    known = [path for file, path in paths.items() if file.file_name not in UNKNOWN_TO_TWINE]
    result = await start(find_client("twine"), "upload", *known, cwd=tmp_path, env=twine)
    assert 0 == result.code, result.text
    for file, path in paths.items():
        if file.file_name in UNKNOWN_TO_TWINE:
            await send(people, project, developer, file, path)

    assert {file.file_name: file.sha256 for file in FILES} == await linked(developer, project)
    found = await downloaded(find_client("pip"), index_url(people, project, user(developer)), tmp_path / "found")
    assert {file.file_name: file.sha256 for file in FILES if file.file_name not in UNKNOWN_TO_PIP} == found


async def send(people: People, project: Project, person: Person, file: CorpusFile, path: Path) -> None:
    curl = Client("curl", "", (shutil.which("curl") or "",))
    form = ("--form", f"content=@{path}", "--form", f"name={file.name}", "--form", f"version={file.version}")
    login = ("--user", f"somebody:{person.token}")
    result = await start(curl, "--silent", "--fail", *form, *login, upload_url(people, project), cwd=path.parent)
    assert 0 == result.code, result.text


async def linked(person: Person, project: Project) -> dict[str, str]:
    """The digest of what every link of every page leads to; they are those the page promises."""
    found = {}
    for name in sorted({re.sub(r"[-_.]+", "-", file.name).lower() for file in FILES}):
        page = await person.get(f"{base(project)}/simple/{name}/", headers={"Accept": V1_JSON})
        for file in (await page.json(content_type=V1_JSON))["files"]:
            answer = await person.client.get(file["url"].partition(str(person.client.port))[2], **person.auth())
            content = await answer.read()
            assert (file["hashes"]["sha256"], file["size"]) == (sha256(content), len(content))
            found[file["filename"]] = sha256(content)
    return found


async def downloaded(pip: Client, index: str, target: Path) -> dict[str, str]:
    """The digests of what pip downloads, each wheel for the machine it is meant for."""
    common = ("download", *PIP, "--no-deps", "--only-binary", ":all:", "--index-url", index, "--dest", target)
    wheels = [file for file in FILES if file.file_name not in UNKNOWN_TO_PIP]
    runs: dict[tuple[str, ...], list[str]] = {}
    for file in wheels:
        runs.setdefault(machine(file.file_name), []).append(f"{file.name}=={file.version}")
    for flags, wanted in runs.items():
        result = await start(pip, *common, *flags, *wanted, cwd=target.parent)
        assert 0 == result.code, result.text
    return digests(target)


def machine(file_name: str) -> tuple[str, ...]:
    """The flags that make pip look for this wheel, whatever it runs on itself."""
    python, abi, platforms = file_name.removesuffix(".whl").split("-")[-3:]
    if platforms == "any":
        return ()
    version = f"{python[2]}.{python[3:]}"
    platform = platforms.partition(".")[0]
    return ("--python-version", version, "--implementation", "cp", "--abi", abi, "--platform", platform)
