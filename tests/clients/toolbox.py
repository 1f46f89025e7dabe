"""The toolbox: the real package clients the tests drive, pinned by lock files and installed once per checkout.

`python tests/clients/toolbox.py` installs what is missing and fetches the corpus; `... toolbox.py lock` renews the lock
files after a version below or in `node/package.json` was changed. Python clients live in `.venv-clients/<name>` of the
checkout, Node clients in `tests/clients/node/node_modules`. A stamp, written last, says which lock file an installation
came from; a stale or interrupted one is built anew. Tests never install: they use `find`, which raises Missing.
"""

import argparse
import contextlib
import fcntl
import hashlib
import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":  # a script's path begins with its own directory, not with the checkout
    sys.path.insert(0, str(ROOT))

from tests.clients.process import DEAD_PROXY, Client  # noqa: E402 - importable only now

HERE = Path(__file__).resolve().parent
VENVS = (ROOT / ".venv-clients").resolve()
INSTALLER = VENVS / ".installer"
NODE = HERE / "node"
NODE_LOCK = NODE / "package-lock.json"
NODE_MODULES = NODE / "node_modules"
NODE_RUNTIME = f"node24-linux-{'arm64' if platform.machine() == 'aarch64' else 'x64'}"

# Empty values take back what /etc/pip.conf says: a virtual environment's settings outrank the machine's.
BLANK_PIP_SETTINGS = "[global]\nextra-index-url =\nfind-links =\nindex-url =\nno-index =\ntrusted-host =\n"

# Python 3.10 took these names away; nothing else of pip 18 minds a newer Python.
ABSTRACT_COLLECTIONS = """\
import collections
import collections.abc

for name in collections.abc.__all__:
    setattr(collections, name, getattr(collections.abc, name))
"""


class Missing(Exception):
    """Something the tests need is not on this machine. The text says what, and how to get it."""


@dataclass(frozen=True, slots=True)
class PythonClient:
    """A client from the Python index: what to lock, the program in its environment, the newest Python it runs on.

    `start` is run whenever its interpreter starts: what an old client misses in a Python newer than itself.
    """

    name: str
    requirement: str
    program: str
    newest_python: tuple[int, int] | None = None
    start: str = ""

    @property
    def version(self) -> str:
        return self.requirement.partition("==")[2]

    @property
    def lock(self) -> Path:
        return HERE / "requirements" / f"{self.name}.lock"

    @property
    def home(self) -> Path:
        return VENVS / self.name


PYTHON_CLIENTS = {
    client.name: client
    for client in (
        PythonClient("twine", "twine==7.0.0", "twine"),
        # The last one whose --skip-existing accepts any registry.
        PythonClient("twine-6.1", "twine==6.1.0", "twine"),
        PythonClient("pip", "pip==26.3", "pip"),
        # Cannot read `dist-info-metadata` in JSON pages; its vendored libraries need a module that left Python 3.12.
        PythonClient("pip-23.0", "pip==23.0.1", "pip", newest_python=(3, 11)),
        # The last one that knows HTML pages only.
        PythonClient("pip-22.1", "pip==22.1.2", "pip", newest_python=(3, 11)),
        # The last one older than yanking (PEP 592).
        PythonClient("pip-18.1", "pip==18.1", "pip", newest_python=(3, 11), start=ABSTRACT_COLLECTIONS),
        # The first one that knows it.
        PythonClient("pip-19.2", "pip==19.2.3", "pip", newest_python=(3, 11)),
        PythonClient("uv", "uv==0.13.9", "uv"),
        PythonClient("poetry", "poetry==2.5.1", "poetry"),
        # The extra pins its HTTP libraries; newer ones break it at the start.
        PythonClient("pdm", "pdm[locked]==2.29.3", "pdm"),
        PythonClient("hatch", "hatch==1.18.2", "hatch"),
        PythonClient("flit", "flit==4.2.0", "flit"),
    )
}

# Not clients, but from the same index and installed the same way: what renders the chart, Helm itself as a library.
TOOLS = {"helm": PythonClient("helm", "helm-python-sdk==0.2.2", "python")}

# The package under node_modules, and the file of it that is run. Native programs differ by processor.
SCRIPTS = {
    "npm-11": ("npm11", "bin/npm-cli.js"),
    "npm-12": ("npm12", "bin/npm-cli.js"),
    "yarn-1": ("yarn1", "bin/yarn.js"),
    "yarn-berry": ("yarn-berry", "bin/yarn.js"),
}
PROGRAMS = {
    "pnpm": (f"@pnpm/exe.linux-{'arm64' if platform.machine() == 'aarch64' else 'x64'}", "pnpm"),
    "bun": (f"@oven/bun-linux-{'aarch64' if platform.machine() == 'aarch64' else 'x64'}", "bin/bun"),
}
NODE_CLIENTS = SCRIPTS | PROGRAMS

# yarn berry takes no proxy from the environment: this keeps it, too, from asking any host but this machine.
YARN_SETTINGS = f"""\
networkSettings:
  "!(127.0.0.1|localhost|*.localhost)":
    httpProxy: "{DEAD_PROXY}"
    httpsProxy: "{DEAD_PROXY}"
"""
SETTINGS = {"yarn-berry": ((".yarnrc.yml", YARN_SETTINGS),)}
NAMES = (*PYTHON_CLIENTS, *NODE_CLIENTS)


def find(name: str) -> Client:
    """The installed client called `name`, one of NAMES, or tool, one of TOOLS.

    Raises Missing when it is absent or of another lock file.
    """
    if name in PYTHON_CLIENTS or name in TOOLS:
        wanted = PYTHON_CLIENTS.get(name) or TOOLS[name]
        _check_stamp(wanted.home, stamp(wanted.lock.read_bytes()), name)
        return Client(name, wanted.version, (str(wanted.home / "bin" / wanted.program),))
    package, file = NODE_CLIENTS[name]
    _check_stamp(NODE_MODULES, stamp(NODE_LOCK.read_bytes()), name)
    runtime = NODE_MODULES / NODE_RUNTIME / "bin"
    program = str(NODE_MODULES / package / file)
    command = (str(runtime / "node"), program) if name in SCRIPTS else (program,)
    return Client(name, node_versions()[package], command, path=(runtime,), settings=SETTINGS.get(name, ()))


@cache
def node_versions() -> dict[str, str]:
    """The locked version of each package right under node_modules, by the name it is installed as."""
    lock = json.loads(NODE_LOCK.read_bytes())
    return {
        path.removeprefix("node_modules/"): package.get("version", "") for path, package in lock["packages"].items()
    }


def virtual_environment(directory: Path) -> Path:
    """Make an empty virtual environment without pip, deaf to the machine's pip settings; returns its interpreter."""
    _make_environment(directory, sys.executable, "--without-pip")
    return directory / "bin" / "python"


def stamp(lock: bytes) -> str:
    """What an installation from this lock by this Python in this place is recognised by."""
    place = f"{sys.version}\n{platform.machine()}\n{VENVS}\n"
    return hashlib.sha256(place.encode() + lock).hexdigest()


def install() -> list[str]:
    """Install every client that is missing, saying so; returns one sentence for each that could not be."""
    failures = []
    with locked():
        for client in (*PYTHON_CLIENTS.values(), *TOOLS.values()):
            failures += _attempt(f"{client.name} ({client.requirement})", client.home, client.lock, client)
        failures += _attempt(f"Node clients ({', '.join(NODE_CLIENTS)})", NODE_MODULES, NODE_LOCK, None)
    return failures


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Hold the checkout's toolbox lock: a second process waits until the first has installed, and finds it done."""
    VENVS.mkdir(exist_ok=True)
    (VENVS / ".gitignore").write_text("*\n")
    with (VENVS / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def installer() -> Path:
    """The interpreter of a private environment with a pip, which installs and downloads with the machine's settings."""
    python = INSTALLER / "bin" / "python"
    wanted = stamp(b"pip of ensurepip")
    if _read_stamp(INSTALLER) != wanted:
        _remake(INSTALLER)
        _run(sys.executable, "-m", "venv", INSTALLER, hint="Python's venv needs ensurepip (Debian: python3-venv)")
        _write_stamp(INSTALLER, wanted)
    return python


def _attempt(title: str, home: Path, lock: Path, client: PythonClient | None) -> list[str]:
    wanted = stamp(lock.read_bytes())
    if _read_stamp(home) == wanted:
        print(f"{title}: already installed", flush=True)
        return []
    print(f"{title}: installing", flush=True)
    try:
        if client is None:
            _install_node()
        else:
            _install_python(client)
    except Missing as error:
        return [f"{title}: {error}"]
    _write_stamp(home, wanted)
    return []


def _install_python(client: PythonClient) -> None:
    interpreter = _interpreter(client)
    _remake(client.home)
    _make_environment(client.home, interpreter, "--without-pip")
    pip = (installer(), "-m", "pip", "--python", client.home / "bin" / "python", "--disable-pip-version-check")
    # The lock file is complete: --no-deps installs exactly what it names.
    _run(*pip, "install", "--quiet", "--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", client.lock)
    if client.start:
        packages = next(client.home.glob("lib/python*/site-packages"))
        (packages / "sitecustomize.py").write_text(client.start)


def _install_node() -> None:
    if shutil.which("npm") is None or shutil.which("node") is None:
        raise Missing("installing them needs node and npm (any npm from 7 on; Debian: apt-get install nodejs npm)")
    # Prebuilt programs only: no package's script runs. Engines are warned about because the pinned Node, not the
    # machine's, will run them.
    _run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", cwd=NODE)
    for package in (NODE_RUNTIME, *(package for package, _ in NODE_CLIENTS.values())):
        if not (NODE_MODULES / package).is_dir():
            raise Missing(f"{package} is not installed: the lock file has no build for {platform.platform()}")


def _interpreter(client: PythonClient) -> str:
    newest = client.newest_python
    if newest is None or sys.version_info[:2] <= newest:
        return sys.executable
    wanted = f"python{newest[0]}.{newest[1]}"
    found = shutil.which(wanted)
    if found is None:
        raise Missing(f"it runs on Python {newest[0]}.{newest[1]} at most, and there is no {wanted} on the PATH")
    return found


def _make_environment(directory: Path, interpreter: str, *flags: str) -> None:
    _run(interpreter, "-m", "venv", *flags, directory)
    (directory / "pip.conf").write_text(BLANK_PIP_SETTINGS)


def _run(*command: str | Path, cwd: Path = ROOT, hint: str = "") -> None:
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise Missing("\n".join(filter(None, (f"`{Path(command[0]).name}` failed with {done.returncode}", said, hint))))


def _remake(directory: Path) -> None:
    if directory.exists():
        shutil.rmtree(directory)


def _check_stamp(home: Path, wanted: str, name: str) -> None:
    found = _read_stamp(home)
    if found != wanted:
        state = "not installed" if found is None else "installed from another lock file or by another Python"
        raise Missing(f"the client {name} is {state}: run `python tests/clients/toolbox.py`")


def _read_stamp(home: Path) -> str | None:
    with contextlib.suppress(FileNotFoundError):
        return (home / ".stamp").read_text()
    return None


def _write_stamp(home: Path, wanted: str) -> None:
    unfinished = home / ".stamp.new"
    unfinished.write_text(wanted)
    unfinished.replace(home / ".stamp")


def renew_locks() -> None:
    """Resolve every lock file again, for all platforms, without the address of the index it was resolved on."""
    settings = ("--universal", "--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url")
    for client in (*PYTHON_CLIENTS.values(), *TOOLS.values()):
        print(f"locking {client.requirement}", flush=True)
        compiled = subprocess.run(
            ["uv", "pip", "compile", "--quiet", *settings, "--python-version", "3.11", "-"],
            input=client.requirement,
            capture_output=True,
            text=True,
            check=True,
        )
        client.lock.write_text(compiled.stdout)
    print("locking the Node clients", flush=True)
    _run("npm", "install", "--package-lock-only", cwd=NODE)


def main() -> int:
    parser = argparse.ArgumentParser(description="Install the package clients and the corpus that the tests use.")
    parser.add_argument("action", choices=("install", "lock"), nargs="?", default="install")
    if parser.parse_args().action == "lock":
        renew_locks()
        return 0

    from tests import programs
    from tests.clients import corpus

    failures = [*programs.install(), *install(), *corpus.fetch()]
    for failure in failures:
        print(f"MISSING {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    # The same module under its importable name, so that the corpus and the toolbox share one.
    from tests.clients import toolbox

    sys.exit(toolbox.main())
