"""Installs: real clients with empty caches fetch a tree, from the registry and from nginx with the same bytes.

pip and uv get 60 wheels, npm and pnpm 300 packages. Servers have core 0, clients and Postgres core 1. `server cold` is
the first install after the registry was started, nothing rendered and nothing looked up; `server warm` is the one after
it. Figures are wall times as a ratio to nginx, medians of the rounds' own ratios.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.bench import clients, load, processes, seed, trees
from tests.bench.clients import Connection
from tests.bench.measuring import RATIO, Measurement
from tests.bench.mirror import Mirror
from tests.bench.processes import Server, Stage
from tests.clients import toolbox
from tests.clients.process import Client
from tests.clients.process import run as run_client
from tests.formats.pypi import forms

COLD_BAR, WARM_BAR = 1.10, 1.05
ROUNDS = 5
CLIENT_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Install:
    """What a client is told: files for its directory and the arguments, from the address of the project's packages."""

    title: str
    client: str
    files: Callable[[str], dict[str, str]]
    arguments: Callable[[str], list[str]]
    count: Callable[[Path], int]
    expected: int


def _index(packages: str) -> str:
    return f"{packages}/pypi/simple/".replace("http://", f"http://__token__:{seed.TOKEN}@")


def _npmrc(packages: str) -> str:
    registry = f"{packages}/npm/"
    return f"registry={registry}\n{registry.removeprefix('http:')}:_authToken={seed.TOKEN}\naudit=false\nfund=false\n"


def _application() -> str:
    root = trees.tarballs()[0]
    return json.dumps({"name": "application", "version": "1.0.0", "dependencies": {root.name: root.version}})


def _lock(packages: str) -> str:
    root = trees.tarballs()[0]
    entries: dict[str, object] = {
        "": {"name": "application", "version": "1.0.0", "dependencies": {root.name: root.version}}
    }
    for one in trees.tarballs():
        entries[f"node_modules/{one.name}"] = {
            "version": one.version,
            "resolved": f"{packages}/npm/{one.name}/-/{one.name}-{one.version}.tgz",
            "integrity": one.integrity,
            "license": "MIT",
            "dependencies": one.dependencies,
        }
    return json.dumps({"name": "application", "version": "1.0.0", "lockfileVersion": 3, "packages": entries})


def _npm_files(packages: str) -> dict[str, str]:
    return {"package.json": _application(), "package-lock.json": _lock(packages), ".npmrc": _npmrc(packages)}


def _pnpm_files(packages: str) -> dict[str, str]:
    # The packages are minutes old.
    settings = {"pnpm-workspace.yaml": "minimumReleaseAge: 0\n"}
    return {"package.json": _application(), ".npmrc": _npmrc(packages), **settings}


def _wheels(directory: Path) -> int:
    return len(list((directory / "target").glob("branch_*.whl")))


def _installed(directory: Path) -> int:
    return len(list((directory / "target").glob("branch_*.dist-info")))


def _modules(directory: Path) -> int:
    return len(list((directory / "node_modules").glob("leaf-*")))


def _store(directory: Path) -> int:
    return len(list((directory / "node_modules" / ".pnpm").glob("leaf-*")))


PIP = ["download", "--disable-pip-version-check", "--no-input", "--quiet", "--only-binary", ":all:", "-d", "target"]
UV = ["pip", "install", "--quiet", "--python", sys.executable, "--target", "target"]
INSTALLS = (
    Install("pip download, 60 wheels", "pip", lambda _: {}, lambda p: [*PIP, "-i", _index(p), "branch-0"], _wheels, 60),
    Install(
        "uv pip install, 60 wheels",
        "uv",
        lambda _: {},
        lambda p: [*UV, "--default-index", _index(p), "branch-0"],
        _installed,
        60,
    ),
    Install("npm ci, 300 packages", "npm-11", _npm_files, lambda _: ["ci", "--silent"], _modules, 300),
    Install("pnpm install, 300 packages", "pnpm", _pnpm_files, lambda _: ["install", "--silent"], _store, 300),
)


def run(*, quick: bool = False) -> list[Measurement]:
    """All clients in turn, round by round."""
    times: dict[str, list[tuple[float, float, float]]] = {one.title: [] for one in INSTALLS}
    with processes.stage() as stage:
        with _registry(stage) as server:
            project = _publish(server)
            mirror = _copy(server, project, stage.directory / "mirror")
        path = f"/api/v4/projects/{project}/packages"
        with mirror.serving() as nginx:
            for install in INSTALLS * (1 if quick else ROUNDS):
                with _registry(stage) as server:
                    bare = _install(install, nginx.url + path)
                    cold = _install(install, server.url + path)
                    warm = _install(install, server.url + path)
                # nginx before and after the registry: what the machine did meanwhile lies in between.
                bare = (bare + _install(install, nginx.url + path)) / 2
                times[install.title].append((cold, warm, bare))
                print(f"  {install.title}: {cold:.2f} s cold, {warm:.2f} s warm, {bare:.2f} s from nginx", flush=True)
    return [row for title, found in times.items() for row in _rows(title, found)]


def _rows(title: str, found: list[tuple[float, float, float]]) -> list[Measurement]:
    cold, warm, bare = (statistics.median(one[column] for one in found) for column in range(3))
    return [
        Measurement(
            f"{title}, to nginx",
            statistics.median(one[0] / one[2] for one in found),
            RATIO,
            most=COLD_BAR,
            at="server cold",
            detail=f"{cold:.2f} against {bare:.2f} s",
        ),
        Measurement(
            f"{title}, to nginx",
            statistics.median(one[1] / one[2] for one in found),
            RATIO,
            most=WARM_BAR,
            at="server warm",
            detail=f"{warm:.2f} against {bare:.2f} s",
        ),
    ]


def _registry(stage: Stage) -> AbstractContextManager[Server]:
    return processes.registry(stage.database_url, stage.directory / "data")


def _install(install: Install, packages: str) -> float:
    """Seconds of one run, with an empty home and in an empty directory."""
    client: Client = toolbox.find(install.client)
    with tempfile.TemporaryDirectory(prefix="bench-client-") as name, load.on(load.LOAD_CORE):
        directory = Path(name)
        for file_name, text in install.files(packages).items():
            (directory / file_name).write_text(text)
        started = time.perf_counter()
        result = run_client(client, *install.arguments(packages), cwd=directory, timeout=CLIENT_SECONDS)
        seconds = time.perf_counter() - started
        found = install.count(directory)
        if result.code or found != install.expected:
            raise RuntimeError(f"{install.title}: exit code {result.code}, {found} packages\n{result.text[-2000:]}")
    return seconds


def _publish(server: Server) -> int:
    connection = Connection(server.port)
    headers = {"PRIVATE-TOKEN": seed.TOKEN}
    project: int = connection.ask("POST", "/api/v4/projects?name=trees", headers, status=201).json()["id"]
    base = f"/api/v4/projects/{project}/packages"
    for one in trees.wheels():
        body = forms.upload(one.name, one.version, one.file_name, one.content)
        form = {**headers, "Content-Type": forms.CONTENT_TYPE}
        connection.ask("POST", f"{base}/pypi", form, body, status=201)
    for package in trees.tarballs():
        body = json.dumps(package.document()).encode()
        connection.ask("PUT", f"{base}/npm/{package.name}", {**headers, "Content-Type": "application/json"}, body)
    connection.close()
    return project


def _copy(server: Server, project: int, directory: Path) -> Mirror:
    """Ask for all that a client may ask for."""
    mirror, connection = Mirror(directory, server.url), Connection(server.port)
    base = f"/api/v4/projects/{project}/packages"
    identity = {"Accept-Encoding": "identity"}
    for wheel in trees.wheels():
        path = f"{base}/pypi/simple/{wheel.name.replace('_', '-')}/"
        page = connection.get(path, clients.PIP | identity)
        mirror.page(path, page.body)
        (file,) = page.json()["files"]
        url = urlsplit(file["url"]).path
        mirror.file(url, connection.get(url, clients.PIP_FILE).body)
        if file.get("core-metadata"):
            mirror.file(f"{url}.metadata", connection.get(f"{url}.metadata", clients.PIP_FILE).body)
    for package in trees.tarballs():
        path = f"{base}/npm/{package.name}"
        for form, headers in (("full", clients.NPM), ("abbreviated", clients.PNPM)):
            document = connection.get(path, headers | identity)
            mirror.packument(path, form, document.body)
        url = urlsplit(document.json()["versions"][package.version]["dist"]["tarball"]).path
        mirror.file(url, connection.get(url, clients.NPM | identity).body)
    connection.close()
    return mirror
