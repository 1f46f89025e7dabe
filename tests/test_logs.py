"""Logs: one line per event, readable by machines, without anybody's secret."""

from __future__ import annotations

import base64
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from hypothesis import given
from hypothesis import strategies as st

from registry import app, logs
from registry.access import Ability, AccessLevel
from registry.api import API_FACE
from registry.logs import JsonFormatter, PlainFormatter, scrub
from registry.server.context import Context
from registry.server.routes import Route
from registry.services import Services
from tests.conftest import ProductionServer
from tests.people import People

SECRET = "glpat-Yy2vQ9sX7kT4wB8nZ1cD"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def captured() -> Iterator[io.StringIO]:
    """Everything this process logs at the talkative end, as `registry serve` would write it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure("debug", stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def record(message: str, *arguments: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("registry.test", logging.WARNING, __file__, 1, message, arguments, None)
    vars(made).update(extra)
    return made


def test_a_line_is_json_with_time_level_logger_message_and_fields(captured: io.StringIO) -> None:
    logging.getLogger("registry.test").warning("Served %d", 3, extra={"key": "ab/cd", "size": 7})
    (line,) = captured.getvalue().splitlines()
    found = json.loads(line)
    time = found.pop("time")
    assert ("T", "Z") == (time[10], time[-1])
    assert {
        "level": "warning",
        "logger": "registry.test",
        "message": "Served 3",
        "key": "ab/cd",
        "size": 7,
    } == found


def test_a_traceback_is_part_of_the_line(captured: io.StringIO) -> None:
    logging.getLogger("registry.test").error("It failed", exc_info=ValueError(f"no such token: {SECRET}"))
    (line,) = captured.getvalue().splitlines()
    assert json.loads(line)["exception"].endswith("ValueError: no such token: [removed]")


@given(st.text(), st.text())
def test_no_text_breaks_out_of_its_line(message: str, value: str) -> None:
    line = JsonFormatter().format(record("%s", message, field=value))
    assert set(json.loads(line)) == {"time", "level", "logger", "message", "field"}
    plain = PlainFormatter().format(record("%s", message, field=value))
    for text in (line, plain):
        assert [] == [character for character in text if ord(character) < 32 or 127 <= ord(character) < 160]


def test_a_person_at_a_terminal_gets_plain_lines() -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = Terminal()
    try:
        logs.configure("info", stream=stream)
        logging.getLogger("registry.test").warning("Served\x1b[2J %d", 3, extra={"key": "ab"})
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.captureWarnings(capture=False)
    assert "warning Served\\x1b[2J 3  key=ab\n" == stream.getvalue()[9:]


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (f"token {SECRET} was used", "token [removed] was used"),
        ("gldt-abcdefghij and gljt-1234.abc_def-9", "[removed] and [removed]"),
        ("Authorization: Basic cm9vdDpwYXNz", "Authorization: [removed]"),
        ("{'Authorization': 'Bearer abcdefgh'}", "{'Authorization': '[removed]'}"),
        ("b'PRIVATE-TOKEN: secret1234'", "b'PRIVATE-TOKEN: [removed]'"),
        ("GET /api/v4/projects?private_token=abc&page=2 failed", "GET /api/v4/projects?[removed] failed"),
        ("https://store.example/b/k?X-Amz-Signature=12ab", "https://store.example/b/k?[removed]"),
        ("postgresql://registry:hunter2@db:5432/registry", "postgresql://[removed]@db:5432/registry"),
        ("job_token=abc&x=1", "job_token=[removed]&x=1"),
        ("Location: https://example/x", "Location: [removed]"),
        ("is it there? perhaps/not", "is it there? perhaps/not"),
        ("3 of 4 uploads (75 %) at 12:30, 2 + 2 = 4", "3 of 4 uploads (75 %) at 12:30, 2 + 2 = 4"),
    ],
)
def test_secrets_are_taken_out_of_texts_and_the_rest_stays(text: str, clean: str) -> None:
    assert clean == scrub(text)


@pytest.mark.parametrize("name", ["authorization", "private_token", "PRIVATE-TOKEN", "location", "cookie", "password"])
def test_fields_for_secrets_are_left_out(name: str) -> None:
    line = json.loads(JsonFormatter().format(record("Hello", **{name: "anything", "kept": 1})))
    assert {"time", "level", "logger", "message", "kept"} == set(line)


def credentials(token: str) -> dict[str, dict[str, Any]]:
    """Every way to send a token, as options of a request."""
    basic = base64.b64encode(f"somebody:{token}".encode()).decode()
    return {
        "basic": {"headers": {"Authorization": f"Basic {basic}"}},
        "bearer": {"headers": {"Authorization": f"Bearer {token}"}},
        "scheme": {"headers": {"Authorization": f"Token {token}"}},
        "private": {"headers": {"PRIVATE-TOKEN": token}},
        "deploy": {"headers": {"Deploy-Token": token}},
        "job": {"headers": {"JOB-TOKEN": token}},
        "query": {"params": {"private_token": token}},
        "job query": {"params": {"job_token": token}},
        "cookie": {"headers": {"Cookie": f"_session={token}"}},
    }


async def fails(context: Context) -> Any:
    raise RuntimeError(f"failed on {context.request.rel_url} with {dict(context.request.headers)}")


async def test_no_request_leaves_a_secret_in_the_logs(
    captured: io.StringIO, services: Services, people: People
) -> None:
    project = await people.project()
    member = await people.member(project, AccessLevel.DEVELOPER)
    deploy = await people.deploy_token(project)
    tokens = [str(member.token), deploy.headers["Deploy-Token"], "glpat-nobody-has-this-token-0", "plain-old-password"]
    base = f"/api/v4/projects/{project.id}/packages"
    paths = [f"{base}/pypi/simple/demo", f"{base}/npm/@a%2fb", f"{base}/pypi/simple/%ff", "/nowhere", "/fails"]
    table = app.routes()
    table.add(tuple(Route(method, "/fails", fails, Ability.PUBLIC) for method in ("GET", "PUT")), API_FACE)

    statuses = set()
    async with TestClient(ProductionServer(app.make_app(services, table=table))) as client:
        for token in tokens:
            for options in credentials(token).values():
                for path in paths:
                    for method in ("GET", "PUT"):
                        response = await client.request(method, path, **options)
                        statuses.add(response.status)

    written = captured.getvalue()
    assert {401, 404, 500} <= statuses
    assert len(tokens) * len(credentials("")) * 2 == written.count('"exception"')
    for token in tokens:
        encoded = base64.b64encode(f"somebody:{token}".encode()).decode()
        assert [] == [line for line in written.splitlines() if token in line or encoded in line]
