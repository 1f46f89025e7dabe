"""Registries as operators run them: in processes of their own."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parent.parent.parent
TOKEN = "glpat-the-operators-own-token"
SECONDS = 30
END_OF_PAGE = "Stop it with Ctrl-C.\n"


def environment(**settings: str) -> dict[str, str]:
    """Ours without its settings, and the given ones: `data_dir` is REGISTRY_DATA_DIR, AWS_... stays as it is."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}
    return {**kept, "PYTHONWARNINGS": "error", **{f"REGISTRY_{name.upper()}": text for name, text in settings.items()}}


def registry(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    command = [sys.executable, "-m", "registry", *arguments]
    return subprocess.run(
        command,
        cwd=REPOSITORY,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@dataclass
class Serving:
    """A running `registry serve`."""

    process: subprocess.Popen[bytes]
    directory: Path

    @property
    def page(self) -> str:
        return (self.directory / "stdout").read_text()

    @property
    def logs(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.directory / "stderr").read_text().splitlines()]

    @property
    def port(self) -> int:
        found = re.search(r"answers at http://127\.0\.0\.1:(\d+)$", self.page, re.MULTILINE)
        assert found is not None, self.page
        return int(found[1])

    @property
    def token(self) -> str:
        found = re.search(r"export TOKEN=(glpat-\S+)", self.page)
        assert found is not None, self.page
        return found[1]

    def ask(self, method: str, path: str, body: Any = None, *, token: str = TOKEN) -> tuple[int, Any]:
        """One request on a connection of its own: the status, and the JSON or text of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        with contextlib.closing(connection):
            headers = {"PRIVATE-TOKEN": token, "Content-Type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            content = answer.read()
            is_json = answer.headers.get_content_type() == "application/json"
            return answer.status, json.loads(content) if is_json else content.decode()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait; answers the exit code."""
        self.process.send_signal(number)
        return self.process.wait(SECONDS)


@contextlib.contextmanager
def serving(directory: Path, *arguments: str, wait: bool = True, **settings: str) -> Iterator[Serving]:
    """A `registry serve`, on a free port unless told, killed at the end of the block if it still runs."""
    command = [sys.executable, "-m", "registry", "serve", *arguments]
    directory.mkdir(exist_ok=True)
    with (directory / "stdout").open("wb") as stdout, (directory / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            command, cwd=REPOSITORY, env=environment(**{"port": "0", **settings}), stdout=stdout, stderr=stderr
        )
    running = Serving(process, directory)
    try:
        if wait:
            until(lambda: running.page.endswith(END_OF_PAGE) or process.poll() is not None)
            assert process.poll() is None, (directory / "stderr").read_text()
        yield running
    finally:
        process.kill()
        process.wait(SECONDS)


def until(happened: Any, seconds: float = SECONDS) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def form(file_name: str, content: bytes, **fields: str) -> tuple[dict[str, str], bytes]:
    """What twine sends: headers and body."""
    parts = {":action": "file_upload", **fields}
    body = b"".join(
        f'--frontier\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in parts.items()
    )
    head = f'--frontier\r\nContent-Disposition: form-data; name="content"; filename="{file_name}"\r\n\r\n'
    body += head.encode() + content + b"\r\n--frontier--\r\n"
    return {"Content-Type": "multipart/form-data; boundary=frontier", "Content-Length": str(len(body))}, body


class SlowUpload:
    """An upload that stops halfway until it is told to go on."""

    def __init__(
        self, server: Serving, project: int, content: bytes, *, version: str = "1.0", token: str = TOKEN
    ) -> None:
        headers, body = form(f"demo-{version}.tar.gz", content, name="demo", version=version)
        lines = [f"POST /api/v4/projects/{project}/packages/pypi HTTP/1.1", "Host: x", f"PRIVATE-TOKEN: {token}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._socket = server.connect()
        self._rest = body[len(body) // 2 :]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode() + body[: len(body) // 2])

    def finish(self) -> tuple[int, dict[str, str]]:
        """Send the rest; answers status and headers."""
        with contextlib.closing(self._socket):
            self._socket.sendall(self._rest)
            answer = http.client.HTTPResponse(self._socket)
            answer.begin()
            answer.read()
            return answer.status, dict(answer.headers)

    def go_away(self) -> None:
        """Hang up."""
        self._socket.close()

    def is_cut_off(self) -> bool:
        """Whether the server gave up on it."""
        with contextlib.closing(self._socket):
            try:
                return self._socket.recv(1) == b""
            except ConnectionError:
                return True
