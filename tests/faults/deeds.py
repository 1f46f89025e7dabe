"""Deeds: what a client does, as the requests it sends, what must be there before, and what everybody sees."""

from __future__ import annotations

import hashlib
import io
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from registry.model import Project
from tests.formats.npm.documents import a_document, a_tarball
from tests.formats.pypi.forms import CONTENT_TYPE, upload
from tests.formats.pypi.pages import V1_JSON
from tests.people import ROOT_TOKEN

NAME = "demo"
SMALL = b"the content of a file" * 50
# Bytes of a part of a multipart upload in these tests: what happens between the parts is the same with large ones.
PART = 256 * 1024
# Three parts; npm's tarball stays that large, because it cannot be compressed.
LARGE = random.Random(1).randbytes(2 * PART + 1000)  # noqa: S311  # the same bytes each time
_TARBALLS: dict[tuple[str, int], bytes] = {}

Seen = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """A project that root writes to, through whichever replica."""

    session: aiohttp.ClientSession
    project: Project

    async def ask(
        self, port: int | None, method: str, path: str, *, body: bytes | None = None, **headers: str
    ) -> tuple[int, bytes]:
        """One request below the project; the status, and the content of the answer."""
        url = URL(f"http://127.0.0.1:{port}/api/v4/projects/{self.project.id}/{path}", encoded=True)
        sent = {"PRIVATE-TOKEN": ROOT_TOKEN, **headers}
        data = None if body is None else io.BytesIO(body)
        async with self.session.request(method, url, headers=sent, data=data, allow_redirects=False) as answer:
            return answer.status, await answer.read()

    async def read(self, port: int | None, path: str, **headers: str) -> bytes:
        """What must be there."""
        status, content = await self.ask(port, "GET", path, **headers)
        assert 200 == status, (path, status, content[:500])
        return content


Requests = Callable[[Place, int], Awaitable[int]]


@dataclass(frozen=True)
class Deed:
    """Something to do: what makes ready for it, its requests, which statuses tell that it is done.

    `again` are those that tell whoever repeats it that it was done before.
    """

    package_type: str
    ready: tuple[Requests, ...]
    act: Requests
    done: frozenset[int]
    again: frozenset[int] = frozenset()
    changes: bool = True


# --- what everybody sees ----------------------------------------------------------------------------------------------


async def seen(place: Place, port: int | None, package_type: str) -> Seen:
    """Everything a client of the format can learn about the name, with the digest of every file behind it; and stages,
    which root may see."""
    released = await (_seen_by_pip if package_type == "pypi" else _seen_by_npm)(place, port)
    stages = [
        (stage["state"], [(file["file_name"], file["file_sha256"]) for file in stage["files"]])
        for stage in json.loads(await place.read(port, f"packages/stages?package_type={package_type}"))
    ]
    return {**released, "stages": stages}


async def _seen_by_pip(place: Place, port: int | None) -> Seen:
    index = json.loads(await place.read(port, "packages/pypi/simple/", Accept=V1_JSON))
    if not index["projects"]:
        status, _ = await place.ask(port, "GET", f"packages/pypi/simple/{NAME}/", Accept=V1_JSON)
        assert status in {302, 404}
        return {}
    page = json.loads(await place.read(port, f"packages/pypi/simple/{NAME}/", Accept=V1_JSON))
    files = {}
    for file in page["files"]:
        content = await place.read(port, "packages/pypi/" + file["url"].partition("/packages/pypi/")[2])
        assert file["hashes"]["sha256"] == hashlib.sha256(content).hexdigest()
        files[file["filename"]] = hashlib.sha256(content).hexdigest()
    return {"versions": page["versions"], "files": files}


async def _seen_by_npm(place: Place, port: int | None) -> Seen:
    status, content = await place.ask(port, "GET", f"packages/npm/{NAME}")
    if status in {302, 404}:
        return {}
    assert 200 == status, content[:500]
    document = json.loads(content)
    versions = {}
    for number, version in document["versions"].items():
        path = "packages/npm/" + version["dist"]["tarball"].partition("/packages/npm/")[2]
        tarball = await place.read(port, path)
        assert version["dist"]["shasum"] == hashlib.sha1(tarball, usedforsecurity=False).hexdigest()
        versions[number] = (hashlib.sha256(tarball).hexdigest(), version.get("deprecated"))
    return {"versions": versions, "tags": document["dist-tags"]}


# --- PyPI -------------------------------------------------------------------------------------------------------------


def _twine(version: str, content: bytes, *, staged: bool = False) -> Requests:
    async def act(place: Place, port: int) -> int:
        body = upload(version=version, file_name=f"{NAME}-{version}.zip", content=content)
        headers = {"Content-Type": CONTENT_TYPE}
        path = f"packages/pypi/stages/{await _stage_id(place, port)}" if staged else "packages/pypi"
        return (await place.ask(port, "POST", path, body=body, **headers))[0]

    return act


async def _delete_package(place: Place, port: int) -> int:
    rows = json.loads(await place.read(port, "packages?package_version=1.0"))
    if not rows:
        return 404
    return (await place.ask(port, "DELETE", f"packages/{rows[0]['id']}"))[0]


async def _delete_file(place: Place, port: int) -> int:
    (row,) = json.loads(await place.read(port, "packages?package_version=1.0"))
    files = json.loads(await place.read(port, f"packages/{row['id']}/package_files"))
    if not files:
        return 404
    return (await place.ask(port, "DELETE", f"packages/{row['id']}/package_files/{files[0]['id']}"))[0]


# --- npm --------------------------------------------------------------------------------------------------------------


def _npm_publish(version: str, content: bytes, method: str = "PUT", rest: str = NAME) -> Requests:
    async def act(place: Place, port: int) -> int:
        tarball = _TARBALLS.get((version, len(content)))
        if tarball is None:
            files = {"content": content}
            tarball = _TARBALLS[version, len(content)] = a_tarball({"name": NAME, "version": version}, files)
        body = json.dumps(a_document(tarball, name=NAME, version=version)).encode()
        # npm repeats a request under the same number.
        headers = {"Content-Type": "application/json", "npm-session": f"session-{place.project.id}-{version}"}
        return (await place.ask(port, method, f"packages/npm/{rest}", body=body, **headers))[0]

    return act


def _npm_stage(version: str, content: bytes) -> Requests:
    return _npm_publish(version, content, "POST", f"-/stage/package/{NAME}")


async def _tag(place: Place, port: int) -> int:
    path = f"packages/npm/-/package/{NAME}/dist-tags/beta"
    return (await place.ask(port, "PUT", path, body=b'"1.0.0"', **{"Content-Type": "application/json"}))[0]


async def _untag(place: Place, port: int) -> int:
    return (await place.ask(port, "DELETE", f"packages/npm/-/package/{NAME}/dist-tags/beta"))[0]


async def _deprecate(place: Place, port: int) -> int:
    document = json.loads(await place.read(port, f"packages/npm/{NAME}?write=true"))
    document["versions"]["1.0.0"]["deprecated"] = "use another"
    body = json.dumps(document).encode()
    headers = {"Content-Type": "application/json", "npm-command": "deprecate"}
    return (await place.ask(port, "PUT", f"packages/npm/{NAME}", body=body, **headers))[0]


async def _unpublish(place: Place, port: int) -> int:
    status, content = await place.ask(port, "GET", f"packages/npm/{NAME}?write=true")
    if status != 200:
        return status
    revision = json.loads(content)["_rev"]
    return (await place.ask(port, "DELETE", f"packages/npm/{NAME}/-rev/{revision}"))[0]


async def _unpublish_version(place: Place, port: int) -> int:
    document = json.loads(await place.read(port, f"packages/npm/{NAME}?write=true"))
    if "1.0.0" not in document["versions"]:
        return 404
    del document["versions"]["1.0.0"]
    document["dist-tags"] = {"latest": "2.0.0"}
    path = f"packages/npm/{NAME}/-rev/{document['_rev']}"
    headers = {"Content-Type": "application/json"}
    return (await place.ask(port, "PUT", path, body=json.dumps(document).encode(), **headers))[0]


# --- stages -----------------------------------------------------------------------------------------------------------


async def _open_stage(place: Place, port: int) -> int:
    headers = {"Content-Type": "application/json"}
    return (await place.ask(port, "POST", "packages/stages", body=b'{"package_type":"pypi"}', **headers))[0]


async def _stage_id(place: Place, port: int) -> str:
    """The id of the one stage that there is, or of none."""
    found = json.loads(await place.read(port, "packages/stages"))
    return found[0]["id"] if found else "none"


def _end_stage(method: str, path: str) -> Requests:
    async def act(place: Place, port: int) -> int:
        return (await place.ask(port, method, path.format(await _stage_id(place, port))))[0]

    return act


_CREATED, _OK, _GONE = frozenset({201}), frozenset({200}), frozenset({404})
_FIRST, _FIRST_NPM, _SECOND_NPM = _twine("1.0", SMALL), _npm_publish("1.0.0", SMALL), _npm_publish("2.0.0", SMALL)
_STAGED_NPM = _npm_stage("1.0.0", SMALL)
_STAGED = (_open_stage, _twine("1.0", SMALL, staged=True), _twine("2.0", SMALL, staged=True))

DEEDS: dict[str, Deed] = {
    "twine upload": Deed("pypi", (), _FIRST, _CREATED),
    "twine upload of a large file": Deed("pypi", (), _twine("1.0", LARGE), _CREATED),
    "twine upload, repeated": Deed("pypi", (_FIRST,), _FIRST, _CREATED, changes=False),
    "deletion of a package": Deed("pypi", (_FIRST, _twine("2.0", SMALL)), _delete_package, frozenset({204}), _GONE),
    "deletion of a file": Deed("pypi", (_FIRST, _twine("2.0", SMALL)), _delete_file, frozenset({204}), _GONE),
    "npm publish": Deed("npm", (), _FIRST_NPM, _OK),
    "npm publish of a large tarball": Deed("npm", (), _npm_publish("1.0.0", LARGE), _OK),
    "npm publish, repeated": Deed("npm", (_FIRST_NPM,), _FIRST_NPM, _OK, changes=False),
    "npm unpublish": Deed("npm", (_FIRST_NPM,), _unpublish, _OK, _GONE),
    "npm unpublish of a version": Deed("npm", (_FIRST_NPM, _SECOND_NPM), _unpublish_version, _OK, _GONE),
    "npm dist-tag add": Deed("npm", (_FIRST_NPM,), _tag, _OK | {204}),
    "npm dist-tag rm": Deed("npm", (_FIRST_NPM, _tag), _untag, _OK | {204}, _GONE),
    "npm deprecate": Deed("npm", (_FIRST_NPM,), _deprecate, _OK),
    "twine upload to a stage": Deed("pypi", (_open_stage,), _STAGED[1], _CREATED),
    "promotion of a stage": Deed("pypi", _STAGED, _end_stage("POST", "packages/stages/{}/promote"), _OK),
    "drop of a stage": Deed("pypi", _STAGED, _end_stage("DELETE", "packages/stages/{}"), frozenset({204}), _GONE),
    "npm stage publish": Deed("npm", (), _STAGED_NPM, _CREATED),
    "npm stage approve": Deed("npm", (_STAGED_NPM,), _end_stage("POST", "packages/npm/-/stage/{}/approve"), _OK),
    "npm stage reject": Deed(
        "npm", (_STAGED_NPM,), _end_stage("DELETE", "packages/npm/-/stage/{}"), frozenset({204}), _GONE
    ),
}
