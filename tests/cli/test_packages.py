"""`registry package`: what operators do to names and their files without curl."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from registry import catalog
from registry.catalog import Publication
from registry.db import namespaces
from registry.db.connection import open_database
from registry.model import Blob, Digests
from tests.cli.conftest import Run
from tests.people import OPERATOR

FILES = ("demo-1.0.tar.gz", "demo-1.0-py3-none-any.whl")


def said(run: Run, *arguments: str) -> Any:
    ran = run("package", *arguments, "--json")
    assert (0, "") == (ran.code, ran.stderr)
    return json.loads(ran.stdout)


def name(yanked: dict[str, str | None], *, status: str = "active", reason: str | None = None) -> Any:
    files = [
        {
            "file_name": file_name,
            "version": "1.0",
            "yanked": file_name in yanked,
            "yanked_reason": yanked.get(file_name),
        }
        for file_name in FILES
    ]
    return {"name": "my-demo", "status": status, "status_reason": reason, "files": files}


@pytest.fixture
def home(run: Run, database_url: str) -> str:
    """A project with one version of `My.Demo`, of two files."""
    assert 0 == run("group", "create", "acme").code
    assert 0 == run("project", "create", "acme/widgets").code
    asyncio.run(_publish(database_url))
    return "acme/widgets"


async def _publish(database_url: str) -> None:
    db = await open_database(database_url, pool_size=1)
    project = await namespaces.find_project(db, 1)
    assert project is not None
    for number, file_name in enumerate(FILES, 1):
        sha256 = f"{number:064x}"
        made = "INSERT INTO blobs (key, state, size, sha256) VALUES ($1, 'open', 1, $2) RETURNING id"
        blob = Blob(await db.fetchval(made, f"a{number}", sha256), f"a{number}", 1, Digests(sha256))
        await catalog.publish(
            db,
            OPERATOR,
            project,
            Publication(
                package_type="pypi",
                name="My.Demo",
                normalized_name="my-demo",
                version="1.0",
                file_name=file_name,
                blob=blob,
                one_file=False,
            ),
        )
    await db.close()


def test_a_release_and_a_file_are_yanked_and_taken_back(run: Run, home: str) -> None:
    assert name(dict.fromkeys(FILES, "bad")) == said(run, "yank", home, "my_demo", "1.0.0", "--reason", "bad")
    assert name({FILES[1]: "bad"}) == said(run, "unyank", home, "My.Demo", "1.0", "--file", FILES[0])
    assert name({}) == said(run, "unyank", home, "my-demo", "1")
    assert name({FILES[1]: None}) == said(run, "yank", home, "my-demo", "1.0", "--file", FILES[1])


def test_a_name_gets_a_status_and_a_reason(run: Run, home: str) -> None:
    assert name({}, status="archived", reason="done") == said(
        run, "status", home, "My.Demo", "archived", "--reason", "done"
    )
    assert name({}, status="archived", reason="done") == said(run, "show", home, "my.demo")
    assert name({}) == said(run, "status", home, "my-demo", "active")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("yank", "acme/none", "my-demo", "1.0"), "there is no project 'acme/none'"),
        (("yank", "acme/widgets", "none", "1.0"), "404 Package Not Found"),
        (("yank", "acme/widgets", "my-demo", "2.0"), "404 Package Not Found"),
        (("yank", "acme/widgets", "my-demo", "1.0", "--file", "x"), "404 Package Not Found"),
        (("show", "acme/widgets", "none"), "404 Package Not Found"),
        (("status", "acme/widgets", "none", "archived"), "404 Package Not Found"),
        (
            ("status", "acme/widgets", "my-demo", "archived", "--reason", "\x1b"),
            "reason has characters that cannot be printed",
        ),
    ],
)
def test_what_cannot_be_done_is_said(run: Run, home: str, arguments: tuple[str, ...], text: str) -> None:
    ran = run("package", *arguments)

    assert (1, "", f"registry: {text}\n") == (ran.code, ran.stdout, ran.stderr)
