from __future__ import annotations

import re
from typing import Any

from registry import tree
from registry.model import Project
from tests.formats.pypi.pages import V1_HTML, V1_JSON, base, delete, links, page, put
from tests.people import OPERATOR, People, Person

LATEST_JSON = "application/vnd.pypi.simple.latest+json"
LATEST_HTML = "application/vnd.pypi.simple.latest+html"
VARY = "Accept, Accept-Encoding, Authorization"


async def test_a_project_page_is_the_html_of_the_contract(people: People, project: Project, developer: Person) -> None:
    one = await put(developer, project, "My.Pkg", "1.0", "My.Pkg-1.0.tar.gz", requires_python=">=3.6, <4")
    two = await put(developer, project, "My.Pkg", "1.0", "My.Pkg-1.0-py3-none-any.whl")
    three = await put(developer, project, "My.Pkg", "1!2.0+cu118", "My.Pkg-1!2.0+cu118.zip")

    response = await people.anonymous.get(f"{base(project)}/simple/my-pkg/")

    files = f"http://127.0.0.1:{people.client.port}{base(project)}/files"
    assert (200, "text/html; charset=utf-8") == (response.status, response.headers["Content-Type"])
    assert await response.text() == (
        "<!DOCTYPE html>\n"
        "<html>\n"
        "  <head>\n"
        '    <meta name="pypi:repository-version" content="1.4">\n'
        '    <meta name="pypi:project-status" content="active">\n'
        "    <title>Links for My.Pkg</title>\n"
        "  </head>\n"
        "  <body>\n"
        "    <h1>Links for My.Pkg</h1>\n"
        f'<a href="{files}/{one}/My.Pkg-1.0.tar.gz#sha256={one}" data-requires-python="&gt;=3.6, &lt;4">'
        "My.Pkg-1.0.tar.gz</a><br>\n"
        f'<a href="{files}/{two}/My.Pkg-1.0-py3-none-any.whl#sha256={two}" data-requires-python="">'
        "My.Pkg-1.0-py3-none-any.whl</a><br>\n"
        f'<a href="{files}/{three}/My.Pkg-1%212.0%2Bcu118.zip#sha256={three}" data-requires-python="">'
        "My.Pkg-1!2.0+cu118.zip</a><br>\n"
        "  </body>\n"
        "</html>"
    )


async def test_the_index_has_one_anchor_for_each_name_as_first_spelled(people: People) -> None:
    owner = people.root
    group = await people.group(visibility="public")
    project = await tree.create_project(
        people.services.db, OPERATOR, namespace=group, name="R&D <tools>", path="tools", visibility="public"
    )
    for name, version in (("zoo", "1.0"), ("My.Pkg", "1.0"), ("My.Pkg", "2.0"), ("my_pkg", "3.0")):
        await put(owner, project, name, version)

    response = await people.anonymous.get(f"{base(project)}/simple")

    simple = f"http://127.0.0.1:{people.client.port}{base(project)}/simple"
    assert (200, "text/html; charset=utf-8") == (response.status, response.headers["Content-Type"])
    assert await response.text() == (
        "<!DOCTYPE html>\n"
        "<html>\n"
        "  <head>\n"
        '    <meta name="pypi:repository-version" content="1.4">\n'
        "    <title>Links for R&amp;D &lt;tools&gt;</title>\n"
        "  </head>\n"
        "  <body>\n"
        "    <h1>Links for R&amp;D &lt;tools&gt;</h1>\n"
        f'<a href="{simple}/my-pkg" data-requires-python="">My.Pkg</a><br>\n'
        f'<a href="{simple}/zoo" data-requires-python="">zoo</a><br>\n'
        "  </body>\n"
        "</html>"
    )


async def test_the_json_page_has_what_pep_691_and_700_want(people: People, project: Project, developer: Person) -> None:
    one = await put(developer, project, "My.Pkg", "1.0", "My.Pkg-1.0.tar.gz", b"four", requires_python=">=3.6")
    two = await put(developer, project, "My.Pkg", "2.0", "My.Pkg-2.0.tar.gz", b"seven77")

    response = await people.anonymous.get(f"{base(project)}/simple/my-pkg/", headers={"Accept": V1_JSON})
    document = await response.json(content_type=V1_JSON)

    files = f"http://127.0.0.1:{people.client.port}{base(project)}/files"
    times = [file.pop("upload-time") for file in document["files"]]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", time) for time in times), times
    assert document == {
        "meta": {"api-version": "1.4"},
        "name": "my-pkg",
        "project-status": {"status": "active"},
        "versions": ["1.0", "2.0"],
        "files": [
            {
                "filename": "My.Pkg-1.0.tar.gz",
                "url": f"{files}/{one}/My.Pkg-1.0.tar.gz",
                "hashes": {"sha256": one},
                "requires-python": ">=3.6",
                "size": 4,
                "yanked": False,
            },
            {
                "filename": "My.Pkg-2.0.tar.gz",
                "url": f"{files}/{two}/My.Pkg-2.0.tar.gz",
                "hashes": {"sha256": two},
                "size": 7,
                "yanked": False,
            },
        ],
    }


async def test_the_json_index_names_each_project_once(people: People, project: Project, developer: Person) -> None:
    for name, version in (("zoo", "1.0"), ("My.Pkg", "1.0"), ("my_pkg", "2.0")):
        await put(developer, project, name, version)

    response = await people.anonymous.get(f"{base(project)}/simple/", headers={"Accept": V1_JSON})

    assert V1_JSON == response.headers["Content-Type"]
    assert {"meta": {"api-version": "1.4"}, "projects": [{"name": "My.Pkg"}, {"name": "zoo"}]} == await response.json(
        content_type=V1_JSON
    )


async def test_an_empty_project_has_an_empty_index(people: People, project: Project) -> None:
    assert [] == await links(await people.anonymous.get(f"{base(project)}/simple/"))


async def test_urls_have_numeric_ids_even_when_the_request_has_a_path(people: People, developer: Person) -> None:
    group = await people.group("acme.inc", visibility="public")
    project = await people.project(group, "foo.bar", visibility="public")
    await put(people.root, project, "demo", "1.0")

    response = await people.anonymous.get("/api/v4/projects/acme.inc%2Ffoo.bar/packages/pypi/simple/demo")

    assert f'href="http://127.0.0.1:{people.client.port}{base(project)}/files/' in await response.text()
    assert 404 == (await people.anonymous.get("/api/v4/projects/acme.inc/foo.bar/packages/pypi/simple/demo")).status


# Names


async def test_names_are_normalised_on_both_sides_without_a_redirect(
    people: People, project: Project, developer: Person
) -> None:
    await put(developer, project, "My.Pkg", "1.0", "a.zip")
    await put(developer, project, "my_pkg", "2.0", "b.zip")

    for asked in ("my-pkg", "My-Pkg", "my.pkg", "MY__PKG", "my-._pkg", "My.Pkg/", "my%2Dpkg/"):
        response = await people.anonymous.get(f"{base(project)}/simple/{asked}")
        assert ["a.zip", "b.zip"] == await links(response), asked
        assert "<title>Links for My.Pkg</title>" in await response.text()


TEXT_HTML = "text/html; charset=utf-8"
NEGOTIATED = [
    (V1_JSON, "", V1_JSON),
    (LATEST_JSON, "", V1_JSON),
    (V1_HTML, "", f"{V1_HTML}; charset=utf-8"),
    (LATEST_HTML, "", f"{V1_HTML}; charset=utf-8"),
    ("text/html", "", TEXT_HTML),
    ("*/*", "", TEXT_HTML),
    (None, "", TEXT_HTML),
    (f"{V1_JSON}, {V1_HTML}; q=0.1, text/html; q=0.01", "", V1_JSON),  # pip
    (f"{V1_JSON}, {V1_HTML};q=0.2, text/html;q=0.01", "", V1_JSON),  # uv
    (f"{V1_JSON}, */*;q=0.1", "", V1_JSON),  # poetry
    (f"{V1_JSON};q=0.1, text/html", "", TEXT_HTML),
    (f"text/html, {V1_JSON}", "", V1_JSON),
    ("text/html", f"?format={V1_JSON}", V1_JSON),
    (V1_JSON, "?format=text/html", TEXT_HTML),
    (None, f"?format={LATEST_HTML.replace('+', '%2B')}", f"{V1_HTML}; charset=utf-8"),
]


async def test_the_representation_is_negotiated(people: People, project: Project, developer: Person) -> None:
    await put(developer, project, "demo", "1.0")

    for accept, query, expected in NEGOTIATED:
        # aiohttp sends `*/*` unless it is told to leave the header out.
        options: dict[str, Any] = {"headers": {"Accept": accept}} if accept else {"skip_auto_headers": ["Accept"]}
        for where in ("/simple/", "/simple/demo/"):
            response = await people.anonymous.get(f"{base(project)}{where}{query}", **options)
            seen = (response.status, response.headers.get("Content-Type"), response.headers.get("Vary"))
            assert (200, expected, VARY) == seen, (accept, query, where)
            assert (await response.read()).startswith(b"{" if expected == V1_JSON else b"<!DOCTYPE html>")


async def test_what_no_page_comes_as_is_not_acceptable(people: People, project: Project, developer: Person) -> None:
    await put(developer, project, "demo", "1.0")

    for accept, query in (
        ("application/json", ""),
        ("application/vnd.pypi.simple.v2+json", ""),
        (f"{V1_JSON};q=0", ""),
        ("*/*", "?format=application/json"),
        ("*/*", f"?format={V1_JSON},text/html"),
        ("*/*", "?format="),
    ):
        response = await people.anonymous.get(f"{base(project)}/simple/demo/{query}", headers={"Accept": accept})
        assert 406 == response.status, (accept, query)
        assert V1_JSON in await response.text()


async def test_a_page_is_revalidated_by_a_strong_etag_of_its_representation_and_coding(
    people: People, project: Project, developer: Person
) -> None:
    for number in range(20):
        await put(developer, project, "demo", f"{number}.0")
    url = f"{base(project)}/simple/demo/"
    etags = set()
    for accept in (V1_JSON, V1_HTML, "text/html"):
        for coding in ("identity", "gzip", "zstd"):
            wants = {"Accept": accept, "Accept-Encoding": coding}
            fresh = await people.anonymous.get(url, headers=wants, auto_decompress=False)
            etag = fresh.headers["ETag"]
            assert re.fullmatch(r'"[!#-~]+"', etag)
            etags.add(etag)
            again = await people.anonymous.get(url, headers={**wants, "If-None-Match": f'"other", {etag}'})
            assert (304, b"") == (again.status, await again.read())
            for name in ("ETag", "Cache-Control", "Vary"):
                assert fresh.headers[name] == again.headers[name], name
            assert (VARY, "no-cache") == (fresh.headers["Vary"], fresh.headers["Cache-Control"])
    assert 9 == len(etags)


async def test_a_page_has_another_etag_after_every_change(people: People, project: Project, developer: Person) -> None:
    url = f"{base(project)}/simple/demo/"
    await put(developer, project, "demo", "1.0")
    etag = (await people.anonymous.get(url)).headers["ETag"]
    await put(developer, project, "demo", "1.0")
    same = await people.anonymous.get(url, headers={"If-None-Match": etag})
    await put(developer, project, "demo", "2.0")
    changed = await people.anonymous.get(url, headers={"If-None-Match": etag})
    await delete(people, project, "demo", "2.0")
    back = await people.anonymous.get(url, headers={"If-None-Match": etag})

    assert (304, 200, 304) == (same.status, changed.status, back.status)
    assert ["demo-1.0.tar.gz", "demo-2.0.tar.gz"] == await links(changed)


async def test_who_is_signed_in_gets_a_private_page(people: People, project: Project, developer: Person) -> None:
    await put(developer, project, "demo", "1.0")

    for where in ("/simple", "/simple/demo"):
        answers = [await person.get(f"{base(project)}{where}") for person in (people.anonymous, developer)]
        assert ["no-cache", "private, no-cache"] == [answer.headers["Cache-Control"] for answer in answers]


async def test_head_answers_as_get_without_a_body(people: People, project: Project, developer: Person) -> None:
    await put(developer, project, "demo", "1.0")

    for where, status in (("/simple/", 200), ("/simple/demo/", 200), ("/simple/unknown/", 302), ("/simple/a%2Fb", 400)):
        got = await people.anonymous.get(f"{base(project)}{where}")
        head = await people.anonymous.ask("HEAD", f"{base(project)}{where}")
        assert (status, status, b"") == (got.status, head.status, await head.read())
        names = ("Content-Type", "ETag", "Vary", "Cache-Control", "Location")
        assert [got.headers.get(name) for name in names] == [head.headers.get(name) for name in names]
        if status == 200:
            assert got.headers["Content-Length"] == head.headers["Content-Length"]


async def test_a_deleted_version_is_gone_from_every_page(people: People, project: Project, developer: Person) -> None:
    await put(developer, project, "demo", "1.0")
    await put(developer, project, "demo", "2.0")
    await put(developer, project, "other", "1.0")

    seen = []
    for version in ("1.0", "2.0"):
        await delete(people, project, "demo", version)
        names = await links(await people.anonymous.get(f"{base(project)}/simple/"))
        seen.append((await page(people.anonymous, project, "demo"), names))
    await put(developer, project, "demo", "1.0")
    seen.append((await page(people.anonymous, project, "demo"), ["demo", "other"]))

    assert [
        (["demo-2.0.tar.gz"], ["demo", "other"]),
        (404, ["other"]),
        (["demo-1.0.tar.gz"], ["demo", "other"]),
    ] == seen
