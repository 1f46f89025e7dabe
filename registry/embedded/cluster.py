"""The cluster: PostgreSQL's data directory, its settings and its pid file."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from registry.embedded.programs import EmbeddedError, Programs, major_version

DATABASE = "registry"
PORT = 5432  # no more than a part of the socket's name
SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",  # they need /dev/shm, of which a container has 64 MB
    "timezone": "UTC",
    "log_timezone": "UTC",
    # An error goes to the client that made it. Were it repeated in the log, clients could fill the disk.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_checkpoints": "off",
}
UNSAFE_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def settings(*, unsafe_fast: bool) -> list[str]:
    """Our settings as arguments of `postgres`: there they apply to clusters made by older registries, too."""
    chosen = SETTINGS | UNSAFE_SETTINGS if unsafe_fast else SETTINGS
    return [word for name, value in chosen.items() for word in ("-c", f"{name}={value}")]


def prepare(home: Path, programs: Programs, *, unsafe_fast: bool) -> None:
    """Make `home`/cluster on first use, and check that the server can use it. Raises EmbeddedError when not."""
    if blocked := programs.blocked(programs.binaries / "postgres", home):
        raise EmbeddedError(
            f"PostgreSQL refuses to run as root, and the account {programs.account.name} that it runs as instead "
            f"may not enter {blocked}: run the registry as an ordinary user, keep the data or the binaries "
            f"elsewhere, or allow it with `chmod o+x {blocked}`"
        )
    cluster = home / "cluster"
    if not cluster.exists():
        _make(home, programs, unsafe_fast=unsafe_fast)
    _check_version(home, programs.binaries)
    if not (home / "password").exists():
        raise EmbeddedError(f"{home / 'password'} is missing, and nobody can log in without it: restore it")
    _forget_stale_pid(cluster)


def _make(home: Path, programs: Programs, *, unsafe_fast: bool) -> None:
    """Make the cluster, the role and the database, under another name: what was interrupted is never used."""
    fresh, password = home / "cluster.new", home / "password"
    if fresh.exists():
        shutil.rmtree(fresh)
    fresh.mkdir(mode=0o700)
    programs.give(fresh)
    secret = _write_password(password)
    programs.give(password)
    programs.run(
        "initdb",
        *("--pgdata", str(fresh), "--username", "postgres", "--pwfile", str(password), "--auth", "scram-sha-256"),
        *("--encoding", "UTF8", "--no-locale", "--data-checksums", *(["--no-sync"] if unsafe_fast else [])),
    )
    # The registry is not a superuser: no SQL of its can run programs or read files of this machine.
    programs.run(
        "postgres",
        *("--single", "-D", str(fresh), *settings(unsafe_fast=unsafe_fast), "-c", "exit_on_error=on", "postgres"),
        text=f"CREATE ROLE registry LOGIN CREATEDB PASSWORD '{secret}'\nCREATE DATABASE {DATABASE} OWNER registry\n",
    )
    fresh.rename(home / "cluster")
    directory = os.open(home, os.O_RDONLY)
    os.fsync(directory)  # makes the two new names durable
    os.close(directory)


def _write_password(path: Path) -> str:
    """Write a new password, which needs no quoting in SQL or URLs, in place of one no cluster was finished for."""
    secret = secrets.token_urlsafe(32)
    path.unlink(missing_ok=True)
    with open(path, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(secret + "\n")
        file.flush()
        os.fsync(file.fileno())
    return secret


def _check_version(home: Path, binaries: Path) -> None:
    """Refuse a cluster of another major version, whose files mean something else."""
    old, new = (home / "cluster" / "PG_VERSION").read_text().strip(), str(major_version(binaries))
    if old != new:
        raise EmbeddedError(
            f"{home / 'cluster'} was made by PostgreSQL {old}, the server in {binaries} is PostgreSQL {new}. "
            f"Use PostgreSQL {old} again, or carry the data over in one of two ways. With a registry running on "
            f"PostgreSQL {old}, and later one running on PostgreSQL {new} and an empty data directory NEW:\n"
            f"  pg_dump --host {home}/sockets --username registry {DATABASE} > registry.sql\n"
            f"  psql --host NEW/sockets --username registry {DATABASE} < registry.sql\n"
            f"Or with no registry running, as the owner of the cluster, whose place NEW then takes:\n"
            f"  {binaries}/initdb --pgdata NEW --username postgres --pwfile {home}/password --auth scram-sha-256 "
            f"--encoding UTF8 --no-locale --data-checksums\n"
            f"  PGPASSWORD=$(cat {home}/password) {binaries}/pg_upgrade --username postgres --new-bindir {binaries} "
            f"--new-datadir NEW --old-bindir BIN{old} --old-datadir {home}/cluster"
        )


class PidFile(NamedTuple):
    """What postmaster.pid says; PostgreSQL's src/include/utils/pidfile.h describes its lines."""

    pid: int
    ready: bool


def read_pid_file(cluster: Path) -> PidFile | None:
    """The pid file, None when there is none or it is only half written."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
        return PidFile(int(lines[0]), ready=len(lines) > 7 and lines[7].strip() == "ready")
    except (FileNotFoundError, ValueError, IndexError):
        return None


def _forget_stale_pid(cluster: Path) -> None:
    """Remove a pid file whose process is gone, which we know on Linux: a server works in its data directory.

    PostgreSQL takes any process with that pid for a server: in a container, where a restart gives out the same few
    numbers again, or a dead server that nobody waited for (a zombie).
    """
    claim = read_pid_file(cluster)
    if claim is None or sys.platform != "linux":
        return
    with suppress(PermissionError):  # somebody else's process, which PostgreSQL ignores
        try:
            is_server = Path(f"/proc/{claim.pid}/cwd").samefile(cluster)
        except (FileNotFoundError, ProcessLookupError):
            is_server = False
        if not is_server:
            (cluster / "postmaster.pid").unlink()
