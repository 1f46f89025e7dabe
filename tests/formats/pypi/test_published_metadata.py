"""Core metadata beside files (PEP 658, 714): what is advertised is served, equal and directly; the rest is not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry.model import Group, Project
from tests.formats.pypi.distributions import a_wheel, an_sdist, core_metadata
from tests.formats.pypi.pages import V1_JSON, base, delete, put, sha256
from tests.people import People, Person

WHEEL, SDIST = "demo-1.0-py3-none-any.whl", "demo-1.0.tar.gz"
STATIC = core_metadata(metadata_version="2.2")


async def advertised(person: Person, place: Project | Group, name: str = "demo") -> dict[str, Any]:
    answer = await person.get(f"{base(place)}/simple/{name}/", headers={"Accept": V1_JSON})
    document = await answer.json(content_type=V1_JSON)
    assert all("dist-info-metadata" not in file for file in document["files"])
    return {file["filename"]: file.get("core-metadata") for file in document["files"]}


@pytest.fixture
def redirecting(s3_url: str) -> str:
    """The store under another host name than the registry's, so that files are redirected to it."""
    return s3_url.replace("//127.0.0.1:", "//localhost:")


class TestRedirected:
    @pytest.fixture
    def storage_url(self, redirecting: str) -> str:
        return redirecting

    async def test_the_metadata_of_a_wheel_comes_from_here_for_ever_while_the_wheel_is_redirected(
        self, people: People, project: Project, developer: Person
    ) -> None:
        metadata = core_metadata()
        digest = await put(developer, project, "demo", "1.0", WHEEL, a_wheel(metadata=metadata))
        group = await people.services.lookups.group(str(project.namespace_id))
        assert group is not None

        for place in (project, group):
            url = f"{base(place)}/files/{digest}/{WHEEL}"
            assert 302 == (await people.anonymous.get(url)).status
            got = await people.anonymous.get(f"{url}.metadata")
            head = await people.anonymous.ask("HEAD", f"{url}.metadata")
            again = await people.anonymous.get(f"{url}.metadata", headers={"If-None-Match": got.headers["ETag"]})

            assert (200, metadata) == (got.status, await got.read())
            assert (200, b"", str(len(metadata))) == (head.status, await head.read(), head.headers["Content-Length"])
            assert (304, b"") == (again.status, await again.read())
            for answer in (got, head):
                shown = {name.lower(): value for name, value in answer.headers.items()}
                del shown["date"]
                assert shown == {
                    "etag": got.headers["ETag"],
                    "cache-control": "private, max-age=31536000, immutable",
                    "vary": "Accept-Encoding",
                    "content-type": "application/octet-stream",
                    "content-length": str(len(metadata)),
                    "x-content-type-options": "nosniff",
                }
            assert {WHEEL: {"sha256": sha256(metadata)}} == await advertised(people.anonymous, place)


async def test_metadata_is_not_counted_as_a_download(people: People, project: Project, developer: Person) -> None:
    digest = await put(developer, project, "demo", "1.0", WHEEL, a_wheel())

    assert 200 == (await people.anonymous.get(f"{base(project)}/files/{digest}/{WHEEL}.metadata")).status

    await people.services.usage.flush()
    assert [None] == [
        row["last_downloaded_at"] for row in await people.services.db.fetch("SELECT last_downloaded_at FROM packages")
    ]


@pytest.mark.parametrize(
    ("file_name", "content", "metadata"),
    [
        (WHEEL, a_wheel(metadata=b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nSummary: \xe9\n"), True),
        (SDIST, an_sdist(metadata=STATIC), True),
        (SDIST, an_sdist(metadata=core_metadata(metadata_version="2.1")), False),
        (
            SDIST,
            an_sdist(metadata=core_metadata("demo", "1.0", "Dynamic: Requires-Dist", metadata_version="2.2")),
            False,
        ),
        (SDIST, an_sdist(metadata=core_metadata("demo", "1.0", "Dynamic: License", metadata_version="2.4")), True),
        ("demo-1.0.egg", b"an egg", False),
        (WHEEL, b"no zip at all", False),
        (WHEEL, a_wheel("other", "1.0"), False),
    ],
    ids=["latin-1", "static", "old", "dynamic", "partly", "egg", "unsound", "contradicting"],
)
async def test_only_what_installers_may_trust_is_advertised_and_served(
    people: People,
    project: Project,
    developer: Person,
    file_name: str,
    content: bytes,
    metadata: bool,  # noqa: FBT001
) -> None:
    digest = await put(developer, project, "demo", "1.0", file_name, content)

    answer = await people.anonymous.get(f"{base(project)}/files/{digest}/{file_name}.metadata")
    body = await answer.read()
    promised = (await advertised(people.anonymous, project))[file_name]
    html = await (await people.anonymous.get(f"{base(project)}/simple/demo/")).text()

    if metadata:
        assert (200, {"sha256": sha256(body)}) == (answer.status, promised)
        attributes = f'data-core-metadata="sha256={sha256(body)}" data-dist-info-metadata="sha256={sha256(body)}"'
        assert attributes in html
    else:
        assert (404, None) == (answer.status, promised)
        assert "metadata" not in html


async def test_metadata_goes_with_its_file(people: People, project: Project, developer: Person) -> None:
    digest = await put(developer, project, "demo", "1.0", WHEEL, a_wheel())
    url = f"{base(project)}/files/{digest}/{WHEEL}.metadata"
    assert 200 == (await people.anonymous.get(url)).status

    await delete(people, project, "demo")

    assert 404 == (await people.anonymous.get(url)).status


async def test_metadata_is_for_who_may_read_the_file(people: People) -> None:
    group = await people.group(visibility="private")
    project = await people.project(group, visibility="private")
    stranger = await people.user()
    digest = await put(people.root, project, "demo", "1.0", WHEEL, a_wheel())

    path = f"files/{digest}/{WHEEL}.metadata"
    statuses = [
        (await person.get(f"{base(place)}/{path}")).status
        for person in (people.root, stranger, people.anonymous)
        for place in (project, group)
    ]

    assert [200, 200, 404, 404, 401, 401] == statuses


async def test_below_a_group_a_file_that_two_projects_have_keeps_what_is_advertised(people: People) -> None:
    """The same bytes, uploaded under a form that contradicts the archive in one of the projects."""
    group = await people.group(visibility="public")
    one, two = [await people.project(group, visibility="public") for _ in range(2)]
    content = a_wheel()
    digest = await put(people.root, one, "demo", "1.0", WHEEL, content)
    await put(people.root, two, "demo", "1.0.0.1", WHEEL, content)

    answer = await people.anonymous.get(f"{base(group)}/files/{digest}/{WHEEL}.metadata")

    assert (200, core_metadata()) == (answer.status, await answer.read())


async def test_what_a_group_advertises_is_served_although_the_same_file_was_asked_for_before(people: People) -> None:
    group = await people.group(visibility="public")
    first, second = [await people.project(group, visibility="public") for _ in range(2)]
    wheel = a_wheel()
    url = f"{base(group)}/files/{sha256(wheel)}/{WHEEL}"
    # Under the name of another package nothing is taken from the wheel.
    await put(people.root, first, "other", "1.0", WHEEL, wheel)
    assert [200, 404] == [(await people.anonymous.get(one)).status for one in (url, f"{url}.metadata")]

    await put(people.root, second, "demo", "1.0", WHEEL, wheel)

    digest = sha256(core_metadata())
    assert {WHEEL: {"sha256": digest}} == await advertised(people.anonymous, group)
    answer = await people.anonymous.get(f"{url}.metadata")
    assert (200, digest) == (answer.status, sha256(await answer.read()))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(body=st.binary(max_size=2000), number=st.integers(0, 10**6))
async def test_whatever_follows_the_headers_arrives_byte_for_byte(
    people: People, project: Project, developer: Person, body: bytes, number: int
) -> None:
    version = f"1.{number}.{len(body)}.{int(sha256(body)[:6], 16)}"
    metadata = f"Metadata-Version: 2.1\nName: demo\nVersion: {version}\n\n".encode() + body
    name = f"demo-{version}-py3-none-any.whl"
    digest = await put(developer, project, "demo", version, name, a_wheel("demo", version, metadata=metadata))

    answer = await people.anonymous.get(f"{base(project)}/files/{digest}/{name}.metadata")

    assert (200, metadata) == (answer.status, await answer.read())
