"""A client: one request at a time, each to a replica of its choice, each an operation of the history."""

from __future__ import annotations

import asyncio
import base64
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
from multidict import CIMultiDictProxy
from yarl import URL

from tests.cli.processes import TOKEN
from tests.histories.cluster import Replica
from tests.histories.history import Operation, Recorder

# Longer than a replica waits for a lock, for a connection or for Postgres.
SECONDS = 20.0
# What a client waits before its next request when it was told to come back or nobody answered.
PAUSE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


class Client:
    """Asks, and records. `chance` makes all its choices."""

    def __init__(
        self,
        name: str,
        session: aiohttp.ClientSession,
        replicas: Sequence[Replica],
        recorder: Recorder,
        chance: random.Random,
    ) -> None:
        self.chance = chance
        self.recorder = recorder
        self._name = name
        self._session = session
        self._replicas = replicas

    async def write(
        self,
        operation: Operation,
        method: str,
        path: str,
        *,
        learn: Callable[[Answer], None] | None = None,
        **request: Any,
    ) -> None:
        """Ask as root for what `operation.writes`, and record what became of it.

        `learn` is shown what was acknowledged, before it is recorded.
        """
        headers = credentials(TOKEN) | request.pop("headers", {})
        answer = await self.ask(operation, method, path, headers=headers, **request)
        if answer is not None and answer.status < 500:
            operation.outcome = "ok" if answer.status < 300 else "refused"
        if answer is not None and operation.outcome == "ok" and learn is not None:
            learn(answer)
        self.recorder.add(operation)

    def serving(self) -> list[Replica]:
        """The replicas that are there."""
        return [one for one in self._replicas if one.port is not None]

    async def find(self, path: str) -> Any:
        """What root is told, outside the history; None when it is not 200."""
        answer = await self.ask(Operation("find"), "GET", path, headers=credentials(TOKEN))
        return answer.json if answer is not None and answer.status == 200 else None

    async def ask(
        self,
        operation: Operation,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        data: Any = None,
        json: Any = None,
        replica: Replica | None = None,
    ) -> Answer | None:
        """One request, timed; None when there was no answer, or one that promises nothing: 502, 503, 504."""
        port = None
        while port is None:
            chosen = replica or self.chance.choice(self._replicas)
            port = chosen.port
            if port is None:
                await asyncio.sleep(PAUSE_SECONDS)
        operation.client, operation.replica = self._name, chosen.name
        operation.start = time.monotonic()
        try:
            async with self._session.request(
                method,
                URL(f"http://127.0.0.1:{port}{path}", encoded=True),
                headers=headers,
                data=data,
                json=json,
                allow_redirects=False,
            ) as response:
                answer = Answer(response.status, response.headers, await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError):
            await asyncio.sleep(PAUSE_SECONDS)
            return None
        operation.end = time.monotonic()
        operation.status = answer.status
        if answer.status in {502, 503, 504}:
            await asyncio.sleep(PAUSE_SECONDS)
            return None
        if answer.status >= 500:
            operation.outcome = "broken"
        return answer


def open_session() -> aiohttp.ClientSession:
    """Connections for many clients. A request is sent once: repeated behind our back it would hide its outcome."""
    connector = aiohttp.TCPConnector(limit=0)
    session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=SECONDS))
    session._retry_connection = False
    return session


def credentials(token: str | None, form: str = "private") -> dict[str, str]:
    """A token in one of the forms that clients send it in: `private`, `bearer`, `basic`."""
    if token is None:
        return {}
    if form == "private":
        return {"PRIVATE-TOKEN": token}
    if form == "bearer":
        return {"Authorization": f"Bearer {token}"}
    return {"Authorization": "Basic " + base64.b64encode(f"anybody:{token}".encode()).decode()}
