"""What PyPI clients are told: where the registry is, who asks, and what they publish."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from registry import metrics
from registry.model import Group, Project
from tests.clients import packing
from tests.clients.process import Client, Result, run
from tests.formats.pypi.pages import base
from tests.people import People, Person

WHEEL = "demo-{}-py3-none-any.whl"
SDIST = "demo-{}.tar.gz"
PIP = ("--disable-pip-version-check", "--no-input", "--retries", "0")


def origin(people: People, credentials: str = "") -> str:
    """`http://[credentials@]host:port` of the server under test."""
    return f"http://{credentials}{'@' if credentials else ''}127.0.0.1:{people.client.port}"


def upload_url(people: People, project: Project) -> str:
    """What a `.pypirc` calls the repository."""
    return origin(people) + base(project)


def index_url(people: People, place: Project | Group, credentials: str = "") -> str:
    """What a `pip.conf` calls the index."""
    return f"{origin(people, credentials)}{base(place)}/simple"


def user(person: Person) -> str:
    """Credentials for a URL: any user name will do beside the token."""
    return f"somebody:{person.token}"


def distributions(directory: Path, version: str = "1.0") -> list[Path]:
    """A wheel and an sdist of `demo`, the same bytes every time."""
    directory.mkdir(parents=True, exist_ok=True)
    files = {
        WHEEL.format(version): packing.wheel("demo", version),
        SDIST.format(version): packing.sdist("demo", version),
    }
    for name, content in files.items():
        (directory / name).write_bytes(content)
    return [directory / name for name in files]


def project_directory(directory: Path, backend: str = "flit_core.buildapi") -> Path:
    """A project `demo` 1.0, with its distributions in `dist`: what poetry, pdm, hatch and flit want to be run in."""
    distributions(directory / "dist")
    (directory / "demo.py").write_text('"""A demonstration."""\n__version__ = "1.0"\n')
    (directory / "pyproject.toml").write_text(
        f'[build-system]\nrequires = []\nbuild-backend = "{backend}"\n'
        '[project]\nname = "demo"\nversion = "1.0"\ndescription = "A demonstration."\nrequires-python = ">=3.8"\n'
    )
    return directory


async def start(
    client: Client, *arguments: str | Path, cwd: Path, home: Path | None = None, env: Mapping[str, str] | None = None
) -> Result:
    """Run a client beside the server, which lives on this loop."""
    return await asyncio.to_thread(run, client, *arguments, cwd=cwd, home=home, env=env)


async def install(client: Client, index: str, target: Path, *what: str, home: Path | None = None) -> Result:
    """Install into a directory with any pip or uv, from this index alone."""
    arguments: tuple[str | Path, ...]
    if client.name == "uv":
        arguments = ("pip", "install", "--default-index", index, "--python", sys.executable)
    else:
        # pip caches only what comes over TLS or from a trusted host.
        arguments = ("install", *PIP, "--trusted-host", "127.0.0.1", "--index-url", index)
    return await start(client, *arguments, "--target", target, *what, cwd=target.parent, home=home)


def installed(target: Path) -> list[str]:
    """Names and versions found in a directory of `install`."""
    return sorted(path.name.removesuffix(".dist-info") for path in target.glob("*.dist-info"))


def publish_environment(client: Client, url: str, credentials: tuple[str, str]) -> dict[str, str]:
    """The variables that tell a publishing client where to and who."""
    name, password = credentials
    match client.name.partition("-")[0]:
        case "twine":
            return {"TWINE_REPOSITORY_URL": url, "TWINE_USERNAME": name, "TWINE_PASSWORD": password}
        case "uv":
            return {"UV_PUBLISH_URL": url, "UV_PUBLISH_USERNAME": name, "UV_PUBLISH_PASSWORD": password}
        case "poetry":
            login = {"POETRY_HTTP_BASIC_REGISTRY_USERNAME": name, "POETRY_HTTP_BASIC_REGISTRY_PASSWORD": password}
            return {"POETRY_REPOSITORIES_REGISTRY_URL": url, **login}
        case "pdm":
            return {"PDM_PUBLISH_REPO": url, "PDM_PUBLISH_USERNAME": name, "PDM_PUBLISH_PASSWORD": password}
        case "hatch":
            return {"HATCH_INDEX_REPO": url, "HATCH_INDEX_USER": name, "HATCH_INDEX_AUTH": password}
        case "flit":
            return {"FLIT_INDEX_URL": url, "FLIT_USERNAME": name, "FLIT_PASSWORD": password}
        case other:
            raise ValueError(f"{other} publishes nothing to PyPI")


PUBLISH: Mapping[str, tuple[str, ...]] = {
    "twine": ("upload", "--disable-progress-bar", "{files}"),
    "twine-6.1": ("upload", "--disable-progress-bar", "{files}"),
    "uv": ("publish", "--trusted-publishing", "never", "{files}"),
    "poetry": ("publish", "--no-interaction", "--repository", "registry"),
    "pdm": ("publish", "--no-build"),
    "hatch": ("publish", "--no-prompt", "{files}"),
    "flit": ("publish",),
}


async def publish(
    client: Client,
    url: str,
    credentials: tuple[str, str],
    directory: Path,
    *options: str,
    home: Path | None = None,
) -> Result:
    """Publish what lies in `dist` of a project directory; flit builds its own."""
    files = sorted(map(str, (directory / "dist").glob("demo*")))
    arguments: list[str] = []
    for argument in PUBLISH[client.name]:
        arguments += files if argument == "{files}" else [argument]
    environment = publish_environment(client, url, credentials)
    return await start(client, *arguments, *options, cwd=directory, home=home, env=environment)


def requests() -> Counter[tuple[str, str]]:
    """The answers given so far, by the last part of the route's template and status."""
    found: Counter[tuple[str, str]] = Counter()
    for metric in metrics.requests.collect():
        for sample in metric.samples:
            if sample.name.endswith("_total"):
                found[sample.labels["route"].rpartition("/")[2], sample.labels["code"]] += int(sample.value)
    return found


def digests(directory: Path) -> dict[str, str]:
    """SHA-256 of the files in a directory, by their names."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()}
