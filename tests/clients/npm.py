"""What npm clients are told: the documented settings lines, and the small packages they publish and install."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from registry.model import Group, Project
from tests.clients.process import Client, Result, run
from tests.formats.npm.transcripts import base
from tests.people import People, Person

Place = Project | Group | None


def registry_url(people: People, place: Place) -> str:
    """What an `.npmrc` calls the registry, with the slash at its end."""
    return f"http://127.0.0.1:{people.client.port}{base(place)}/"


def configure(
    client: Client, people: People, directory: Path, place: Place, person: Person, *, scopes: tuple[str, ...] = ()
) -> None:
    """Write the documented lines: everything from `place`, or, with `scopes`, only what is in them; and the token."""
    directory.mkdir(parents=True, exist_ok=True)
    url = registry_url(people, place)
    if client.name == "yarn-berry":
        (directory / ".yarnrc.yml").write_text(_yarnrc(url, person, scopes))
        (directory / "yarn.lock").touch()  # this directory is a project of its own
        return
    lines = [f"@{scope}:registry={url}" for scope in scopes] or [f"registry={url}"]
    if person.token is not None:
        lines.append(f"{url.removeprefix('http:')}:_authToken={person.token}")
    if client.name == "yarn-1":
        lines.append("always-auth=true")
    if client.name == "pnpm":
        # Freshly published versions are what these tests install.
        (directory / "pnpm-workspace.yaml").write_text("minimumReleaseAge: 0\n")
    (directory / ".npmrc").write_text("".join(f"{line}\n" for line in lines))


def _yarnrc(url: str, person: Person, scopes: tuple[str, ...]) -> str:
    lines = [
        "nodeLinker: node-modules",
        "enableGlobalCache: false",
        'unsafeHttpWhitelist: ["127.0.0.1"]',
        # Freshly published versions are what these tests install.
        'npmPreapprovedPackages: ["*", "@*/*"]',
    ]
    server = [f'npmRegistryServer: "{url}"', f'npmPublishRegistry: "{url}"']
    if person.token is not None:
        server += ["npmAlwaysAuth: true", f'npmAuthToken: "{person.token}"']
    if not scopes:
        return "\n".join([*lines, *server, ""])
    lines.append("npmScopes:")
    for scope in scopes:
        lines += [f"  {scope}:", *(f"    {line}" for line in server)]
    return "\n".join([*lines, ""])


def write_package(directory: Path, name: str, version: str, **fields: Any) -> Path:
    """A package on disk: a module that says its own name and version."""
    directory.mkdir(parents=True, exist_ok=True)
    package = {"name": name, "version": version, "main": "index.js", "license": "MIT", **fields}
    (directory / "package.json").write_text(json.dumps(package, indent=2) + "\n")
    (directory / "index.js").write_text(f'module.exports = "{name} {version}"\n')
    (directory / "README.md").write_text(f"# {name}\n")
    return directory


def write_application(directory: Path, dependencies: Mapping[str, str]) -> Path:
    """A project that depends on packages."""
    directory.mkdir(parents=True, exist_ok=True)
    package = {"name": "application", "version": "1.0.0", "private": True, "dependencies": dict(dependencies)}
    (directory / "package.json").write_text(json.dumps(package, indent=2) + "\n")
    return directory


async def start(
    client: Client, *arguments: str | Path, cwd: Path, home: Path | None = None, env: Mapping[str, str] | None = None
) -> Result:
    """Run a client beside the server, which lives on this loop."""
    return await asyncio.to_thread(run, client, *arguments, cwd=cwd, home=home, env=env)


async def done(
    client: Client, *arguments: str | Path, cwd: Path, home: Path | None = None, env: Mapping[str, str] | None = None
) -> str:
    """Run a client that must succeed; what it printed."""
    result = await start(client, *arguments, cwd=cwd, home=home, env=env)
    assert 0 == result.code, f"{client.name} {' '.join(map(str, arguments))}\n{result.text}"
    return result.text


PUBLISH: Mapping[str, tuple[str, ...]] = {
    "npm-11": ("publish",),
    "npm-12": ("publish",),
    "pnpm": ("publish", "--no-git-checks"),
    "yarn-1": ("publish", "--non-interactive"),
    "yarn-berry": ("npm", "publish"),
    "bun": ("publish",),
}
INSTALL: Mapping[str, tuple[str, ...]] = {
    "npm-11": ("install",),
    "npm-12": ("install",),
    "pnpm": ("install", "--no-frozen-lockfile"),
    "yarn-1": ("install", "--non-interactive"),
    "yarn-berry": ("install",),
    "bun": ("install",),
}
# From the lock file alone, which must fit.
FROZEN: Mapping[str, tuple[str, ...]] = {
    "npm-11": ("ci",),
    "npm-12": ("ci",),
    "pnpm": ("install", "--frozen-lockfile"),
    "yarn-1": ("install", "--non-interactive", "--frozen-lockfile"),
    "yarn-berry": ("install", "--immutable"),
    "bun": ("install", "--frozen-lockfile"),
}
LOCKS: Mapping[str, str] = {
    "npm-11": "package-lock.json",
    "npm-12": "package-lock.json",
    "pnpm": "pnpm-lock.yaml",
    "yarn-1": "yarn.lock",
    "yarn-berry": "yarn.lock",
    "bun": "bun.lock",
}


def integrity(tarball: bytes) -> str:
    """The subresource integrity of a tarball."""
    return f"sha512-{base64.b64encode(hashlib.sha512(tarball).digest()).decode()}"


def locked(directory: Path, client: Client) -> set[str]:
    """The integrities that a lock file holds. Yarn berry records checksums of its own cache files instead."""
    text = (directory / LOCKS[client.name]).read_text()
    return set(re.findall(r"sha512-[A-Za-z0-9+/]{86}==", text))


def installed(directory: Path) -> dict[str, str]:
    """Names and versions of the packages right below `node_modules`."""
    modules = directory / "node_modules"
    found = {}
    for path in (*modules.glob("*/package.json"), *modules.glob("@*/*/package.json")):
        package = json.loads(path.read_bytes())
        found[package["name"]] = package["version"]
    return found
