"""What clients send: the headers of pip, npm and pnpm, and one connection that sends them."""

from __future__ import annotations

import base64
import http.client
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.bench import seed


def basic(user: str, password: str) -> str:
    """Credentials as Basic authentication has them."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


BASIC = basic("__token__", seed.TOKEN)
BEARER = f"Bearer {seed.TOKEN}"
PIP = {
    "Accept": "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01",
    "Accept-Encoding": "gzip, deflate",
    "Authorization": BASIC,
    "Cache-Control": "max-age=0",
    "User-Agent": "pip/26.3",
}
# pip asks for files without an encoding.
PIP_FILE = {"Accept": "*/*", "Accept-Encoding": "identity", "Authorization": BASIC, "User-Agent": "pip/26.3"}
NPM = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "Authorization": BEARER,
    "User-Agent": "npm/11.21.2 node/v24.21.0 linux x64 workspaces/false",
}
PNPM = {**NPM, "Accept": "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*"}


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    milliseconds: float

    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


class Connection:
    """One kept connection; redirects are answers like others."""

    def __init__(self, port: int, *, seconds: float = 120) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)

    def ask(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None, *, status: int | None = 200
    ) -> Answer:
        """One request. Raises RuntimeError when the answer has another status; None means 200 or 201."""
        started = time.perf_counter()
        self._connection.request(method, path, body, dict(headers))
        with self._connection.getresponse() as response:
            content = response.read()
        elapsed = (time.perf_counter() - started) * 1000
        if response.status not in ({200, 201} if status is None else {status}):
            raise RuntimeError(f"{method} {path}: {response.status} {content[:300]!r}")
        return Answer(response.status, dict(response.headers.items()), content, elapsed)

    def get(self, path: str, headers: Mapping[str, str], *, status: int = 200) -> Answer:
        """GET."""
        return self.ask("GET", path, headers, status=status)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()
