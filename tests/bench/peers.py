"""Peers: other registries beside this one, on the same files, in alternate rounds.

Each is one process on core 0 and lets everybody read, which is what serves it best; ours is asked for a private project
with a token. Pages and documents differ, as each renders its own. Ratios are requests per CPU second, ours to theirs.
A peer that cannot be installed from the configured indexes is named as such.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from tests.bench import comparing, load, peer_servers, processes, seed, trees
from tests.bench.clients import BEARER, NPM, PIP, PIP_FILE, PNPM, Connection
from tests.bench.load import Case
from tests.bench.measuring import RATIO, Measurement
from tests.bench.peer_servers import NotInstalled, Peer
from tests.bench.processes import Stage
from tests.clients import packing
from tests.formats.pypi import forms

FILES, VERSIONS, PUBLISHES = 20, 20, 20
LARGE = 100 * 1024
CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class Format:
    """How one kind of package is published to, and asked of, any registry."""

    publish: Callable[[Peer, str, str], None]
    cases: Callable[[Peer], list[Case]]


def run(*, quick: bool = False) -> list[Measurement]:
    """One peer after another, each beside a registry that holds the same."""
    found = []
    with processes.stage() as stage:
        for start, package_type in (
            (peer_servers.pypiserver, "pypi"),
            (peer_servers.devpi, "pypi"),
            (peer_servers.verdaccio, "npm"),
        ):
            found += _peer(stage, start, package_type, 1 if quick else 3)
    return found


def _peer(
    stage: Stage, start: Callable[[Path], AbstractContextManager[Peer]], package_type: str, rounds: int
) -> list[Measurement]:
    try:
        with start(stage.directory) as theirs, _ours(stage, start.__name__, package_type) as ours:
            return _compare(ours, theirs, FORMATS[package_type], rounds)
    except NotInstalled as error:
        print(f"  {start.__name__} cannot be measured here: {error}", flush=True)
        return [Measurement(f"{start.__name__}: not installed", 0, "", detail=str(error).splitlines()[0][:120])]


@contextmanager
def _ours(stage: Stage, name: str, package_type: str) -> Iterator[Peer]:
    with processes.registry(stage.database_url, stage.directory / "data") as server:
        connection = Connection(server.port)
        headers = {"PRIVATE-TOKEN": seed.TOKEN}
        project = connection.ask("POST", f"/api/v4/projects?name=beside-{name}", headers, status=201).json()["id"]
        connection.close()
        base = f"/api/v4/projects/{project}/packages/{package_type}"
        upload, page = (base, f"{base}/simple/{{}}/") if package_type == "pypi" else (f"{base}/{{}}", f"{base}/{{}}")
        yield Peer("this registry", server, upload, page, {"Authorization": BEARER})


def _compare(ours: Peer, theirs: Peer, form: Format, rounds: int) -> list[Measurement]:
    found = []
    for peer in (ours, theirs):
        for number in range(FILES):
            form.publish(peer, "demo", f"1.{number}.0")
    for mine, other in zip(form.cases(ours), form.cases(theirs), strict=True):
        for case, peer in ((mine, ours), (other, theirs)):
            _check(case, peer)
        pair = comparing.compare(ours.server, theirs.server, mine, other.path, rounds=rounds)
        found.append(comparing.speed(f"{mine.name}, to {theirs.name}", pair, at=f"c={CONNECTIONS}"))
    return [*found, _publishing(ours, theirs, form)]


def _check(case: Case, peer: Peer) -> None:
    """Raise RuntimeError unless the answer is a whole one."""
    connection = Connection(peer.server.port)
    connection.get(case.path, case.headers)
    connection.close()


def _publishing(ours: Peer, theirs: Peer, form: Format) -> Measurement:
    """CPU time of the server for one small package, in turns."""
    used: dict[str, list[float]] = {ours.name: [], theirs.name: []}
    for number in range(PUBLISHES):
        for peer in (theirs, ours):
            before = load.cpu_seconds(peer.server.pid)
            form.publish(peer, "fresh", f"1.{number}.0")
            load.settle(peer.server.pid)
            used[peer.name].append((load.cpu_seconds(peer.server.pid) - before) * 1000)
    mine, other = (statistics.median(used[name]) for name in (ours.name, theirs.name))
    detail = f"{mine:.1f} against {other:.1f} ms of CPU"
    return Measurement(f"publish of a small package, to {theirs.name}", other / mine, RATIO, detail=detail)


def _upload(peer: Peer, name: str, version: str) -> None:
    """A wheel, of 100 KiB when it is the first."""
    content = packing.wheel(name, version)
    if version == "1.0.0":
        content = trees.padded_wheel(name, version, LARGE)
    body = forms.upload(name, version, f"{name}-{version}-py3-none-any.whl", content, filetype="bdist_wheel")
    connection = Connection(peer.server.port)
    headers = {**peer.headers, "Content-Type": forms.CONTENT_TYPE}
    connection.ask("POST", peer.upload, headers, body, status=None)
    connection.close()


def _pypi_cases(peer: Peer) -> list[Case]:
    page = peer.page.format("demo")
    connection = Connection(peer.server.port)
    answer = connection.get(page, PIP | {"Accept": "text/html", "Accept-Encoding": "identity"})
    connection.close()
    return [
        Case("PyPI page, 20 files", page, PIP, CONNECTIONS),
        Case("download of 100 KiB", _link(peer.server.url + page, answer.body.decode()), PIP_FILE, CONNECTIONS),
    ]


def _link(page: str, html: str) -> str:
    """Where the file of version 1.0.0 lies."""
    link = next(one for one in html.split('href="')[1:] if "demo-1.0.0-" in one.partition('"')[0])
    return urlsplit(urljoin(page, link.partition('"')[0])).path


def _put(peer: Peer, name: str, version: str) -> None:
    content = trees.tarball(name, version)
    body = json.dumps(content.document()).encode()
    connection = Connection(peer.server.port)
    headers = {**peer.headers, "Content-Type": "application/json"}
    connection.ask("PUT", peer.upload.format(name), headers, body, status=None)
    connection.close()


def _npm_cases(peer: Peer) -> list[Case]:
    page = peer.page.format("demo")
    return [
        Case("packument, 20 versions, abbreviated", page, PNPM, CONNECTIONS),
        Case("packument, 20 versions, full", page, NPM, CONNECTIONS),
    ]


FORMATS = {"pypi": Format(_upload, _pypi_cases), "npm": Format(_put, _npm_cases)}
