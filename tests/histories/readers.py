"""Readers: pages, packuments, tags, lists and files, with live tokens, revoked ones and none; and what they saw."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from tests.formats.npm.transcripts import ABBREVIATED
from tests.formats.pypi.pages import V1_HTML, V1_JSON
from tests.histories.client import Answer, Client, credentials
from tests.histories.cluster import Replica
from tests.histories.history import SOMETHING, Operation, Value
from tests.histories.shared import Name, Token, World
from tests.histories.writers import TAGS

_LINK = re.compile(r'href="([^"#]*/([^"#/]+))#sha256=([0-9a-f]{64})"')
_FORMS = ("private", "bearer", "basic")
_GONE = frozenset({401, 403, 404})


@dataclass(frozen=True, slots=True)
class Door:
    """How a reader comes in. `register` tells whether that is allowed, when it holds `open_value`."""

    token: str | None
    register: str
    open_value: Value
    shut_value: Value
    # Without access, and what is not there, answer alike in some places: there nothing is ever deleted.
    statuses: frozenset[int]


@dataclass(slots=True)
class Seen:
    """What an answer showed: registers, listings that are complete, and where the files are."""

    reads: list[tuple[str, Value]]
    whole: list[str]
    files: list[tuple[str, str, str]]


Parse = Callable[[Answer], Seen]


class Reader:
    """One of them."""

    def __init__(self, client: Client, world: World) -> None:
        self._client = client
        self._world = world
        self._chance = client.chance
        self._kept: dict[tuple[str, ...], tuple[str, Seen]] = {}
        self._actions: dict[Callable[[], Awaitable[None]], int] = {
            self._read_store: 60,
            self._read_index: 5,
            self._read_list: 6,
            self._read_tag: 5,
            self._try_token: 4,
            self._read_window: 12,
            self._read_club: 12,
        }

    async def act(self) -> None:
        """Look at one thing, and at once at what it leads to."""
        (action,) = self._chance.choices(list(self._actions), list(self._actions.values()))
        await action()

    async def follow(self, name: Name) -> None:
        """Look at what was changed this moment, on every replica at once: who is late by a moment is seen now."""
        door = by_token(None)
        await asyncio.gather(*(self.look_at(name, door, replica) for replica in self._client.serving()))

    def _store_door(self) -> Door:
        tokens = self._world.readers
        if self._world.revoked and self._chance.random() < 0.2:
            # Mostly those that were revoked just now.
            tokens = self._world.revoked[-8:]
        return by_token(self._chance.choice(tokens or self._world.revoked))

    async def _read_store(self) -> None:
        names = self._world.names
        if not names:
            return
        name = self._chance.choice(names[-10:] if self._chance.random() < 0.9 else names)
        door = self._store_door()
        if name.tagged and self._chance.random() < 0.5:
            await self.look(door, _tags_path(name), lambda answer: see_tags(name, answer))
            return
        seen = await self.look_at(name, door)
        if seen is not None and seen.files and self._chance.random() < 0.4:
            await self.fetch(door, *self._chance.choice(seen.files[-4:]))

    async def _read_index(self) -> None:
        place = f"/api/v4/projects/{self._world.store}/packages/pypi/simple/"
        accept = {"Accept": V1_JSON}
        await self.look(self._store_door(), place, lambda answer: see_index(self._world, answer), accept)

    async def _read_list(self) -> None:
        names = [one for one in self._world.names if one.package_type == "npm"]
        if names:
            name = self._chance.choice(names[-4:])
            query = urlencode({"package_type": "npm", "package_name": name.text, "per_page": 100})
            path = f"/api/v4/projects/{name.project}/packages?{query}"
            await self.look(self._store_door(), path, lambda answer: see_list(name, answer))

    async def _read_tag(self) -> None:
        names = [one for one in self._world.names if one.tagged]
        if names:
            name, tag = self._chance.choice(names[-3:]), self._chance.choice(TAGS)
            register = f"{name.listing('tags')}#{tag}"
            await self.look(self._store_door(), f"{name.path}/{tag}", lambda answer: see_manifest(register, answer))

    async def _try_token(self) -> None:
        await self.look(self._store_door(), "/api/v4/personal_access_tokens/self", lambda _: Seen([], [], []))

    async def _read_window(self) -> None:
        window = self._world.window
        door = Door(None, f"visibility/{window}#", "public", "private", _GONE)
        await self._read_fixed(window, door)

    async def _read_club(self) -> None:
        club = self._world.club
        user = self._chance.choice(list(self._world.members))
        await self._read_fixed(club, by_membership(club, user, self._world.members[user]))

    async def _read_fixed(self, project: int, door: Door) -> None:
        """Where everything is there all the time, and only access changes."""
        name = self._chance.choice(self._world.fixed[project])
        root = by_token(None)
        seen = await self.look_at(name, door if self._chance.random() < 0.7 else root)
        if seen is not None:
            await self.fetch(door, *self._chance.choice(seen.files))

    async def look_at(self, name: Name, door: Door, replica: Replica | None = None) -> Seen | None:
        """The page or packument of a name."""
        if name.package_type == "pypi":
            html = self._chance.random() < 0.4
            accept = {"Accept": V1_HTML if html else V1_JSON}
            return await self.look(
                door, f"{name.path}/", lambda answer: see_page(name, answer, html=html), accept, replica
            )
        accept = {"Accept": ABBREVIATED} if self._chance.random() < 0.6 else {}
        return await self.look(door, name.path, lambda answer: see_packument(name, answer), accept, replica)

    async def fetch(self, door: Door, path: str, register: str, algorithm: str) -> None:
        """Download what was listed."""

        def see(answer: Answer) -> Seen:
            found = (
                None if answer.status == 404 else hashlib.new(algorithm, answer.body, usedforsecurity=False).hexdigest()
            )
            return Seen([(register, found)], [], [])

        await self.look(door, path, see, kept=False)

    async def look(
        self,
        door: Door,
        path: str,
        parse: Parse,
        headers: Mapping[str, str] | None = None,
        replica: Replica | None = None,
        *,
        kept: bool = True,
    ) -> Seen | None:
        """Read something and record what was seen; None when that was nothing."""
        form = self._chance.choice(_FORMS)
        encoding = self._chance.choice(("identity", "gzip"))
        asked = {**credentials(door.token, form), "Accept-Encoding": encoding, **(headers or {})}
        key = (path, encoding, asked.get("Accept", ""))
        etag, before = self._kept.get(key, ("", None))
        if before is not None and self._chance.random() < 0.6:
            asked["If-None-Match"] = etag
        operation = Operation(f"GET {path}" + (" if none match" if "If-None-Match" in asked else ""))
        answer = await self._client.ask(operation, "GET", path, headers=asked, replica=replica)
        seen = None if answer is None else self._understand(operation, door, answer, parse, before)
        if kept and seen is not None and answer is not None and answer.status == 200 and "ETag" in answer.headers:
            self._kept[key] = (answer.headers["ETag"], seen)
        self._client.recorder.add(operation)
        return seen

    @staticmethod
    def _understand(operation: Operation, door: Door, answer: Answer, parse: Parse, before: Seen | None) -> Seen | None:
        if answer.status in door.statuses:
            operation.outcome = "ok"
            operation.reads = [(door.register, door.shut_value)] if door.register else []
            return None
        if answer.status not in {200, 304, 404}:
            operation.outcome = "broken"
            return None
        operation.outcome = "ok"
        seen = before if answer.status == 304 and before is not None else parse(answer)
        operation.reads = [*seen.reads, *([(door.register, door.open_value)] if door.register else [])]
        operation.whole = seen.whole
        return seen


def by_token(token: Token | None) -> Door:
    """With a token of somebody who may read; None is root's, of which there is nothing to tell."""
    if token is None:
        from tests.cli.processes import TOKEN

        return Door(TOKEN, "", None, None, frozenset())
    return Door(token.text, token.register, "live", "revoked", frozenset({401}))


def by_membership(club: int, user: int, token: Token) -> Door:
    """With a token of somebody who may or may not be a member."""
    return Door(token.text, f"members/{club}#{user}", "member", None, _GONE)


def see_page(name: Name, answer: Answer, *, html: bool) -> Seen:
    """A simple page; a name without one has no files."""
    listing = name.listing("files")
    if answer.status == 404:
        return Seen([(name.register, None)], [listing], [])
    if html:
        files = [(url, file, sha256) for url, file, sha256 in _LINK.findall(answer.body.decode())]
    else:
        files = [(one["url"], one["filename"], one["hashes"]["sha256"]) for one in answer.json["files"]]
    reads: list[tuple[str, Value]] = [(f"{listing}#{file}", sha256) for _, file, sha256 in files]
    links = [(urlsplit(url).path, f"{listing}#{file}", "sha256") for url, file, _ in files]
    return Seen([(name.register, "listed"), *reads], [listing], links)


def see_packument(name: Name, answer: Answer) -> Seen:
    """Versions, tags and deprecations; a name without a packument has none."""
    versions, messages, tags = (name.listing(what) for what in ("versions", "deprecations", "tags"))
    whole = [versions, messages, tags] if name.tagged else [versions]
    if answer.status == 404:
        return Seen([(name.register, None)], whole, [])
    document = answer.json
    seen = Seen([(name.register, "listed")], whole, [])
    for version, manifest in document["versions"].items():
        register = f"{versions}#{version}"
        seen.reads.append((register, manifest["dist"]["shasum"]))
        seen.files.append((urlsplit(manifest["dist"]["tarball"]).path, register, "sha1"))
        if manifest.get("deprecated"):
            seen.reads.append((f"{messages}#{version}", manifest["deprecated"]))
    seen.reads += _tags(name, document["dist-tags"])
    return seen


def see_tags(name: Name, answer: Answer) -> Seen:
    """The tags of a name."""
    tags = {} if answer.status == 404 else answer.json
    return Seen(_tags(name, tags), [name.listing("tags")], [])


def see_manifest(register: str, answer: Answer) -> Seen:
    """A single version, asked for by tag."""
    return Seen([(register, None if answer.status == 404 else answer.json["version"])], [], [])


def see_list(name: Name, answer: Answer) -> Seen:
    """GitLab's list of packages, which does not tell contents."""
    listing = name.listing("versions")
    versions = [one["version"] for one in answer.json if one["name"] == name.text]
    return Seen([(f"{listing}#{version}", SOMETHING) for version in versions], [listing], [])


def see_index(world: World, answer: Answer) -> Seen:
    """The simple index."""
    listing = f"names/pypi/{world.store}"
    return Seen([(f"{listing}#{one['name']}", "listed") for one in answer.json["projects"]], [listing], [])


def _tags(name: Name, tags: Mapping[str, str]) -> list[tuple[str, Value]]:
    # `latest` is worked out where nobody has set it.
    return [(f"{name.listing('tags')}#{tag}", version) for tag, version in tags.items() if tag in TAGS]


def _tags_path(name: Name) -> str:
    base, _, text = name.path.rpartition("/")
    return f"{base}/-/package/{text}/dist-tags"


async def survey(reader: Reader, world: World, replicas: list[Replica]) -> None:
    """A last look, at everything on every replica, and at every file once."""
    for replica in replicas:
        for name in [*world.names, *(one for some in world.fixed.values() for one in some)]:
            seen = await reader.look_at(name, by_token(None), replica)
            if seen is not None and replica is replicas[0]:
                for file in seen.files:
                    await reader.fetch(by_token(None), *file)
        for token in [*world.readers, *world.revoked]:
            await reader.look(
                by_token(token), "/api/v4/personal_access_tokens/self", lambda _: Seen([], [], []), replica=replica
            )
        window = Door(None, f"visibility/{world.window}#", "public", "private", _GONE)
        await reader.look_at(world.fixed[world.window][0], window, replica)
        for user, token in world.members.items():
            await reader.look_at(world.fixed[world.club][0], by_membership(world.club, user, token), replica)
