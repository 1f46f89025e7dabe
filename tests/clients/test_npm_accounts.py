"""Signing in, tokens, owners, access, stars and audits, with the clients that have the commands."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from registry import advisories, osv
from registry.access import AccessLevel
from registry.model import Project
from tests.clients.npm import INSTALL, configure, done, registry_url, start, write_application
from tests.clients.process import Client, environment
from tests.formats.npm.pages import confirm_sign_in
from tests.formats.npm.transcripts import path, publish, set_settings, username
from tests.people import OPERATOR, People, Person

pytestmark = pytest.mark.client

FindClient = Callable[[str], Client]
NPM = ("npm-11", "npm-12")
WIDGET, GADGET = "@acme/widget", "gadget"
STALE = "glpat-this-token-was-good-long-ago"


class Shell:
    """One client in one directory with its home, as one person."""

    def __init__(self, client: Client, cwd: Path, home: Path) -> None:
        self.client, self.cwd, self.home = client, cwd, home

    async def __call__(self, *arguments: str) -> str:
        return await done(self.client, *arguments, cwd=self.cwd, home=self.home)

    async def fails(self, *arguments: str) -> str:
        result = await start(self.client, *arguments, cwd=self.cwd, home=self.home)
        assert 0 != result.code, result.text
        return result.text

    @contextlib.asynccontextmanager
    async def running(self, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """A client that waits for something to happen; ended when the test is done with it."""
        process = await asyncio.create_subprocess_exec(
            *self.client.command, *arguments, cwd=self.cwd, env=environment(self.client, self.home),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


@pytest.fixture
async def project(people: People) -> Project:
    await set_settings(people, None, npm_package_requests_forwarding=False)
    project = await people.project(await people.group("acme"))
    await publish(people.root, project, WIDGET, "1.0.0")
    await publish(people.root, project, GADGET, "1.0.0")
    return project


@pytest.fixture
async def owner(people: People, project: Project) -> Person:
    return await people.member(project, AccessLevel.OWNER)


@pytest.fixture
async def shell(
    people: People, project: Project, owner: Person, find_client: FindClient, home: Path, tmp_path: Path, name: str
) -> Shell:
    directory = write_application(tmp_path / "application", {WIDGET: "1.0.0", GADGET: "1.0.0"})
    client = find_client(name)
    configure(client, people, directory, project, owner)
    return Shell(client, directory, home)


async def said(process: asyncio.subprocess.Process, pattern: str) -> str:
    """The first match in what a client prints."""
    assert process.stdout is not None
    printed = ""
    while (found := re.search(pattern, printed)) is None:
        line = await asyncio.wait_for(process.stdout.readline(), 60)
        assert line, printed
        printed += line.decode()
    return found[0]


def forget_token(shell: Shell, url: str, token: str | None = None) -> None:
    """A client that is not signed in, or whose token is no longer good."""
    line = f"{url.removeprefix('http:')}:_authToken={token}\n" if token else ""
    (shell.cwd / ".npmrc").write_text(f"registry={url}\n{line}")


@pytest.mark.parametrize("name", NPM)
async def test_a_browser_lets_a_client_in_and_logout_ends_it(
    people: People, project: Project, owner: Person, shell: Shell, name: str
) -> None:
    forget_token(shell, registry_url(people, project), STALE)

    async with shell.running("login", "--auth-type=web") as process:
        url = await said(process, r"http://\S+/-/npm/v1/login/\S+")
        await confirm_sign_in(people, url, owner)
        assert process.stdout is not None
        printed = (await asyncio.wait_for(process.stdout.read(), 60)).decode()
        assert 0 == await process.wait(), printed
    home_settings = shell.home / ".npmrc"
    token = home_settings.read_text().rpartition("_authToken=")[2].strip()
    assert (True, True) == (token.startswith("glpat-"), token != owner.token)
    forget_token(shell, registry_url(people, project))
    assert await username(owner) in await shell("whoami")

    await shell("logout")

    # npm removes the file when nothing else is in it.
    assert not home_settings.exists()
    gone = await people.anonymous.get(path(project, "-/whoami"), headers={"Authorization": f"Bearer {token}"})
    assert 401 == gone.status
    assert 200 == (await owner.get(path(project, "-/whoami"))).status


@pytest.mark.parametrize("name", ["npm-11"])
async def test_a_name_and_a_token_sign_in_without_a_browser(
    people: People, project: Project, owner: Person, shell: Shell, name: str
) -> None:
    forget_token(shell, registry_url(people, project), STALE)

    async with shell.running("login", "--auth-type=legacy") as process:
        assert (process.stdin, process.stdout) != (None, None)
        await _answer(process, [await username(owner), owner.token or ""])
        printed = (await asyncio.wait_for(process.stdout.read(), 60)).decode()  # type: ignore[union-attr]
        assert 0 == await process.wait(), printed
    forget_token(shell, registry_url(people, project))
    assert await username(owner) in await shell("whoami")
    forget_token(shell, registry_url(people, project), owner.token)
    assert "not made by signing in" in await shell.fails("logout")


async def _answer(process: asyncio.subprocess.Process, answers: list[str]) -> None:
    """What a person types at each question, which ends without a new line."""
    assert process.stdin is not None
    assert process.stdout is not None
    for answer in answers:
        printed = b""
        while not printed.rstrip().endswith(b":"):
            chunk = await asyncio.wait_for(process.stdout.read(1024), 60)
            assert chunk, printed
            printed += chunk
        process.stdin.write(f"{answer}\n".encode())
        await process.stdin.drain()


@pytest.mark.parametrize("name", ["npm-12"])
async def test_tokens_are_made_with_limits_listed_and_revoked(
    people: People, project: Project, owner: Person, shell: Shell, name: str
) -> None:
    made = json.loads(
        await shell(
            "token", "create", "--json", "--password=none", "--name=reader", "--packages=gadget", "--expires=7",
            "--packages-and-scopes-permission=read-only", "--cidr=127.0.0.0/8",
        )
    )  # fmt: skip
    far = json.loads(await shell("token", "create", "--json", "--password=none", "--name=far", "--cidr=192.0.2.0/24"))
    reader = Person(people.client, headers={"Authorization": f"Bearer {made['token']}"})

    assert (True, ["127.0.0.0/8"]) == (made["readonly"], made["cidr_whitelist"])
    assert [200, 403, 200] == [
        (await reader.get(path(project, rest))).status for rest in ("gadget", "@acme%2fwidget", "-/whoami")
    ]
    refused = await reader.ask("PUT", path(project, "-/package/gadget/dist-tags/beta"), json="1.0.0")
    assert 403 == refused.status
    away = await people.anonymous.get(path(project, "gadget"), headers={"Authorization": f"Bearer {far['token']}"})
    text = "403 Forbidden - This token is not accepted from your address."
    assert (403, text) == (away.status, (await away.json())["error"])
    listed = json.loads(await shell("token", "list", "--json"))
    assert (["far", "reader", "test"], 1) == ([one["name"] for one in listed], len({one["token"] for one in listed}))

    await shell("token", "revoke", listed[1]["key"])

    assert 401 == (await reader.get(path(project, "gadget"))).status
    assert ["far", "test"] == [one["name"] for one in json.loads(await shell("token", "list", "--json"))]


@pytest.mark.parametrize("name", ["npm-12"])
async def test_a_profile_is_shown_and_not_changed(owner: Person, shell: Shell, name: str) -> None:
    shown = json.loads(await shell("profile", "get", "--json"))

    assert (await username(owner), False) == (shown["name"], shown["tfa"])
    assert "changed by an administrator" in await shell.fails("profile", "set", "fullname", "Ada")


@pytest.mark.parametrize("name", ["npm-12"])
async def test_owners_are_the_maintainers_of_the_project(
    people: People, project: Project, owner: Person, shell: Shell, name: str
) -> None:
    other = await people.user()
    mine, theirs = await username(owner), await username(other)

    assert [f"{mine} <>"] == (await shell("owner", "ls", WIDGET)).split("\n")[:1]
    assert f"+ {theirs}" in await shell("owner", "add", theirs, WIDGET)
    assert {mine, theirs} == set(re.findall(r"(\S+) <>", await shell("owner", "ls", GADGET)))
    assert 200 == (await other.get(path(project, GADGET))).status
    assert f"- {theirs}" in await shell("owner", "rm", theirs, WIDGET)
    assert 404 == (await other.get(path(project, GADGET))).status
    assert "User not found" in await shell.fails("owner", "add", "nobody", WIDGET)


@pytest.mark.parametrize("name", ["npm-12"])
async def test_access_follows_the_project(people: People, owner: Person, shell: Shell, name: str) -> None:
    mine = await username(owner)

    for arguments, expected in (
        (("packages",), {WIDGET: "read-write", GADGET: "read-write"}),
        (("packages", "@acme"), {WIDGET: "read-write"}),
        (("collaborators", WIDGET), {mine: "read-write"}),
    ):
        assert expected == json.loads(await shell("access", "list", *arguments, "--json"))
    assert "private" in await shell("access", "get", "status", WIDGET)
    await shell("access", "set", "status=private", WIDGET)
    for refused in (
        ("set", "status=public", WIDGET),
        ("set", "mfa=publish", WIDGET),
        ("grant", "read-only", "acme:team", WIDGET),
    ):
        assert "403 Forbidden" in await shell.fails("access", *refused)


@pytest.mark.parametrize("name", ["npm-11"])
async def test_stars_are_given_listed_and_taken_back(shell: Shell, name: str) -> None:
    await shell("star", WIDGET)
    await shell("star", GADGET)
    assert [WIDGET, GADGET] == (await shell("stars")).split()
    await shell("unstar", WIDGET)
    assert [GADGET] == (await shell("stars")).split()


AUDIT = {
    "npm-11": "audit --json",
    "npm-12": "audit --json",
    "pnpm": "audit --json",
    "yarn-berry": "npm audit --json",
    "bun": "audit --json",
}


def advisory(osv_id: str, name: str, fixed: str, **fields: Any) -> Mapping[str, Any]:
    """An OSV document about all versions before one."""
    events = [{"introduced": "0"}, {"fixed": fixed}]
    affected = [{"package": {"ecosystem": "npm", "name": name}, "ranges": [{"type": "SEMVER", "events": events}]}]
    now = datetime.now(UTC).isoformat()
    return {"id": osv_id, "modified": now, "summary": f"Trouble in {name}", "affected": affected, **fields}


@pytest.mark.parametrize("name", AUDIT)
async def test_an_audit_reports_the_advisories_that_were_loaded(people: People, shell: Shell, name: str) -> None:
    documents = [
        advisory("GHSA-aaaa-bbbb-cccc", GADGET, "1.0.1", database_specific={"severity": "CRITICAL"}),
        advisory("ACME-2026-1", WIDGET, "0.9.0"),
    ]
    await advisories.load(people.services.db, OPERATOR, map(osv.parse, documents), replace=False)
    await shell(*INSTALL[name])

    printed = await shell.fails(*AUDIT[name].split())

    assert (True, True, False) == ("Trouble in gadget" in printed, "critical" in printed, "Trouble in @acme" in printed)
