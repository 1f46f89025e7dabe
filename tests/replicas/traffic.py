"""Traffic: clients that publish a version and install it, again and again, and remember what was acknowledged."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.cli.processes import TOKEN, form
from tests.clients import npm, packing, toolbox
from tests.clients.process import Client, run
from tests.replicas.balancer import ask
from tests.replicas.fleet import Fleet

PIP = ("--disable-pip-version-check", "--no-input", "--no-cache-dir", "--no-deps", "--retries", "0")
ATTEMPTS = 10


@dataclass
class Tally:
    """What clients did. `published` holds the SHA-256 of what was acknowledged, by its path for everybody."""

    commands: int = 0
    failures: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    published: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, failure: str | None) -> None:
        """One more command, which failed or not."""
        with self._lock:
            self.commands += 1
            if failure is not None:
                self.failures.append(failure)

    def __str__(self) -> str:
        return (
            f"{self.commands} client commands, {len(self.failures)} failed; "
            f"{len(self.published)} publishes acknowledged, {len(self.lost)} lost"
        )


class Traffic:
    """Loops of clients against a fleet. With `patience` a command that fails is tried again."""

    def __init__(self, fleet: Fleet, directory: Path, *, patience: bool = False) -> None:
        self._fleet = fleet
        self._directory = directory
        self._attempts = ATTEMPTS if patience else 1
        self.tally = Tally()
        self.stop = threading.Event()
        name = directory.name.lower()
        group = fleet.make("/api/v4/groups", name=name, path=name, visibility="public")
        project = fleet.make("/api/v4/projects", name="demo", namespace_id=group["id"], visibility="public")
        self._base = f"/api/v4/projects/{project['id']}/packages"
        self._scope = f"@{name}"

    def run(self, during: Callable[[threading.Event], object], seconds: float) -> None:
        """Let the clients work for so long, while `during` happens; then look for everything acknowledged."""
        loops = (self._twine_and_pip, self._npm, self._plain)
        with ThreadPoolExecutor(len(loops) + 1) as pool, ExitStack() as end:
            end.callback(self.stop.set)
            working = [pool.submit(self._loop, one) for one in loops]
            happening = pool.submit(during, self.stop)
            self.stop.wait(seconds)
            self.stop.set()
            for one in (*working, happening):
                one.result()
        self.tally.lost += [path for path, digest in self.tally.published.items() if not self._is_there(path, digest)]

    def _loop(self, once: Callable[[int], None]) -> None:
        number = 0
        while not self.stop.is_set():
            number += 1
            once(number)

    def _done(self, client: Client, *arguments: str | Path, cwd: Path, env: dict[str, str] | None = None) -> bool:
        """Run a command until it succeeds."""

        def attempt() -> str | None:
            result = run(client, *arguments, cwd=cwd, env=env)
            return None if result.code == 0 else f"{client.name} {arguments[0]}: {result.text[-2000:]}"

        return self._tried(attempt)

    def _asked(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> bool:
        def attempt() -> str | None:
            status, content = ask(self._fleet.port, method, path, body, headers)
            return None if status in {200, 201} else f"{method} {path}: {status} {content[:500]!r}"

        return self._tried(attempt)

    def _tried(self, attempt: Callable[[], str | None]) -> bool:
        for number in range(self._attempts):
            failure = attempt()
            self.tally.count(failure)
            if failure is None:
                return True
            time.sleep(0.2 * number)
        return False

    def _twine_and_pip(self, number: int) -> None:
        version = f"{number}.0"
        content = packing.wheel("demo", version)
        place = self._directory / f"pypi-{number}"
        place.mkdir(parents=True)
        wheel = place / f"demo-{version}-py3-none-any.whl"
        wheel.write_bytes(content)
        url = self._fleet.url + self._base + "/pypi"
        account = {"TWINE_REPOSITORY_URL": url, "TWINE_USERNAME": "root", "TWINE_PASSWORD": TOKEN}
        if self._done(toolbox.find("twine"), "upload", "--disable-progress-bar", wheel, cwd=place, env=account):
            digest = hashlib.sha256(content).hexdigest()
            self.tally.published[f"{self._base}/pypi/files/{digest}/{wheel.name}"] = digest
            what = ("--index-url", f"{url}/simple/", "--target", place / "target", f"demo=={version}")
            self._done(toolbox.find("pip"), "install", *PIP, *what, cwd=place)

    def _npm(self, number: int) -> None:
        name, version = f"{self._scope}/widget", f"{number}.0.0"
        url = f"{self._fleet.url}{self._base}/npm/"
        package = npm.write_package(self._directory / f"npm-{number}", name, version)
        application = npm.write_application(self._directory / f"application-{number}", {name: version})
        for place in (package, application):
            (place / ".npmrc").write_text(f"registry={url}\n{url.removeprefix('http:')}:_authToken={TOKEN}\n")
        client = toolbox.find("npm-11")
        if self._done(client, "publish", "--fetch-retries=0", cwd=package):
            self.tally.published[f"{self._base}/npm/{name.replace('/', '%2f')}#{version}"] = ""
            self._done(client, "install", "--fetch-retries=0", "--no-audit", "--no-fund", cwd=application)

    def _plain(self, number: int) -> None:
        """The same without a client that might try again by itself, and more of it."""
        name, version = f"plain{number % 5}", f"{number}.0"
        content = packing.wheel(name, version)
        file_name = f"{name}-{version}-py3-none-any.whl"
        headers, body = form(file_name, content, name=name, version=version)
        if self._asked("POST", f"{self._base}/pypi", body, {**headers, "PRIVATE-TOKEN": TOKEN}):
            digest = hashlib.sha256(content).hexdigest()
            path = f"{self._base}/pypi/files/{digest}/{file_name}"
            self.tally.published[path] = digest
            for read in (f"{self._base}/pypi/simple/{name}/", path):
                self._asked("GET", read)
        time.sleep(0.02)

    def _is_there(self, path: str, digest: str) -> bool:
        path, _, version = path.partition("#")
        status, content = ask(self._fleet.port, "GET", path)
        if status != 200:
            return False
        if not version:
            return hashlib.sha256(content).hexdigest() == digest
        published = json.loads(content)["versions"].get(version)
        if published is None:
            return False
        tarball = ask(self._fleet.port, "GET", published["dist"]["tarball"].removeprefix(self._fleet.url))
        return tarball[0] == 200 and npm.integrity(tarball[1]) == published["dist"]["integrity"]
