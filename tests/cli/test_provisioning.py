"""Provisioning: what operators do without curl, each with its effect on the running kernel."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.conftest import Ran, Run


def made(run: Run, *arguments: str) -> Any:
    """Run a command that must work; its JSON."""
    ran = run(*arguments, "--json")
    assert (0, "") == (ran.code, ran.stderr)
    return json.loads(ran.stdout)


def refused(run: Run, *arguments: str) -> str:
    ran = run(*arguments)
    assert (1, "") == (ran.code, ran.stdout)
    return ran.stderr.removeprefix("registry: ").removesuffix("\n")


@pytest.fixture
def home(run: Run) -> str:
    """A group with a project and a user."""
    made(run, "group", "create", "acme")
    made(run, "project", "create", "acme/widgets")
    made(run, "user", "create", "ada")
    return "acme/widgets"


def test_users_are_made_listed_blocked_and_unblocked(run: Run) -> None:
    ada = {"id": 1, "username": "ada", "name": "Ada", "email": "ada@example.com", "admin": True, "state": "active"}
    assert ada == made(run, "user", "create", "ada", "--name", "Ada", "--email", "ada@example.com", "--admin")
    bob = made(run, "user", "create", "bob")
    assert {**ada, "id": 2, "username": "bob", "name": "bob", "email": "bob@localhost", "admin": False} == bob
    assert [bob, ada] == sorted(made(run, "user", "list"), key=lambda user: -user["id"])
    assert [bob] == made(run, "user", "list", "--search", "bo")
    assert {**bob, "state": "blocked"} == made(run, "user", "block", "bob")
    assert bob == made(run, "user", "unblock", "bob")
    assert "Username has already been taken" == refused(run, "user", "create", "ADA", "--email", "x@y")
    assert "there is no user 'eve'" == refused(run, "user", "block", "eve")


def test_groups_and_projects_are_made_listed_and_deleted(run: Run) -> None:
    acme = {"id": 1, "path": "acme", "name": "Acme", "visibility": "public"}
    assert acme == made(run, "group", "create", "acme", "--name", "Acme", "--visibility", "public")
    tools = made(run, "group", "create", "acme/tools")
    assert {"id": 2, "path": "acme/tools", "name": "tools", "visibility": "private"} == tools
    widgets = made(run, "project", "create", "acme/tools/widgets", "--packages", "public")
    assert {
        "id": 1,
        "path": "acme/tools/widgets",
        "name": "widgets",
        "visibility": "private",
        "packages": "public",
    } == widgets
    made(run, "user", "create", "ada")
    private = made(run, "project", "create", "ada/notes")
    assert [1, 2] == sorted(group["id"] for group in made(run, "group", "list"))
    assert [widgets] == made(run, "project", "list", "--group", "acme")
    assert [private] == made(run, "project", "list", "--search", "ada/")
    assert made(run, "project", "delete", "acme/tools/widgets") is None
    assert made(run, "group", "delete", "acme") is None
    assert [] == made(run, "group", "list")
    assert [private] == made(run, "project", "list")
    assert "path has already been taken" == refused(run, "group", "create", "ada")
    assert "there is no group 'acme'" == refused(run, "project", "create", "acme/x")
    assert "there is no project 'ada'" == refused(run, "project", "delete", "ada")
    assert "'ada' is the personal namespace of a user, not a group" == refused(run, "group", "delete", "ada")
    assert "'x' names no group: a full path is GROUP/PROJECT" == refused(run, "project", "create", "x")


def test_tokens_are_shown_once_listed_and_revoked(run: Run, home: str) -> None:
    token = made(run, "token", "create", "--user", "ada", "--name", "ci", "--scope", "api", "--expires", "2099-01-01")
    text = token.pop("token")
    assert text.startswith("glpat-")
    assert {"id": 1, "name": "ci", "scopes": ["api"], "expires_at": "2099-01-01"} == token
    assert [{**token, "last_used_at": None, "active": True}] == made(run, "token", "list", "--user", "ada")
    quiet = run("token", "create", "--user", "ada", "--name", "x", "--scope", "read_api", "read_user", "--quiet")
    assert (0, True) == (quiet.code, quiet.stdout.startswith("glpat-"))
    assert [["api"], ["read_api", "read_user"]] == [
        one["scopes"] for one in made(run, "token", "list", "--user", "ada")
    ]
    assert made(run, "token", "revoke", "1") is None
    assert [False, True] == [one["active"] for one in made(run, "token", "list", "--user", "ada")]
    assert text not in run("token", "list", "--user", "ada").stdout


def test_deploy_tokens_belong_to_a_project_or_a_group(run: Run, home: str) -> None:
    at = ("--project", home)
    scopes = ("--scope", "read_package_registry", "--scope", "write_package_registry")
    token = made(run, "deploy-token", "create", *at, "--name", "ci", *scopes, "--expires", "2099-01-01")
    assert token.pop("token").startswith("gldt-")
    assert {
        "id": 1,
        "name": "ci",
        "username": "gitlab+deploy-token-1",
        "scopes": ["read_package_registry", "write_package_registry"],
        "expires_at": "2099-01-01T00:00:00Z",
    } == token
    made(run, "deploy-token", "create", "--group", "acme", "--name", "all", *scopes, "--username", "robot")
    assert [{**token, "active": True}] == made(run, "deploy-token", "list", *at)
    assert ["robot"] == [one["username"] for one in made(run, "deploy-token", "list", "--group", "acme")]
    assert "404 Deploy Token Not Found" == refused(run, "deploy-token", "revoke", *at, "2")
    assert made(run, "deploy-token", "revoke", *at, "1") is None
    assert [False] == [one["active"] for one in made(run, "deploy-token", "list", *at)]


def test_members_are_added_listed_and_removed(run: Run, home: str) -> None:
    one = {"username": "ada", "level": "developer", "expires_at": None}
    for at in (("--project", home), ("--group", "acme")):
        assert one == made(run, "member", "add", *at, "--user", "ada", "--level", "developer")
        assert [one] == made(run, "member", "list", *at)
        assert "Member already exists" == refused(run, "member", "add", *at, "--user", "ada", "--level", "owner")
        assert made(run, "member", "remove", *at, "--user", "ada") is None
        assert [] == made(run, "member", "list", *at)


def test_settings_of_the_instance_are_those_of_the_api(run: Run) -> None:
    before = made(run, "settings", "get")
    assert {"pypi_validation": "basic", "npm_max_file_size": 524_288_000}.items() <= before.items()
    changed = made(run, "settings", "set", "pypi_validation=strict", "npm_max_file_size=1000")
    assert {"pypi_validation": "strict", "npm_max_file_size": 1000} == changed
    assert {**before, **changed} == made(run, "settings", "get")
    assert {"pypi_validation": "strict"} == made(run, "settings", "get", "pypi_validation")
    made(run, "settings", "set", "pypi_validation=", "npm_max_file_size=")
    assert before == made(run, "settings", "get")
    assert "pypi_validation does not have a valid value" == refused(run, "settings", "set", "pypi_validation=lax")
    assert "'x=1' sets nothing: NAME=VALUE, where NAME is one of " in refused(run, "settings", "set", "x=1")


def test_people_get_lines_and_tables(run: Run) -> None:
    created = run("user", "create", "ada", "--name", "A\x1b[2Ja")
    assert Ran(1, "", "registry: name holds control characters\n") == created
    assert [
        "id: 1",
        "username: ada",
        "name: ada",
        "email: ada@localhost",
        "admin: no",
        "state: active",
    ] == run("user", "create", "ada").lines
    run("user", "create", "bobby-tables", "--admin")
    assert [
        "id  username      name          email                   admin  state",
        "1   ada           ada           ada@localhost           no     active",
        "2   bobby-tables  bobby-tables  bobby-tables@localhost  yes    active",
    ] == sorted(run("user", "list").lines, key=lambda line: (line[0] != "i", line))
    assert Ran(0, "", "") == run("group", "list")


def test_every_change_is_audited_as_the_operators(run: Run, home: str, database_url: str) -> None:
    import asyncio

    import asyncpg

    async def authors() -> list[tuple[str, str]]:
        connection = await asyncpg.connect(database_url)
        rows = await connection.fetch("SELECT author_kind, event_name FROM audit_events ORDER BY id")
        await connection.close()
        return [tuple(row) for row in rows]

    assert [("system", "group_created"), ("system", "project_created"), ("system", "user_created")] == asyncio.run(
        authors()
    )


def test_mounts_are_made_listed_and_ended(run: Run, home: str) -> None:
    host = {"id": 1, "url": "https://pypi.example.test", "type": "pypi", "path": home}
    assert host == made(run, "mount", "create", "https://pypi.example.test/", "--project", home, "--type", "pypi")
    path = {"id": 2, "url": "/acme", "type": None, "path": "acme"}
    assert path == made(run, "mount", "create", "/acme", "--group", "acme")
    assert "url has already been taken" == refused(run, "mount", "create", "/acme/", "--project", home)
    assert [path, host] == made(run, "mount", "list")
    assert None is made(run, "mount", "delete", "1")
    assert [path] == made(run, "mount", "list")
    assert "404 Mount Not Found" == refused(run, "mount", "delete", "1")
