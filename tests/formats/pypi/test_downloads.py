from __future__ import annotations

import errno
import os
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from registry import tree
from registry.access import AccessLevel
from registry.model import Project
from registry.server import files
from registry.settings import Settings
from tests.formats.pypi.pages import base, delete, put, sha256
from tests.people import OPERATOR, People, Person

NAME = "demo-1!1.0+local.zip"
SMALL = b"0123456789" * 10
LARGE = bytes(range(256)) * 4096
IMMUTABLE = "private, max-age=31536000, immutable"
BOTH = pytest.mark.parametrize("storage_url", ["local", "s3"], indirect=True)


@pytest.fixture
def redirecting(s3_url: str) -> str:
    """The store under another host name than the registry's, so that redirects are safe."""
    return s3_url.replace("//127.0.0.1:", "//localhost:")


async def put_file(person: Person, project: Project, content: bytes = SMALL) -> str:
    """Upload `content` as `NAME`; answers the URL of its file."""
    digest = await put(person, project, "demo", "1!1.0+local", NAME, content)
    return f"{base(project)}/files/{digest}/{NAME.replace('+', '%2B').replace('!', '%21')}"


@BOTH
@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
async def test_a_file_comes_whole_with_headers_to_keep_it_for_ever(
    people: People, project: Project, developer: Person, content: bytes
) -> None:
    url = await put_file(developer, project, content)

    got = await people.anonymous.get(url)
    head = await people.anonymous.ask("HEAD", url)

    assert (200, content) == (got.status, await got.read())
    assert (200, b"") == (head.status, await head.read())
    for answer in (got, head):
        shown = {name.lower(): value for name, value in answer.headers.items() if name not in {"Date", "Server"}}
        assert shown == {
            "etag": f'"{sha256(content)}"',
            "cache-control": IMMUTABLE,
            "accept-ranges": "bytes",
            "content-type": "application/octet-stream",
            "content-length": str(len(content)),
            "content-disposition": f"attachment; filename=\"{NAME}\"; filename*=UTF-8''{NAME}",
            "x-content-type-options": "nosniff",
        }


@BOTH
@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
async def test_ranges_are_answered_directly(
    people: People, project: Project, developer: Person, content: bytes
) -> None:
    url = await put_file(developer, project, content)
    size = len(content)
    etag = f'"{sha256(content)}"'

    for asked, start, end in (
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=50-", 50, size),
        ("bytes=-7", size - 7, size),
        (f"bytes=-{size * 2}", 0, size),
        (f"bytes={size - 1}-{size * 9}", size - 1, size),
    ):
        answer = await people.anonymous.get(url, headers={"Range": asked})
        assert (206, content[start:end]) == (answer.status, await answer.read()), asked
        assert f"bytes {start}-{end - 1}/{size}" == answer.headers["Content-Range"]
        assert (etag, str(end - start)) == (answer.headers["ETag"], answer.headers["Content-Length"])
    for asked in ("bytes=5-3", "bytes=0-1,5-6", "lines=1-2", "bytes=-", "bytes=x-y"):
        answer = await people.anonymous.get(url, headers={"Range": asked})
        assert (200, content) == (answer.status, await answer.read()), asked
    for asked in (f"bytes={size}-", f"bytes={size * 2}-{size * 3}", "bytes=-0"):
        answer = await people.anonymous.get(url, headers={"Range": asked})
        assert (416, f"bytes */{size}") == (answer.status, answer.headers["Content-Range"]), asked


@BOTH
async def test_a_broken_download_is_resumed_only_of_the_same_content(
    people: People, project: Project, developer: Person
) -> None:
    url = await put_file(developer, project)
    asked = {"Range": "bytes=90-"}

    same = await people.anonymous.get(url, headers={**asked, "If-Range": f'"{sha256(SMALL)}"'})
    other = await people.anonymous.get(url, headers={**asked, "If-Range": '"other"'})

    assert (206, SMALL[90:]) == (same.status, await same.read())
    assert (200, SMALL) == (other.status, await other.read())


@BOTH
async def test_a_file_one_has_is_not_sent_again(people: People, project: Project, developer: Person) -> None:
    url = await put_file(developer, project)

    for method in ("GET", "HEAD"):
        answer = await people.anonymous.ask(method, url, headers={"If-None-Match": f'"{sha256(SMALL)}"'})
        assert (304, b"", IMMUTABLE) == (answer.status, await answer.read(), answer.headers["Cache-Control"])


class TestRedirected:
    @pytest.fixture
    def storage_url(self, redirecting: str) -> str:
        return redirecting

    async def test_a_get_goes_to_the_same_presigned_url_for_everybody(
        self, people: People, project: Project, developer: Person
    ) -> None:
        url = await put_file(developer, project)

        answers = [await person.get(url) for person in (people.anonymous, developer, people.anonymous)]
        locations = {answer.headers["Location"] for answer in answers}

        assert [302] * 3 == [answer.status for answer in answers]
        assert {"private, no-store"} == {answer.headers["Cache-Control"] for answer in answers}
        assert {"no-referrer"} == {answer.headers["Referrer-Policy"] for answer in answers}
        (location,) = locations
        assert "localhost" == urlsplit(location).hostname
        assert {"X-Amz-Signature", "X-Amz-Expires"} <= parse_qs(urlsplit(location).query).keys()
        async with aiohttp.ClientSession() as session, session.get(location) as file:
            assert (200, SMALL) == (file.status, await file.read())

    async def test_head_and_ranges_are_answered_here(self, people: People, project: Project, developer: Person) -> None:
        url = await put_file(developer, project, LARGE)

        head = await people.anonymous.ask("HEAD", url)
        ranged = await people.anonymous.get(url, headers={"Range": "bytes=-16"})

        assert (200, str(len(LARGE)), "bytes") == (
            head.status,
            head.headers["Content-Length"],
            head.headers["Accept-Ranges"],
        )
        assert (206, LARGE[-16:]) == (ranged.status, await ranged.read())


class TestProxied:
    @pytest.fixture
    def storage_url(self, redirecting: str) -> str:
        return redirecting

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"downloads": "proxy"})

    async def test_the_bytes_come_from_here(self, people: People, project: Project, developer: Person) -> None:
        url = await put_file(developer, project, LARGE)

        answer = await people.anonymous.get(url)

        assert (200, str(len(LARGE))) == (answer.status, answer.headers["Content-Length"])
        assert LARGE == await answer.read()


async def test_a_file_is_found_by_its_digest_and_name_together(
    people: People, project: Project, developer: Person
) -> None:
    other = await people.project(visibility="public")
    one = await put(developer, project, "demo", "1.0", "demo-1.0.zip", b"one")
    two = await put(developer, project, "demo", "2.0", "demo-2.0.zip", b"two")

    seen = {}
    for path in (
        f"{base(project)}/files/{one}/demo-1.0.zip",
        f"{base(project)}/files/{one.upper()}/demo-1.0.zip",
        f"{base(project)}/files/{two}/demo-1.0.zip",
        f"{base(project)}/files/{one}/Demo-1.0.zip",
        f"{base(project)}/files/{one[:63]}/demo-1.0.zip",
        f"{base(project)}/files/{one}/demo-1.0.zip.metadata",
        f"{base(project)}/files/{'0' * 64}/demo-1.0.zip",
        f"{base(project)}/files/{one}/%2E%2E%2Fdemo-1.0.zip",
        f"{base(other)}/files/{one}/demo-1.0.zip",
    ):
        answer = await people.anonymous.get(path)
        assert None is answer.headers.get("Location")
        seen[path] = answer.status
    assert [200, 200, 404, 404, 404, 404, 404, 404, 404] == list(seen.values())


async def test_a_deleted_file_is_gone_at_once(people: People, project: Project, developer: Person) -> None:
    url = await put_file(developer, project)
    before = await people.anonymous.get(url)
    await delete(people, project, "demo")
    after = await people.anonymous.get(url)

    assert (200, 404, "404 Package Not Found") == (before.status, after.status, (await after.json())["message"])


@BOTH
async def test_a_listed_file_whose_object_is_missing_is_404(
    people: People, project: Project, developer: Person
) -> None:
    url = await put_file(developer, project)
    key = await people.services.db.fetchval("SELECT key FROM blobs")
    await people.services.store.delete(key)

    for method, headers in (("GET", {}), ("HEAD", {}), ("GET", {"Range": "bytes=0-1"})):
        answer = await people.anonymous.ask(method, url, headers=headers)
        assert 404 == answer.status, (method, headers)


@pytest.mark.skipif(files._NOWAIT is None, reason="nothing here reads what is in memory and nothing else")
@pytest.mark.parametrize("refusal", [BlockingIOError, NotImplementedError, OSError(errno.EOPNOTSUPP, "not supported")])
async def test_what_the_kernel_does_not_have_in_memory_is_read_from_the_disk(
    people: People,
    project: Project,
    developer: Person,
    monkeypatch: pytest.MonkeyPatch,
    refusal: BaseException | type[BaseException],
) -> None:
    url = await put_file(developer, project)
    read = os.preadv
    asked: list[int] = []

    def forgetful(descriptor: int, buffers: list[bytearray], offset: int, flags: int = 0) -> int:
        asked.append(flags)
        if len(asked) == 1:
            raise refusal
        return read(descriptor, buffers, offset, flags) - (len(asked) == 2)

    monkeypatch.setattr(os, "preadv", forgetful)
    for _ in range(3):
        got = await people.anonymous.get(url)
        assert (200, SMALL) == (got.status, await got.read())
    assert [files._NOWAIT] * 3 == asked


async def test_where_that_cannot_be_asked_files_are_read_all_the_same(
    people: People, project: Project, developer: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_NOWAIT", None)
    got = await people.anonymous.get(await put_file(developer, project))
    assert (200, SMALL) == (got.status, await got.read())


async def test_a_file_that_is_shorter_than_it_should_be_is_503(
    people: People, project: Project, developer: Person
) -> None:
    url = await put_file(developer, project)
    (row,) = await people.services.db.fetch("SELECT key FROM blobs")
    path = people.services.store.path(row["key"])
    assert path is not None
    path.chmod(0o600)
    path.write_bytes(SMALL[:-1])

    assert 503 == (await people.anonymous.get(url)).status


async def test_who_may_not_read_gets_no_file(people: People) -> None:
    project = await people.project(visibility="private")
    url = await put_file(people.root, project)
    stranger, guest = await people.user(), await people.member(project, AccessLevel.GUEST)

    answers = [await person.get(url) for person in (people.anonymous, stranger, guest)]

    assert [401, 404, 200] == [answer.status for answer in answers]
    assert 'Basic realm="GitLab Packages Registry"' == answers[0].headers["WWW-Authenticate"]


async def test_the_group_route_checks_the_project_of_the_file(people: People) -> None:
    group = await people.group(visibility="public")
    public = await people.project(group, visibility="public")
    private = await people.project(group, visibility="private")
    open_to_pull = await people.project(group, visibility="private")
    change = {"package_registry_access_level": "public"}
    await tree.update_project(people.services.db, OPERATOR, open_to_pull, change, {})
    reporter = await people.member(private, AccessLevel.REPORTER)
    digests = [
        await put(people.root, project, "demo", f"{number}.0", f"demo-{number}.zip")
        for number, project in enumerate((public, private, open_to_pull))
    ]

    seen = {}
    for who, person in {"anonymous": people.anonymous, "reporter": reporter}.items():
        paths = [f"{base(group)}/files/{digest}/demo-{number}.zip" for number, digest in enumerate(digests)]
        seen[who] = [(await person.get(path)).status for path in paths]
    own_route = await people.anonymous.get(f"{base(open_to_pull)}/files/{digests[2]}/demo-2.zip")

    # "Allow anyone to pull" opens the project's own routes only.
    assert {"anonymous": [200, 404, 404], "reporter": [200, 200, 404]} == seen
    assert 200 == own_route.status
