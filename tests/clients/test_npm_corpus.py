"""Real packages go in from their real tarballs and come out byte for byte."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from registry.access import AccessLevel
from registry.model import Project
from tests.clients import corpus
from tests.clients.corpus import CorpusFile
from tests.clients.npm import configure, done, integrity, locked, registry_url, write_application
from tests.clients.process import Client
from tests.formats.npm.transcripts import packument, publish, set_settings
from tests.people import People, Person

pytestmark = pytest.mark.client

FILES = corpus.files("npm", role="odd") + corpus.files("npm", role="road")
# In turns, so that each client that publishes tarballs reads some of these package.json in its way. One of them asks
# for a provenance that exists in a CI only, and npm wants to be told a tag for a prerelease.
PUBLISHERS = {
    "npm-11": ("publish", "--tag=latest", "--provenance=false"),
    "npm-12": ("publish", "--tag=latest", "--provenance=false"),
    "pnpm": ("publish", "--no-git-checks", "--tag=latest", "--provenance=false"),
    "bun": ("publish", "--tag=latest"),
}
# Some of the packages are for other platforms than any one machine.
INSTALLERS = {
    "npm-12": ("install", "--force", "--ignore-scripts"),
    "pnpm": ("install", "--no-frozen-lockfile", "--force", "--ignore-scripts"),
    "yarn-1": ("install", "--non-interactive", "--ignore-platform", "--ignore-engines", "--ignore-scripts"),
    "bun": ("install", "--ignore-scripts"),
}
# What the packages depend on and the corpus does not hold.
STUBS = {
    "undici-types": "7.16.0",
    "jsonparse": "1.2.0",
    "through": "2.2.7",
    "node-gyp-build": "4.3.0",
    "use-sync-external-store": "1.4.0",
    "@types/use-sync-external-store": "0.0.6",
    "@types/react": "18.2.25",
    "react": "18.0.0",
    "react-dom": "18.0.0",
    "redux": "5.0.0",
    "next": "15.0.0",
    # Bundled in the tarball that needs them, but yarn 1 asks for them all the same.
    "@napi-rs/wasm-runtime": "1.0.7",
    "@emnapi/core": "1.6.0",
    "@emnapi/runtime": "1.6.0",
    "@emnapi/wasi-threads": "1.1.0",
    "@tybys/wasm-util": "0.10.1",
    "tslib": "2.4.0",
}
# Its shrinkwrap names hundreds of packages and where they were once installed from.
NOT_INSTALLED = "firebase-tools"


@pytest.fixture
async def project(people: People) -> Project:
    await set_settings(people, None, npm_package_requests_forwarding=False)
    return await people.project(await people.group("acme"))


@pytest.fixture
async def developer(people: People, project: Project) -> Person:
    return await people.member(project, AccessLevel.DEVELOPER)


async def test_real_packages_come_back_as_they_were_published(
    people: People,
    project: Project,
    developer: Person,
    find_client: Callable[[str], Client],
    corpus_path: Callable[[CorpusFile], Path],
    tmp_path: Path,
) -> None:
    assert 12 <= len(FILES)
    tarballs = {file.name: corpus_path(file) for file in FILES}
    for name in PUBLISHERS:
        # bun wants to be in some package even so.
        configure(find_client(name), people, write_application(tmp_path / name, {}), project, developer)
    for file, turn in zip(FILES, cycle(PUBLISHERS), strict=False):
        # The settings in this one's package.json name a registry; npm lets itself be told another.
        name = "npm-12" if file.name == NOT_INSTALLED else turn
        arguments = (*PUBLISHERS[name], f"--registry={registry_url(people, project)}", tarballs[file.name])
        await done(find_client(name), *arguments, cwd=tmp_path / name)
    documents = {file.name: await packument(developer, project, file.name) for file in FILES}
    for file in FILES:
        dist = documents[file.name]["versions"][file.version]["dist"]
        content = tarballs[file.name].read_bytes()
        assert integrity(content) == dist["integrity"]
        assert hashlib.sha1(content, usedforsecurity=False).hexdigest() == dist["shasum"]
    check_manifests({file.name: documents[file.name]["versions"][file.version] for file in FILES})

    npm = tmp_path / "npm-12"
    packed = await done(
        find_client("npm-12"), "pack", "--json", *(f"{file.name}@{file.version}" for file in FILES), cwd=npm
    )
    assert len(FILES) == packed.count('"filename"')
    found = {hashlib.sha256(path.read_bytes()).hexdigest() for path in npm.glob("*.tgz")}
    assert {file.sha256 for file in FILES} == found

    # yarn 1 does without no optional dependency.
    platforms: dict[str, str] = documents["esbuild"]["versions"]["0.25.12"]["optionalDependencies"]
    for name, version in (STUBS | platforms).items():
        if name not in tarballs:
            await publish(people.root, project, name, version)
    wanted = {file.name: file.version for file in FILES if file.name != NOT_INSTALLED}
    expected = {integrity(tarballs[name].read_bytes()) for name in wanted}
    for name, arguments in INSTALLERS.items():
        application = write_application(tmp_path / f"{name} installs", wanted)
        client = find_client(name)
        configure(client, people, application, project, developer)
        await done(client, *arguments, cwd=application)
        assert set() == expected - locked(application, client), name
        compiler = (application / "node_modules" / "typescript" / "package.json").read_bytes()
        assert "5.9.3" == json.loads(compiler)["version"]
    lock = json.loads((tmp_path / "npm-12 installs" / "package-lock.json").read_bytes())["packages"]
    url = registry_url(people, project)
    assert all(entry["resolved"].startswith(url) for key, entry in lock.items() if key and not entry.get("inBundle"))


def check_manifests(manifests: dict[str, dict[str, Any]]) -> None:
    """What installers act on without looking into the tarball."""
    assert {"esbuild", "bufferutil"} == {name for name, one in manifests.items() if one.get("hasInstallScript")}
    assert {NOT_INSTALLED} == {name for name, one in manifests.items() if one.get("_hasShrinkwrap")}
    assert ["musl"] == manifests["@rollup/rollup-linux-x64-musl"]["libc"]
    assert ["darwin"] == manifests["fsevents"]["os"]
    assert 26 == len(manifests["esbuild"]["optionalDependencies"])
    assert 6 == len(manifests["@tailwindcss/oxide-wasm32-wasi"]["bundleDependencies"])
    assert {"tsc", "tsserver"} == set(manifests["typescript"]["bin"])
    assert {"optional": True} == manifests["react-redux"]["peerDependenciesMeta"]["redux"]
    assert 100 < manifests["typescript"]["dist"]["fileCount"]
    assert 20_000_000 < manifests["typescript"]["dist"]["unpackedSize"]
