"""Peer servers: how other registries are installed, started and filled.

They live below `var/peers` of the checkout, pinned here and nowhere else, and stay there for the next run.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench import processes
from tests.bench.clients import Connection, basic
from tests.bench.processes import Server
from tests.cli.processes import REPOSITORY
from tests.clients import toolbox

HOME = REPOSITORY / "var" / "peers"
INSTALL_SECONDS = 600
# User and index.
DEVPI_INDEX = "root/bench"
PYPISERVER, DEVPI, VERDACCIO = "pypiserver==2.4.2", "devpi-server==6.20.3", "verdaccio@6.8.0"
# It asks for a tag of a dependency that not every index has.
_VERDACCIO = {
    "private": True,
    "dependencies": dict([VERDACCIO.split("@")]),
    "overrides": {"node-fetch": "2.7.0"},
}
_VERDACCIO_SETTINGS = """\
storage: {directory}/storage
auth:
  htpasswd:
    file: {directory}/htpasswd
packages:
  "**":
    access: $all
    publish: $all
    unpublish: $all
uplinks: {{}}
log: {{ type: stdout, format: json, level: fatal }}
"""


class NotInstalled(Exception):
    """A peer that the configured indexes do not have, or that does not run here."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A running peer: its name and version, its server, where files are uploaded, pages lie, and what it asks for."""

    name: str
    server: Server
    upload: str
    page: str
    headers: dict[str, str]


@contextlib.contextmanager
def pypiserver(directory: Path) -> Iterator[Peer]:
    """Files in a directory, uploads by everybody."""
    programs = _python(PYPISERVER)
    packages = directory / "pypiserver"
    packages.mkdir()
    port = processes.free_port()
    command = [f"{programs}/pypi-server", "run", "-p", str(port), "-i", "127.0.0.1", "-P", ".", "-a", "."]
    with _running([*command, "--disable-fallback", str(packages)], port) as server:
        yield Peer(PYPISERVER, server, "/", "/simple/{}/", {})


@contextlib.contextmanager
def devpi(directory: Path) -> Iterator[Peer]:
    """An index of its own, without the public one behind it."""
    programs = _python(DEVPI)
    home = directory / "devpi"
    port = processes.free_port()
    _run([f"{programs}/devpi-init", "--serverdir", str(home), "--no-root-pypi"])
    command = [f"{programs}/devpi-server", "--serverdir", str(home), "--host", "127.0.0.1", "--port", str(port)]
    with _running(command, port) as server:
        connection = Connection(port)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        login = json.dumps({"user": "root", "password": ""}).encode()
        password = connection.ask("POST", "/+login", headers, login).json()["result"]["password"]
        token = basic("root", password).removeprefix("Basic ")
        index = json.dumps({"type": "stage", "bases": [], "volatile": True}).encode()
        connection.ask("PUT", f"/{DEVPI_INDEX}", headers | {"X-Devpi-Auth": token}, index)
        connection.close()
        yield Peer(DEVPI, server, f"/{DEVPI_INDEX}/", f"/{DEVPI_INDEX}/+simple/{{}}/", {"X-Devpi-Auth": token})


@contextlib.contextmanager
def verdaccio(directory: Path) -> Iterator[Peer]:
    """Storage on disk, nothing behind it."""
    modules = _node()
    home = directory / "verdaccio"
    home.mkdir()
    (home / "config.yaml").write_text(_VERDACCIO_SETTINGS.format(directory=home))
    port = processes.free_port()
    command = [str(_runtime()), str(modules / "verdaccio" / "bin" / "verdaccio")]
    command += ["--config", str(home / "config.yaml"), "--listen", f"127.0.0.1:{port}"]
    with _running(command, port) as server:
        yield Peer(VERDACCIO, server, "/{}", "/{}", {})


@contextlib.contextmanager
def _running(command: list[str], port: int) -> Iterator[Server]:
    try:
        with processes.running(command, port, stderr=subprocess.DEVNULL) as pid:
            yield Server(port, (pid,))
    except processes.NotListening as error:
        raise NotInstalled(str(error)) from error


def _python(requirement: str) -> Path:
    """The programs of a private environment with this release."""
    home = HOME / requirement.replace("==", "-")
    if not (home / ".done").exists():
        _remake(home)
        _run([sys.executable, "-m", "venv", str(home)])
        pip = [str(home / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        _run([*pip, requirement])
        (home / ".done").touch()
    return home / "bin"


def _node() -> Path:
    """The modules of a private directory with Verdaccio."""
    home = HOME / VERDACCIO.replace("@", "-")
    if not (home / ".done").exists():
        _remake(home)
        (home / "package.json").write_text(json.dumps(_VERDACCIO))
        _run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=home)
        (home / ".done").touch()
    return home / "node_modules"


def _runtime() -> Path:
    return toolbox.NODE_MODULES / toolbox.NODE_RUNTIME / "bin" / "node"


def _remake(home: Path) -> None:
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)


def _run(command: list[str], *, cwd: Path = REPOSITORY) -> None:
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(str(error)) from error
    if done.returncode:
        raise NotInstalled(f"`{Path(command[0]).name}` failed: {done.stderr.strip()[-300:]}")
