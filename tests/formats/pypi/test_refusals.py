"""What is refused: each refusal is said in the client's form and leaves nothing behind, in no table and no store."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import pytest
from aiohttp import ClientResponse

from registry import metrics, tree
from registry.access import AccessLevel
from registry.ingest import PIECE
from registry.model import Project
from registry.server import bodies
from registry.storage.s3_writer import PART
from tests import inventory
from tests.formats.pypi import forms
from tests.formats.pypi.forms import BOUNDARY, CONTENT, CONTENT_TYPE, END, digest, form, upload
from tests.formats.pypi.pages import base
from tests.formats.pypi.refusals import ACCEPT, Refusal, check, check_answer, post
from tests.people import OPERATOR, People, Person

BOTH = pytest.mark.parametrize("storage_url", ["local", "s3"], indirect=True)
LONG = "a" * 5000


def sends(content_type: str, **headers: str) -> Mapping[str, str]:
    return {"Content-Type": content_type, **headers}


NO_FORM = "the body must be multipart/form-data with a boundary"
BROKEN = "the multipart body is not valid"

MALFORMED = [
    Refusal("no boundary", upload(), NO_FORM, headers=sends("multipart/form-data")),
    Refusal("an empty boundary", upload(), NO_FORM, headers=sends('multipart/form-data; boundary=""')),
    Refusal("a boundary without end", upload(), NO_FORM, headers=sends(f"multipart/form-data; boundary={LONG}")),
    Refusal("another multipart type", upload(), NO_FORM, headers=sends(f"multipart/mixed; boundary={BOUNDARY}")),
    Refusal("a urlencoded form", b"name=demo", NO_FORM, headers=sends("application/x-www-form-urlencoded")),
    Refusal("JSON", b"{}", NO_FORM, headers=sends("application/json")),
    Refusal("bytes of no type", upload(), NO_FORM, headers=sends("application/octet-stream")),
    Refusal("another boundary", upload(), BROKEN, headers=sends("multipart/form-data; boundary=other")),
    Refusal(
        "a compressed body",
        gzip.compress(upload()),
        "a body with a Content-Encoding is not accepted here",
        415,
        sends(CONTENT_TYPE, **{"Content-Encoding": "gzip"}),
    ),
    Refusal("nothing at all", b"", BROKEN),
    Refusal("no boundary in the body", b"x" * 10_000, BROKEN),
    Refusal("something before the first boundary", b"x" + upload(), BROKEN),
    Refusal("bare line feeds", upload().replace(b"\r\n", b"\n"), BROKEN),
    Refusal("an end within the file", upload()[: -len(END) - 100], BROKEN),
    Refusal("an end after the file", upload()[: -len(END)], BROKEN),
    Refusal("an end within the last boundary", upload()[:-4], BROKEN),
    Refusal("an end within a header", upload()[:60], BROKEN),
    Refusal("a boundary that goes on", upload().replace(END, END.replace(b"--\r\n", b"xx\r\n")), BROKEN),
    Refusal("a part without a header", form(forms.part("", b"x"), forms.file()), BROKEN),
    Refusal("a header without a colon", form(forms.part("Content-Disposition")), BROKEN),
    Refusal("a part without a disposition", form(forms.part("Content-Type: text/plain", b"x")), BROKEN),
    Refusal("a part without a name", form(forms.part("Content-Disposition: form-data", b"x")), "content is missing"),
    Refusal("an attachment", form(forms.part('Content-Disposition: attachment; name="content"', b"x")), BROKEN),
    Refusal("a header line of 100 KB", form(forms.part(f"X-Long: {'x' * 100_000}")), BROKEN),
    Refusal("a hundred headers", form(forms.part("\r\n".join(["X-Many: x"] * 100))), BROKEN),
    Refusal("bytes that are no UTF-8 in a header", form(forms.file(b"\xff\xfe.zip")), BROKEN),
    Refusal("too many parts", form(forms.part("X: y") * (bodies.MAX_PARTS + 1)), BROKEN),
    Refusal("two files", form(forms.file(), forms.field("name", "demo"), forms.file("b.zip")), "'content' twice"),
    Refusal("a file that is text", form(forms.field("content", CONTENT)), "content is invalid"),
    Refusal("a huge field", upload(description="x" * (bodies.MAX_FIELD + 1)), "'description' is too large", 413),
    Refusal(
        "many large fields",
        form(forms.field("classifiers", "x" * bodies.MAX_FIELD) * 17),
        "the fields of the form together are too large",
        413,
    ),
    Refusal("a field with a long name", form(forms.field("n" * 5000, "x")), BROKEN),
]

FIELDS = [
    Refusal("no file", form(forms.field("name", "demo"), forms.field("version", "1.0")), "content is missing"),
    Refusal("no name", upload(name=None), "name is missing"),
    Refusal("no version", upload(version=None), "version is missing"),
    Refusal("nothing that is needed", form(), "content is missing, name is missing, version is missing"),
    Refusal("the word for nothing as a name", upload(name="UNKNOWN"), "name is missing"),
    Refusal("two names", form(forms.field("name", "other"), upload()), "name is given more than once"),
    Refusal("two versions", form(forms.field("version", "2.0"), upload()), "version is given more than once"),
    Refusal("NUL in a description", upload(description="a\0b"), "description is invalid"),
    Refusal("half a sha256", upload(sha256_digest=digest("sha256")[:32]), "sha256_digest is invalid"),
    Refusal("a sha256 of other letters", upload(sha256_digest="g" * 64), "sha256_digest is invalid"),
    Refusal("a sha256 of look-alikes", upload(sha256_digest="\uff11" * 64), "sha256_digest is invalid"),
    Refusal("a long md5", upload(md5_digest="0" * 40), "md5_digest is invalid"),
    Refusal("a short blake2", upload(blake2_256_digest="0" * 63), "blake2_256_digest is invalid"),
    Refusal("a wrong sha256", upload(sha256_digest=digest("sha256", b"")), "The sha256 of demo-1.0.zip is"),
    Refusal("a wrong md5", upload(md5_digest=digest("md5", b"")), "The md5 of demo-1.0.zip is"),
    Refusal("a wrong blake2", upload(blake2_256_digest=digest("blake2b", b"")), "The blake2b_256 of demo-1.0.zip is"),
    Refusal(
        "a wrong blake2 after the file",
        form(
            forms.file(),
            forms.field("name", "demo"),
            forms.field("version", "1.0"),
            forms.field("blake2_256_digest", digest("blake2b", b"")),
        ),
        "The blake2b_256 of demo-1.0.zip is",
    ),
    Refusal(
        "a wrong digest beside right ones",
        upload(md5_digest=digest("md5"), sha256_digest=digest("sha256").upper(), blake2_256_digest="0" * 64),
        "The blake2b_256 of demo-1.0.zip is",
    ),
]

HOSTILE = {
    "empty": "",
    "blank": " ",
    "traversal": "../../etc/passwd",
    "encoded traversal": "%2e%2e%2fpasswd",
    "a slash": "a/b",
    "a backslash": "a\\b",
    "dots": "..",
    "CRLF": "a\r\nX-Evil: yes",
    "a line feed at the end": "1.0\n",
    "NUL": "a\0b",
    "an escape": "a\x1b[2J",
    "a quote": 'a"b',
    "markup": "<script>",
    "a query": "a?b#c",
    "full-width letters": "\uff41\uff42\uff43",
    "Kelvin": "\u212aelvin",
    "long s": "\u017fix",
    "Arabic digits": "\u0661.\u0662",
    "right to left": "a\u202egnp.zip",
    "a zero-width space": "a\u200bb",
    "256 characters": "1" * 256,
    "5,000 characters": "1" * 5000,
}

NAMES = [
    *(Refusal(f"name: {title}", upload(name=name), "ame ") for title, name in HOSTILE.items() if title != "Kelvin"),
    Refusal("name: Kelvin", upload(name=HOSTILE["Kelvin"]), "Validation failed: Name is invalid"),
    *(Refusal(f"version: {title}", upload(version=version), "ersion ") for title, version in HOSTILE.items()),
    Refusal("version: a word", upload(version="latest"), "Validation failed: Version is invalid"),
    Refusal("version: two dots", upload(version="1..0"), "Validation failed: Version is invalid"),
    Refusal("version: a path", upload(version="1.0/../2.0"), "Validation failed: Version is invalid"),
    *(
        Refusal(f"file name: {title}", upload(file_name=name), "")
        for title, name in HOSTILE.items()
        if title not in {"256 characters", "a line feed at the end", "a quote"}
    ),
    Refusal("file name: a quote", upload(file_name='a\\"b'), "File name is invalid"),
    Refusal("file name: 256 characters", upload(file_name="a" * 256), "File name is too long"),
    Refusal("file name: hidden", upload(file_name=".bashrc"), "File name is invalid"),
    Refusal("file name: a device", upload(file_name="C:demo.zip"), "File name is invalid"),
    Refusal("file name: a blank at the end", upload(file_name="demo.zip "), "File name is invalid"),
    Refusal("file name: core metadata", upload(file_name="demo-1.0.zip.metadata"), ".metadata is kept"),
    Refusal("file name: a dash first", upload(file_name="-rf"), "File name is invalid"),
]


@BOTH
@pytest.mark.parametrize("table", [MALFORMED, FIELDS, NAMES], ids=["malformed", "fields", "names"])
async def test_a_bad_form_is_refused_and_leaves_nothing(
    people: People, project: Project, developer: Person, subtests: pytest.Subtests, table: list[Refusal]
) -> None:
    for refusal in table:
        with subtests.test(refusal.title):
            await check(people, developer, project, refusal)
    assert 201 == (await post(developer, project, upload())).status


# Sizes


@BOTH
async def test_a_file_over_the_limit_is_refused_by_its_length_or_as_it_arrives(
    people: People, project: Project, developer: Person
) -> None:
    limit = PART + 1
    await tree.update_project(people.services.db, OPERATOR, project, {}, {"pypi_max_file_size": limit})

    async def chunked(content: bytes) -> ClientResponse:
        async def pieces() -> AsyncIterator[bytes]:
            body = upload(content=content)
            for start in range(0, len(body), 100_000):
                yield body[start : start + 100_000]

        return await developer.ask(
            "POST", base(project), data=pieces(), headers={**ACCEPT, "Content-Type": CONTENT_TYPE}
        )

    says = f"File is too large: the limit is {limit} bytes"
    await check_answer(await chunked(bytes(limit + 1)), 413, says)
    await check_answer(await post(developer, project, upload(content=bytes(limit + 1))), 413, says)
    much = upload(content=bytes(limit + bodies.MAX_FIELDS + 1))
    await check_answer(await post(developer, project, much), 413, says)
    assert inventory.EMPTY == await inventory.take(people.services)
    assert 201 == (await chunked(bytes(limit))).status


# Rights: decided before the body is read


async def test_who_may_not_upload_is_told_so_whatever_the_body(people: People) -> None:
    project = await people.project(visibility="private")
    public = await people.project(visibility="public")
    archived = await people.project(visibility="private")
    await tree.update_project(people.services.db, OPERATOR, archived, {"archived": True}, {})
    reporter = await people.member(project, AccessLevel.REPORTER)
    reader = await people.deploy_token(project)
    read_only = await people.member(project, AccessLevel.DEVELOPER, scopes=("read_api",))
    stranger = await people.user()
    no_one = Person(people.client, headers={"Authorization": "Bearer glpat-unknown"})
    writer = await people.member(archived, AccessLevel.DEVELOPER)

    for person, place, status in (
        (people.anonymous, project, 401),
        (people.anonymous, public, 401),
        (no_one, project, 401),
        (stranger, project, 404),
        (stranger, public, 403),
        (reporter, project, 403),
        (reader, project, 403),
        (read_only, project, 403),
        (writer, archived, 403),
    ):
        for body in (upload(), b"no form", upload(content=bytes(1 << 20))):
            response = await post(person, place, body)
            document = await response.json()
            assert (status, "application/json") == (response.status, response.headers["Content-Type"]), document
            assert {"code"} < document.keys()
            assert (status == 401) == ("WWW-Authenticate" in response.headers)
    assert inventory.EMPTY == await inventory.take(people.services)


PATHS = [
    "/api/v4/projects/{id}/../{id}/packages/pypi",
    "/api/v4/projects/..%2F{id}/packages/pypi",
    "/api/v4/projects/{id}%2F..%2F{id}/packages/pypi",
    "/api/v4/projects/{id}%00/packages/pypi",
    "/api/v4/projects/{id}%0d%0aX-Evil:%20yes/packages/pypi",
    "/api/v4/projects/%ff/packages/pypi",
    "/api/v4/projects/%EF%BC%91/packages/pypi",
    "/api/v4/projects/-{id}/packages/pypi",
    "/api/v4/projects/{id}e0/packages/pypi",
    "/api/v4/projects/" + "9" * 5000 + "/packages/pypi",
    "/api/v4/projects/" + "9" * 400 + "/packages/pypi",
    "/api/v4/projects/" + LONG[:3000] + "/packages/pypi",
    "/api/v4/projects//packages/pypi",
    "/api/v4/projects/{id}/packages//pypi",
    "/api/v4/projects/{id}/packages/pypi//",
    "/api/v4/projects/{id}/packages/pypi/simple",
    "/api/v4/projects/{id}/packages/pypi/files/x/y",
    "//api/v4/projects/{id}/packages/pypi",
]


async def test_a_hostile_path_is_refused_and_leaves_nothing(
    people: People, project: Project, developer: Person, subtests: pytest.Subtests
) -> None:
    for path in PATHS:
        with subtests.test(path[:80]):
            answer = await over_a_socket(people, developer, path.format(id=project.id), upload())
            head = answer.partition(b"\r\n\r\n")[0]
            assert head.split(b" ", 2)[1] in {b"400", b"404", b"405"}
            assert b"X-Evil" not in head
            assert inventory.EMPTY == await inventory.take(people.services)
    assert 201 == (await post(developer, project, upload())).status


async def over_a_socket(people: People, person: Person, path: str, body: bytes) -> bytes:
    """POST to a path that nobody tidies up; everything that comes back."""
    reader, writer = await connect(people, person, path, len(body))
    writer.write(body)
    async with asyncio.timeout(20):
        answer = await reader.read()
    writer.close()
    return answer


async def connect(
    people: People, person: Person, path: str, length: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Begin a POST: its head is sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", people.client.port)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nPRIVATE-TOKEN: {person.token}\r\nContent-Type: {CONTENT_TYPE}\r\n"
        f"Content-Length: {length}\r\nConnection: close\r\n\r\n"
    )
    writer.write(head.encode())
    return reader, writer


# Disconnects


SENT = {
    "before the body": 0,
    "in a field": 100,
    "in the file": 700,
    "in a small file": 200_000,
    "in a part": 2 * PART + 200_000,
    "in the last part": 3 * PART + 200_000,
}


@BOTH
async def test_a_client_that_leaves_in_the_middle_leaves_nothing(
    people: People, project: Project, developer: Person, subtests: pytest.Subtests
) -> None:
    body = upload(content=bytes(3 * PART + 300_000))

    async def is_receiving(sent: int) -> bool:
        blobs = await people.services.db.fetchval("SELECT count(*) FROM blobs")
        return _uploads() > 0 and (sent < PIECE or blobs > 0)

    async def is_over() -> bool:
        return not _uploads() and inventory.EMPTY == await inventory.take(people.services)

    for where, sent in SENT.items():
        with subtests.test(where):
            _, writer = await connect(people, developer, base(project), len(body))
            writer.write(body[:sent])
            await until(lambda sent=sent: is_receiving(sent))
            writer.close()
            await until(is_over)
    assert 201 == (await post(developer, project, upload())).status


def _uploads() -> float:
    return metrics.upload_budget._value.get()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what a server notices a little later."""
    async with asyncio.timeout(10):
        while not await condition():
            await asyncio.sleep(0.02)
