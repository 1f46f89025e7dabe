"""`registry serve` as a process: it starts, serves, stops when told, and loses nothing when it is killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import asyncpg
import pytest

from registry.db.migrate import available, migrate
from registry.embedded import EmbeddedPostgres
from registry.errors import Unavailable
from tests.cli.conftest import Ran, Run
from tests.cli.processes import (
    END_OF_PAGE,
    REPOSITORY,
    TOKEN,
    Serving,
    SlowUpload,
    environment,
    registry,
    serving,
    until,
)

# Half of it is more than what is kept in memory before the first byte goes to the disk.
CONTENT = b"0123456789" * 400_000
KNOWN = len(available())


def external(database_url: str, place: Path) -> dict[str, str]:
    """Settings of a server with a database of its own outside, and local objects."""
    return {"database_url": database_url, "data_dir": str(place / "data"), "root_token": TOKEN}


def incoming(place: Path) -> list[str]:
    """The unfinished files of a local store."""
    directory = place / "data/objects/.incoming"
    return sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []


def make_project(server: Serving, token: str = TOKEN) -> int:
    status, project = server.ask("POST", "/api/v4/projects", {"name": "demo"}, token=token)
    assert 201 == status, project
    return int(project["id"])


def download(server: Serving, project: int, version: str = "1.0", token: str = TOKEN) -> int:
    return server.ask("GET", f"/api/v4/projects/{project}/packages/pypi/simple/demo/", token=token)[0]


def test_a_laptop_registry_survives_kill_and_keeps_its_data(place: Path) -> None:
    settings = {"data_dir": str(place / "data")}
    with serving(place / "first", **settings) as first:
        token = first.token
        assert (200, {"status": "ok"}) == first.ask("GET", "/-/readiness")
        project = make_project(first, token)
        assert 201 == SlowUpload(first, project, CONTENT, token=token).finish()[0]
        first.process.kill()
        first.process.wait()

    with serving(place / "second", **settings) as second:
        # The token is shown once, and still good.
        assert token not in second.page
        assert "registry token create --user root" in second.page
        assert 200 == download(second, project, token=token)
        # A command finds the running server's database.
        made = registry("token", "create", "--user", "root", "--name", "n", "--scope", "api", "--quiet", **settings)
        assert (0, "") == (made.returncode, made.stderr)
        assert 200 == second.ask("GET", "/api/v4/user", token=made.stdout.strip())[0]
        assert 0 == second.stop(signal.SIGINT)


def test_an_upload_under_way_is_finished_before_the_end(place: Path, database_url: str) -> None:
    with serving(place, **external(database_url, place)) as server:
        project = make_project(server)
        with server.connect() as idle:
            idle.sendall(b"GET /-/readiness HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200" in idle.recv(1000)
            upload = SlowUpload(server, project, CONTENT)
            until(lambda: incoming(place))
            server.process.terminate()
            # What is idle is closed at once, and nothing new is taken.
            assert b"" == idle.recv(1)
        until(lambda: not accepts(server.port))

        status, headers = upload.finish()

        assert (201, "close") == (status, headers["Connection"])
        assert 0 == server.process.wait(10)
    with serving(place, **external(database_url, place)) as server:
        assert 200 == download(server, project)


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionError:
        return False
    return True


def test_an_upload_that_takes_too_long_is_cut_off(place: Path, database_url: str) -> None:
    with serving(place, **external(database_url, place), shutdown_upload_seconds="1") as server:
        upload = SlowUpload(server, make_project(server), CONTENT)
        until(lambda: incoming(place))
        started = time.monotonic()
        assert 0 == server.stop()
        assert time.monotonic() - started < 8
        assert upload.is_cut_off()
        assert "1 connections are cut off after 1 s" in [line["message"] for line in server.logs]
        # What was stored of it is gone.
        assert [] == incoming(place)


def test_a_client_that_goes_away_leaves_nothing_behind_not_even_in_the_logs(place: Path, database_url: str) -> None:
    with serving(place, **external(database_url, place)) as server:
        upload = SlowUpload(server, make_project(server), CONTENT)
        until(lambda: incoming(place))
        upload.go_away()
        until(lambda: not incoming(place))
        assert 0 == server.stop()
        assert ["Stopping: reads under way have 30 s, uploads 300 s"] == [line["message"] for line in server.logs]


def test_a_second_signal_ends_it_at_once(place: Path, database_url: str) -> None:
    with serving(place, **external(database_url, place)) as server:
        upload = SlowUpload(server, make_project(server), CONTENT)
        until(lambda: incoming(place))
        server.process.terminate()
        until(lambda: not accepts(server.port))
        assert -signal.SIGTERM == server.stop()
        assert upload.is_cut_off()


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def workers(server: Serving) -> list[int]:
    return [
        child
        for child in children(server.process.pid)
        if b"worker" in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
    ]


def test_workers_share_the_port_and_are_replaced(place: Path, database_url: str) -> None:
    settings = external(database_url, place)
    with serving(place, "--workers", "2", **settings) as server:
        project = make_project(server)
        first = workers(server)
        assert 2 == len(first)
        assert [True, True] == [listens(pid, server.port) for pid in first]
        assert 201 == SlowUpload(server, project, CONTENT).finish()[0]
        assert {200} == {download(server, project) for _ in range(20)}

        told = urllib.request.urlopen(f"http://127.0.0.1:{server.port}/-/metrics", timeout=10).read().decode()
        assert [True, True] == [f'registry_loop_lag_seconds{{worker="{n}"}}' in told for n in (1, 2)]

        os.kill(first[0], signal.SIGKILL)
        until(lambda: first[0] not in workers(server))
        until(lambda: len(workers(server)) == 2 and all(listens(pid, server.port) for pid in workers(server)))
        assert 1 == len(set(first) & set(workers(server)))
        assert {200} == {download(server, project) for _ in range(20)}

        upload = SlowUpload(server, project, CONTENT, version="2.0")
        until(lambda: incoming(place))
        server.process.terminate()
        until(lambda: not accepts(server.port))
        assert 201 == upload.finish()[0]
        assert 0 == server.process.wait(10)


def listens(pid: int, port: int) -> bool:
    """Whether a process has a listening socket on a port."""
    listening = {
        line.split()[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and int(line.split()[1].rpartition(":")[2], 16) == port
    }
    held = set()
    for descriptor in list(Path(f"/proc/{pid}/fd").iterdir()):
        with contextlib.suppress(FileNotFoundError):
            held.add(str(descriptor.readlink()))
    return any(f"socket:[{inode}]" in held for inode in listening)


def test_workers_die_with_their_parent(place: Path, shared_place: Path) -> None:
    settings = {"data_dir": str(shared_place), "root_token": TOKEN}
    with serving(place, "--workers", "2", **settings) as server:
        processes = children(server.process.pid)
        assert 3 == len(processes)
        server.process.kill()
        server.process.wait()
        until(lambda: not [pid for pid in processes if Path(f"/proc/{pid}").exists()])


def test_it_stops_when_its_postgres_is_gone(place: Path, shared_place: Path) -> None:
    with serving(place, data_dir=str(shared_place)) as server:
        (postgres,) = [
            pid for pid in children(server.process.pid) if b"postgres" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        os.kill(postgres, signal.SIGQUIT)
        assert 1 == server.process.wait(20)


def test_a_taken_port_is_told_before_anything_else_happens(run: Run, unused_tcp_port: int) -> None:
    for shared in (False, True):
        with socket.socket() as other:
            if shared:
                other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            other.bind(("127.0.0.1", unused_tcp_port))
            other.listen()
            for arguments in (["serve"], ["serve", "--workers", "2"]):
                ran = run(*arguments, "--port", str(unused_tcp_port))
                message = f"registry: cannot listen on 127.0.0.1:{unused_tcp_port}: Address already in use\n"
                assert Ran(1, "", message) == ran


def test_a_root_token_made_for_a_start_that_fails_is_not_lost(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def serve(*_: object, **__: object) -> None:
        raise Unavailable("it is just not the day")

    monkeypatch.setattr("registry.cli.worker.serve", serve)
    first, second = run("serve", port="0"), run("serve", port="0")
    assert (1, "registry: it is just not the day\n") == (first.code, first.stderr)
    assert re.fullmatch(r"The token .*, shown this once:\n\n  export TOKEN=glpat-\S+\n", first.stdout)
    assert Ran(1, "", first.stderr) == second


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prot": "80"}, "REGISTRY_PROT is not a setting; did you mean REGISTRY_PORT?\n"),
        ({"port": "http"}, "REGISTRY_PORT: Input should be a valid integer"),
        ({"storage_url": "s3://"}, "'' is not a bucket name: s3://bucket/prefix\n"),
        ({"storage_url": "s3://bucket/"}, "no AWS credentials found"),
        ({"downloads": "redirect"}, "REGISTRY_DOWNLOADS=redirect needs a store with URLs on another host name"),
        ({"failpoint": "nowhere:kill"}, "REGISTRY_FAILPOINT: 'nowhere:kill' is no failpoint"),
        ({"database_url": "mysql://x"}, "REGISTRY_DATABASE_URL is no URL of a Postgres database\n"),
        ({"database_url": "", "workers": "64"}, "64 workers with 10 connections each are more than the embedded"),
    ],
)
def test_settings_that_cannot_work_are_refused_in_one_line(
    run: Run, settings: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))

    ran = run("serve", **{"port": "0", **settings})

    assert (2, "", 1) == (ran.code, ran.stdout, ran.stderr.count("\n"))
    assert ran.stderr.startswith(f"registry: {message}")


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            "DROP TABLE schema_migrations",
            f"the database has schema 0, this release needs {KNOWN}: run `registry migrate`",
        ),
        (
            f"INSERT INTO schema_migrations VALUES ({KNOWN + 1}, '{KNOWN + 1:04}_contract_names')",
            f"the database has schema {KNOWN + 1}, which is too new for this release (it knows {KNOWN}): run a newer",
        ),
    ],
)
async def test_a_schema_that_does_not_fit_is_refused(
    run: Run, database_url: str, statement: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.cli.serve.POSTGRES_SECONDS", 0.0)
    await execute(database_url, statement)
    for command in (["serve"], ["gc"], ["user", "list"]):
        ran = await asyncio.to_thread(run, *command, port="0")
        assert (2, "") == (ran.code, ran.stdout)
        assert ran.stderr.startswith(f"registry: {message}")


async def execute(database_url: str, statement: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(statement)
    await connection.close()


def test_an_absent_database_is_told(run: Run, postgres: EmbeddedPostgres) -> None:
    ran = run("serve", port="0", database_url=postgres.url_for("absent_one"))
    assert (2, "") == (ran.code, ran.stdout)
    assert ran.stderr.startswith('registry: Postgres refuses REGISTRY_DATABASE_URL: database "absent_')


def test_a_database_that_is_away_is_waited_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registry.cli.serve.POSTGRES_SECONDS", 1.5)
    ran = run("serve", port="0", database_url="postgresql://registry:hunter2@127.0.0.1:1/registry")
    assert (1, "") == (ran.code, ran.stdout)
    warning, last = ran.stderr.splitlines()
    assert "Postgres does not answer yet, waiting for it up to 2 s" == json.loads(warning)["message"]
    assert last.startswith("registry: Postgres does not answer: ")
    assert "hunter2" not in ran.stderr


async def test_a_newer_schema_that_only_adds_fits(run: Run, database_url: str) -> None:
    await execute(database_url, f"INSERT INTO schema_migrations VALUES ({KNOWN + 1}, '{KNOWN + 1:04}_more')")
    assert Ran(0, "", "") == await asyncio.to_thread(run, "gc")


async def test_a_release_newer_than_the_schema_waits_until_it_is_migrated(place: Path, database_url: str) -> None:
    await execute(database_url, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    with serving(place, wait=False, **external(database_url, place)) as server:
        await asyncio.to_thread(until, lambda: server.logs)
        assert server.logs[0]["message"].startswith("Waiting up to 60 s: the database has schema 0")
        assert "" == server.page
        await migrate(database_url)
        await asyncio.to_thread(until, lambda: server.page.endswith(END_OF_PAGE))
        assert (200, {"status": "ok"}) == await asyncio.to_thread(server.ask, "GET", "/-/readiness")


def test_it_refuses_aiohttp_without_its_compiled_parts(place: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "registry", "serve"],
        cwd=REPOSITORY,
        env=environment(data_dir=str(place)) | {"AIOHTTP_NO_EXTENSIONS": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (2, "") == (found.returncode, found.stdout)
    assert found.stderr.startswith("registry: aiohttp's compiled parts are missing: install a wheel")
