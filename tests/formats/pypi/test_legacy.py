from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from aiohttp import FormData
from yarl import URL

from registry.access import AccessLevel
from registry.model import Project
from tests.formats.pypi.distributions import a_wheel, an_sdist, core_metadata
from tests.formats.pypi.pages import base, put, set_settings, sha256
from tests.people import People, Person

WHEEL, SDIST = "My_Pkg-1.0-py3-none-any.whl", "My_Pkg-1.0.tar.gz"
METADATA = core_metadata(
    "My.Pkg",
    "1.0",
    "Summary: Something",
    "Home-page: UNKNOWN",
    "Author-email: a@example.com",
    "Keywords: one,two",
    "Classifier: Programming Language :: Python",
    "Requires-Dist: attrs",
    "Requires-Python: >=3.8",
    "Project-URL: Docs, https://example.com",
    "Description-Content-Type: text/plain",
)
WHEEL_BYTES = a_wheel("My_Pkg", "1.0", metadata=METADATA)
SDIST_BYTES = an_sdist("My_Pkg", "1.0", metadata=core_metadata("My.Pkg", "1.0"))


async def ask(person: Person, project: Project, path: str) -> tuple[int, Any]:
    answer = await person.get(f"{base(project)}/pypi/{path}/json")
    return answer.status, await answer.json()


async def test_a_name_is_described_as_the_public_index_once_did(
    people: People, project: Project, developer: Person
) -> None:
    await put(developer, project, "My.Pkg", "1.0", WHEEL, WHEEL_BYTES)
    await put(developer, project, "My.Pkg", "1.0", SDIST, SDIST_BYTES)

    status, shown = await ask(people.anonymous, project, "my_pkg")

    at = f"http://127.0.0.1:{people.client.port}{base(project)}"
    for file in (*shown["urls"], *shown["releases"]["1.0"]):
        moment, exact = file.pop("upload_time"), file.pop("upload_time_iso_8601")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", moment)
        assert re.fullmatch(moment + r"(\.\d{6})?Z", exact)
        assert file["digests"].pop("md5") == file.pop("md5_digest")
    files = [
        {
            "comment_text": "",
            "digests": {"sha256": sha256(content)},
            "downloads": -1,
            "filename": file_name,
            "has_sig": False,
            "packagetype": kind,
            "python_version": python,
            "requires_python": requires,
            "size": len(content),
            "url": f"{at}/files/{sha256(content)}/{file_name}",
            "yanked": False,
            "yanked_reason": None,
        }
        for file_name, content, kind, python, requires in (
            (WHEEL, WHEEL_BYTES, "bdist_wheel", "py3", ">=3.8"),
            (SDIST, SDIST_BYTES, "sdist", "source", None),
        )
    ]
    assert 200 == status
    assert shown == {
        "info": {
            "author": "",
            "author_email": "a@example.com",
            "bugtrack_url": None,
            "classifiers": ["Programming Language :: Python"],
            "description": "A demonstration.\n",
            "description_content_type": "text/plain",
            "docs_url": None,
            "download_url": "",
            "downloads": {"last_day": -1, "last_month": -1, "last_week": -1},
            "dynamic": None,
            "home_page": "",
            "keywords": "one,two",
            "license": None,
            "license_expression": None,
            "license_files": None,
            "maintainer": None,
            "maintainer_email": None,
            "name": "My.Pkg",
            "package_url": f"{at}/simple/my-pkg",
            "platform": None,
            "project_url": f"{at}/simple/my-pkg",
            "project_urls": {"Docs": "https://example.com"},
            "provides_extra": None,
            "release_url": f"{at}/pypi/my-pkg/1.0/json",
            "requires_dist": ["attrs"],
            "requires_python": ">=3.8",
            "summary": "Something",
            "version": "1.0",
            "yanked": False,
            "yanked_reason": None,
        },
        "last_serial": 2,
        "releases": {"1.0": files},
        "urls": files,
        "vulnerabilities": [],
    }


async def test_the_newest_final_release_that_is_not_yanked_is_described(
    people: People, project: Project, developer: Person
) -> None:
    maintainer = await people.member(project, AccessLevel.MAINTAINER)
    described = []
    for version in ("1.0rc1", "0.9", "2.0rc1", "10.0", "9.0"):
        await put(developer, project, "demo", version)
        described.append((await ask(people.anonymous, project, "demo"))[1]["info"]["version"])
    for version in ("10.0", "9.0", "0.9", "2.0rc1", "1.0rc1"):
        path = f"{base(project)}/names/demo/versions/{version}"
        assert 200 == (await maintainer.ask("PATCH", path, json={"yanked": True, "reason": "bad"})).status
        described.append((await ask(people.anonymous, project, "demo"))[1]["info"]["version"])

    assert ["1.0rc1", "0.9", "0.9", "10.0", "10.0", "9.0", "0.9", "2.0rc1", "1.0rc1", "10.0"] == described
    info = (await ask(people.anonymous, project, "demo"))[1]["info"]
    assert (True, "bad") == (info["yanked"], info["yanked_reason"])


async def test_one_version_is_described_in_any_spelling_and_without_the_others(
    people: People, project: Project, developer: Person
) -> None:
    await put(developer, project, "demo", "1.0", summary="of the form", keywords="a b")
    await put(developer, project, "demo", "2.0")

    status, shown = await ask(people.anonymous, project, "Demo/1.0.0")

    assert (200, ["info", "last_serial", "urls", "vulnerabilities"]) == (status, sorted(shown))
    assert ("1.0", "of the form", "a b") == tuple(shown["info"][key] for key in ("version", "summary", "keywords"))
    assert ["demo-1.0.tar.gz"] == [file["filename"] for file in shown["urls"]]


@pytest.mark.parametrize("path", ["none", "demo/3.0", "none/1.0"])
async def test_what_is_not_here_is_not_found_and_never_forwarded(
    people: People, project: Project, developer: Person, path: str
) -> None:
    await put(developer, project, "demo", "1.0")

    status, shown = await ask(people.anonymous, project, path)

    assert (404, "404 Package Not Found") == (status, shown["message"])


async def test_hatch_finds_what_is_uploaded_however_it_writes_the_plus_sign(
    people: People, project: Project, developer: Person
) -> None:
    await put(developer, project, "demo", "1.0")
    pages = []
    for path in ("+simple/demo/", "%2Bsimple/demo/", "+simple/demo"):
        answer = await people.anonymous.get(URL(f"{base(project)}/{path}", encoded=True))
        pages.append((answer.status, answer.content_type, ">demo-1.0.tar.gz</a>" in await answer.text()))
    # The public index may well have the name: that is forwarded nowhere, or hatch would not upload.
    absent = await people.anonymous.get(f"{base(project)}/+simple/other/")

    assert [(200, "text/html", True)] * 3 == pages
    assert (404, "404 Package Not Found") == (absent.status, (await absent.json())["message"])


@pytest.mark.parametrize(
    ("action", "why"),
    [
        ("submit", "projects need no registration, upload a file"),
        ("submit_pkg_info", "projects need no registration, upload a file"),
        ("doc_upload", "documentation is not hosted here"),
    ],
)
@pytest.mark.parametrize("place", ["form", "query"])
async def test_what_distutils_once_did_is_gone(
    people: People, project: Project, developer: Person, action: str, why: str, place: str
) -> None:
    form = FormData()
    form.add_field("name", "demo")
    form.add_field("content", b"zip", filename="docs.zip", content_type="application/octet-stream")
    if place == "form":
        form.add_field(":action", action)
    query = {":action": action} if place == "query" else {}

    answer = await developer.ask("POST", base(project), data=form, params=query)

    text = f"410 Gone - {action} is gone: {why}"
    assert (410, f"{action} is gone: {why}", text) == (answer.status, answer.reason, (await answer.json())["message"])
    assert 0 == await people.services.db.fetchval("SELECT count(*) FROM packages")


@pytest.mark.parametrize("forwarding", [True, False])
async def test_pips_question_for_itself_is_answered_from_memory(
    people: People,
    project: Project,
    forwarding: bool,  # noqa: FBT001
) -> None:
    """Answered while nobody can read what the database knows of packages; pip asks in every run."""
    await set_settings(people, project, pypi_package_requests_forwarding=forwarding)
    db = people.services.db
    statuses = [(await people.anonymous.get(f"{base(project)}/simple/pip/")).status]
    async with db.transaction() as tx:
        await tx.execute("LOCK TABLE package_names, packages, projects IN ACCESS EXCLUSIVE MODE")
        for _ in range(3):
            answer = await asyncio.wait_for(people.anonymous.get(f"{base(project)}/simple/pip/"), 10)
            statuses.append(answer.status)

    assert [302 if forwarding else 404] * 4 == statuses
