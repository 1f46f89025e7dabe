"""Writers: publish, delete, tag, deprecate, revoke, and change who may see what."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

from tests.formats.npm.transcripts import a_publication, tarball_of
from tests.formats.pypi.forms import CONTENT_TYPE, upload
from tests.histories.client import Answer, Client
from tests.histories.history import Operation, Value
from tests.histories.shared import VERSIONS, Name, Token, World, make

TAGS = ("next", "beta")
# Live tokens to keep, for readers.
TOKENS = 6


class Writer:
    """One of them. All ask as root, whose token is never revoked."""

    def __init__(self, client: Client, world: World) -> None:
        # What was written last, for somebody to look at it at once.
        self.touched: Name | None = None
        self._client = client
        self._world = world
        self._chance = client.chance
        self._actions: dict[Callable[[], Awaitable[None]], int] = {
            self._publish_file: 24,
            self._publish_version: 16,
            self._publish_rivals: 5,
            self._publish_tagged: 6,
            self._delete_package: 9,
            self._delete_file: 5,
            self._unpublish: 4,
            self._set_tag: 12,
            self._delete_tag: 4,
            self._deprecate: 6,
            self._revoke: 4,
            self._change_visibility: 5,
            self._change_membership: 8,
        }

    async def act(self) -> None:
        """Do one thing."""
        (action,) = self._chance.choices(list(self._actions), list(self._actions.values()))
        await action()

    async def begin(self, name: Name) -> None:
        """Publish the first version of a name, which is never deleted. The name is used once that is acknowledged."""
        version = self._new_version(name)
        tag = "latest" if name.tagged else None
        published = self._file(name, version) if name.package_type == "pypi" else self._version(name, version, tag)
        if await published == "ok":
            name.usable = True
            name.settled.append(version)

    async def _name(self, package_type: str, *, tagged: bool = False) -> Name | None:
        """One with room for more versions, or a new one."""
        names = [one for one in self._world.names if (one.package_type, one.tagged) == (package_type, tagged)]
        open_ones = [one for one in names if one.usable and len(one.versions) < VERSIONS]
        if len(open_ones) >= 2:
            return self._chance.choice(open_ones)
        name = self._world.new_name(package_type, tagged=tagged)
        await self.begin(name)
        return name if name.usable else None

    @staticmethod
    def _new_version(name: Name) -> str:
        version = f"1.{len(name.versions)}.0"
        name.versions.append(version)
        return version

    async def _publish_file(self) -> None:
        name = await self._name("pypi")
        if name is None:
            return
        again = self._chance.random() < 0.3
        version = self._chance.choice(name.versions) if again else self._new_version(name)
        if again and version not in name.doubled:
            # The other file of a version, once: the name of a file that was deleted is not used again.
            name.doubled.add(version)
            await self._file(name, version, wheel=True)
        elif not again:
            await self._file(name, version)

    async def _file(self, name: Name, version: str, *, wheel: bool = False) -> str:
        content = self._chance.randbytes(self._chance.choice((60, 600, 6_000)))
        file = _files(name, version)[wheel]
        self.touched = name
        operation = Operation(f"upload {file}")
        operation.writes = [
            (f"{name.listing('files')}#{file}", hashlib.sha256(content).hexdigest()),
            (name.register, "listed"),
        ]
        await self._client.write(
            operation,
            "POST",
            f"/api/v4/projects/{name.project}/packages/pypi",
            headers={"Content-Type": CONTENT_TYPE},
            data=upload(name.text, version, file, content),
        )
        return operation.outcome

    async def _publish_version(self) -> None:
        name = await self._name("npm")
        if name is not None:
            await self._version(name, self._new_version(name))

    async def _publish_tagged(self) -> None:
        name = await self._name("npm", tagged=True)
        if name is not None:
            version = self._new_version(name)
            if await self._version(name, version, self._chance.choice((*TAGS, "latest"))) == "ok":
                name.settled.append(version)

    async def _version(self, name: Name, version: str, tag: str | None = None) -> str:
        document = a_publication(name.text, version, tag=tag or "latest", description=self._chance.randbytes(8).hex())
        self.touched = name
        operation = Operation(f"npm publish {name.text}@{version} --tag {tag}")
        sha1 = hashlib.sha1(tarball_of(document), usedforsecurity=False).hexdigest()
        operation.writes = [(f"{name.listing('versions')}#{version}", sha1), (name.register, "listed")]
        if tag in TAGS:
            operation.writes.append((f"{name.listing('tags')}#{tag}", version))
        await self._client.write(operation, "PUT", name.path, json=document)
        return operation.outcome

    async def _publish_rivals(self) -> None:
        """The same coordinate twice at once with different bytes: one is created, and it is that one for ever."""
        if self._chance.random() < 0.5:
            name = await self._name("pypi")
            if name is not None:
                version = self._new_version(name)
                await asyncio.gather(*(self._file(name, version) for _ in range(2)))
        else:
            name = await self._name("npm")
            if name is not None:
                version = self._new_version(name)
                await asyncio.gather(*(self._version(name, version) for _ in range(2)))

    async def _delete_package(self) -> None:
        package_type = self._chance.choice(("pypi", "npm"))
        name, version = await self._doomed(package_type)
        if name is None:
            return
        package = await self._find_package(name, version)
        if package is not None:
            operation = Operation(f"delete {package_type} package {name.text} {version}")
            operation.writes = _absent(name, version)
            await self._client.write(operation, "DELETE", f"/api/v4/projects/{name.project}/packages/{package}")

    async def _delete_file(self) -> None:
        name, version = await self._doomed("pypi")
        package = await self._find_package(name, version) if name is not None else None
        if name is None or package is None:
            return
        path = f"/api/v4/projects/{name.project}/packages/{package}/package_files"
        files = await self._client.find(path)
        if files:
            file = self._chance.choice(files)
            operation = Operation(f"delete file {file['file_name']}")
            operation.writes = [(f"{name.listing('files')}#{file['file_name']}", None)]
            await self._client.write(operation, "DELETE", f"{path}/{file['id']}")

    async def _unpublish(self) -> None:
        """As npm does it: on condition that nothing has changed since it looked."""
        name, version = await self._doomed("npm")
        document = await self._client.find(f"{name.path}?write=true") if name is not None else None
        if name is None or document is None or version not in document["versions"]:
            return
        operation = Operation(f"npm unpublish {name.text}@{version}")
        operation.writes = _absent(name, version)
        path = f"{name.path}/-/{name.text}-{version}.tgz/-rev/{document['_rev']}"
        await self._client.write(operation, "DELETE", path)

    async def _doomed(self, package_type: str) -> tuple[Name | None, str]:
        """A version that may be deleted: never the first of a name."""
        names = [one for one in self._world.names if (one.package_type, one.tagged) == (package_type, False)]
        names = [one for one in names if one.usable and len(one.versions) > 1]
        if not names:
            return None, ""
        self.touched = name = self._chance.choice(names[-4:])
        return name, self._chance.choice(name.versions[1:])

    async def _find_package(self, name: Name, version: str) -> int | None:
        query = {"package_type": name.package_type, "package_name": name.text, "package_version": version}
        found = await self._client.find(f"/api/v4/projects/{name.project}/packages?{urlencode(query)}")
        return next((one["id"] for one in found or () if (one["name"], one["version"]) == (name.text, version)), None)

    async def _set_tag(self) -> None:
        name = await self._name("npm", tagged=True)
        if name is not None:
            tag, version = self._chance.choice(TAGS), self._chance.choice(name.settled)
            self.touched = name
            operation = Operation(f"npm dist-tag add {name.text}@{version} {tag}")
            operation.writes = [(f"{name.listing('tags')}#{tag}", version)]
            await self._client.write(operation, "PUT", _tag_path(name, tag), json=version)

    async def _delete_tag(self) -> None:
        name = await self._name("npm", tagged=True)
        if name is not None:
            tag = self._chance.choice(TAGS)
            self.touched = name
            operation = Operation(f"npm dist-tag rm {name.text} {tag}")
            operation.writes = [(f"{name.listing('tags')}#{tag}", None)]
            await self._client.write(operation, "DELETE", _tag_path(name, tag))

    async def _deprecate(self) -> None:
        name = await self._name("npm", tagged=True)
        if name is None:
            return
        version = self._chance.choice(name.settled)
        message = self._chance.choice(("", f"replaced, see {self._chance.randbytes(6).hex()}"))
        self.touched = name
        operation = Operation(f"npm deprecate {name.text}@{version}")
        operation.writes = [(f"{name.listing('deprecations')}#{version}", message or None)]
        manifest = {"name": name.text, "version": version, "deprecated": message}
        document = {"_id": name.text, "name": name.text, "versions": {version: manifest}}
        await self._client.write(operation, "PUT", name.path, json=document, headers={"npm-command": "deprecate"})

    async def _revoke(self) -> None:
        world = self._world
        if len(world.readers) < TOKENS:
            await self.new_token()
        elif world.readers:
            token = world.readers.pop(self._chance.randrange(len(world.readers)))
            world.revoked.append(token)
            operation = Operation(f"revoke token {token.number}")
            operation.writes = [(token.register, "revoked")]
            await self._client.write(operation, "DELETE", f"/api/v4/personal_access_tokens/{token.number}")

    async def new_token(self, user: int | None = None) -> Token | None:
        """A token of a user, by default of the store's reader."""
        made: list[Token] = []

        def learn(answer: Answer) -> None:
            token = Token(answer.json["id"], answer.json["token"])
            operation.writes = [(token.register, "live")]
            made.append(token)

        operation = Operation("make a token")
        path = f"/api/v4/users/{user or self._world.reader}/personal_access_tokens"
        fields = {"name": "history", "scopes": ["api"]}
        await self._client.write(operation, "POST", path, json=fields, learn=learn)
        if user is None:
            self._world.readers += made
        return made[0] if made else None

    async def _change_visibility(self) -> None:
        await self.set_visibility(self._chance.choice(("public", "private")))

    async def set_visibility(self, visibility: Value) -> None:
        """Open or close the window."""
        operation = Operation(f"make the window {visibility}")
        operation.writes = [(f"visibility/{self._world.window}#", visibility)]
        await self._client.write(
            operation, "PUT", f"/api/v4/projects/{self._world.window}", json={"visibility": visibility}
        )

    async def _change_membership(self) -> None:
        user = self._chance.choice(list(self._world.members))
        path = f"/api/v4/projects/{self._world.club}/members"
        register = f"members/{self._world.club}#{user}"
        if self._chance.random() < 0.5:
            operation = Operation(f"user {user} becomes a member", writes=[(register, "member")])
            await self._client.write(operation, "POST", path, json={"user_id": user, "access_level": 20})
        else:
            operation = Operation(f"user {user} is no member any more", writes=[(register, None)])
            await self._client.write(operation, "DELETE", f"{path}/{user}")


def _files(name: Name, version: str) -> tuple[str, str]:
    """An sdist and a wheel."""
    stem = f"{name.text.replace('-', '_')}-{version}"
    return f"{stem}.tar.gz", f"{stem}-py3-none-any.whl"


def _absent(name: Name, version: str) -> list[tuple[str, Value]]:
    """What a version is when it is deleted."""
    if name.package_type == "npm":
        return [(f"{name.listing('versions')}#{version}", None)]
    return [(f"{name.listing('files')}#{file}", None) for file in _files(name, version)]


def _tag_path(name: Name, tag: str) -> str:
    base, _, text = name.path.rpartition("/")
    return f"{base}/-/package/{text}/dist-tags/{tag}"


async def set_up(client: Client) -> World:
    """Projects, users and tokens, and a name in each project that stays."""
    settings = {f"{one}_package_requests_forwarding": False for one in ("pypi", "npm")}
    operation = Operation("switch forwarding off")
    await client.write(operation, "PUT", "/api/v4/application/settings", json=settings)
    assert operation.outcome == "ok", operation
    group = (await make(client, "/api/v4/groups", name="all", path="all", visibility="public"))["id"]
    store, window, club = [
        (await make(client, "/api/v4/projects", name=one, path=one, namespace_id=group, visibility="private"))["id"]
        for one in ("store", "window", "club")
    ]
    users = []
    for number in range(4):
        one = {"username": f"user{number}", "name": "User", "email": f"user{number}@example.com"}
        users.append((await make(client, "/api/v4/users", **one))["id"])
    world = World(group, store, window, club, users[0])
    await make(client, f"/api/v4/projects/{store}/members", user_id=users[0], access_level=20)
    writer = Writer(client, world)
    for user in users[1:]:
        token = await writer.new_token(user)
        assert token is not None
        world.members[user] = token
    for _ in range(TOKENS):
        await writer.new_token()
    await writer.set_visibility("private")
    for project in (window, club):
        for package_type in ("pypi", "npm"):
            await writer.begin(world.new_name(package_type, project=project))
    return world
