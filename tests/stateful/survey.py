"""What the registry holds, and whether it is what it should: through the API as clients do, in rows and in objects."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Mapping
from urllib.parse import quote

from registry.storage import BlobStore
from tests.people import ROOT_TOKEN
from tests.stateful.goods import NPM_NAMES, PYPI_NAMES
from tests.stateful.registry import EXTERNAL_URL, Answer, Registry
from tests.stateful.world import READ, Home, World

V1_JSON = "application/vnd.pypi.simple.v1+json"
ABBREVIATED = "application/vnd.npm.install-v1+json"
REFUSED = (401, 403, 404)
# A page that is not there is forwarded, or not found where the name once was.
ABSENT = (302, 404)


class Survey:
    """Looks of one kind of client: it keeps pages, and asks whether they changed."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._turns = itertools.count()
        self._kept: dict[str, tuple[str, Answer]] = {}

    async def packages(self, replica: int, home: Home) -> None:
        """Index, pages, packuments and every file of a project are what was published (I1, I2, I3, I4)."""
        base = f"/api/v4/projects/{home.id}/packages"
        index = await self._page(replica, f"{base}/pypi/simple", V1_JSON)
        assert sorted({name for name, _ in home.packages}) == [one["name"] for one in index.json["projects"]]
        for name in PYPI_NAMES:
            await self._simple_page(replica, f"{base}/pypi/simple/{name}", home.page(name))
        for name in NPM_NAMES:
            await self._packument(replica, f"{base}/npm/{quote(name, safe='@')}", name, home)

    async def rights(self, replica: int, world: World) -> None:
        """Everybody reads what they may, nobody more; a revoked token opens nothing."""
        for home in world.homes:
            path = f"/api/v4/projects/{home.id}/packages/pypi/simple"
            for person in ("nobody", *world.live):
                answer = await self._registry.ask(replica, world.live.get(person), "GET", path)
                assert (answer.status == 200) == home.may(person, READ), (person, home, answer)
                assert answer.status in {200, *REFUSED}, (person, home, answer)
        for token in world.revoked[-3:]:
            answer = await self._registry.ask(replica, token, "GET", "/api/v4/user")
            assert 401 == answer.status, answer

    async def rows(self, world: World) -> None:
        """Each file refers to a whole object (I1), nothing is open (I5), each change was written down once (I7)."""
        rows = await self._registry.services.db.fetch(
            "SELECT b.sha256, b.size, b.state FROM package_files AS f JOIN blobs AS b ON b.id = f.blob_id"
            " UNION ALL SELECT NULL, count(*), 'open' FROM blobs WHERE state = 'open'"
            " UNION ALL SELECT NULL, count(*), 'audited' FROM audit_events"
        )
        contents = [content for home in world.homes for content in home.contents()]
        expected: list[tuple[str | None, int, str]] = [(_sha256(one), len(one), "stored") for one in contents]
        expected += [(None, 0, "open"), (None, world.audited, "audited")]
        assert Counter(expected) == Counter((row["sha256"], row["size"], row["state"]) for row in rows)

    async def tidy(self) -> None:
        """Nothing is stored that no file refers to (I6)."""
        services = self._registry.services
        rows = await services.db.fetch("SELECT key FROM blobs ORDER BY key")
        referred = await services.db.fetch(
            "SELECT b.key FROM package_files AS f JOIN blobs AS b ON b.id = f.blob_id ORDER BY b.key"
        )
        assert [row["key"] for row in referred] == [row["key"] for row in rows]
        assert [row["key"] for row in referred] == sorted(key for key, _ in await _objects(services.store))

    async def _simple_page(self, replica: int, path: str, expected: dict[str, bytes] | None) -> None:
        page = await self._page(replica, path, V1_JSON)
        if expected is None:
            assert page.status in ABSENT, page
            return
        assert 200 == page.status, page
        found = {one["filename"]: (one["hashes"]["sha256"], one["url"]) for one in page.json["files"]}
        assert {name: _sha256(content) for name, content in expected.items()} == {
            name: digest for name, (digest, _) in found.items()
        }
        await self._download_one(replica, {url: expected[name] for name, (_, url) in found.items()})

    async def _packument(self, replica: int, path: str, name: str, home: Home) -> None:
        page = await self._page(replica, path, ABBREVIATED)
        expected = home.versions(name)
        if not expected:
            assert page.status in ABSENT, page
            return
        assert 200 == page.status, page
        shown = page.json
        assert home.dist_tags(name) == shown["dist-tags"]
        assert {version: release.deprecated for version, release in expected.items()} == {
            version: manifest.get("deprecated") for version, manifest in shown["versions"].items()
        }
        tarballs = {}
        for version, release in expected.items():
            dist = shown["versions"][version]["dist"]
            tarballs[dist["tarball"]] = tarball = release.tarball or b""
            assert hashlib.sha1(tarball, usedforsecurity=False).hexdigest() == dist["shasum"]
        await self._download_one(replica, tarballs)

    async def _download_one(self, replica: int, files: Mapping[str, bytes]) -> None:
        """Of the files of a page one, another one each time; their digests were all compared."""
        if not files:
            return
        url, expected = list(files.items())[next(self._turns) % len(files)]
        answer = await self._registry.ask(replica, ROOT_TOKEN, "GET", url.removeprefix(EXTERNAL_URL))
        assert (200, expected) == (answer.status, answer.body)

    async def _page(self, replica: int, path: str, accept: str) -> Answer:
        """A page as it is now: the kept one, when the replica says that it has not changed since it was given."""
        kept = self._kept.get(path)
        condition = {} if kept is None else {"If-None-Match": kept[0]}
        answer = await self._registry.ask(replica, ROOT_TOKEN, "GET", path, headers={"Accept": accept, **condition})
        if answer.status == 304:
            assert kept is not None
            return kept[1]
        if "ETag" in answer.headers:
            self._kept[path] = answer.headers["ETag"], answer
        return answer


async def _objects(store: BlobStore) -> list[tuple[str, int]]:
    return [(one.key, one.size) async for one in store.list()]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
