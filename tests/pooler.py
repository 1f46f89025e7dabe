"""PgBouncer in transaction mode between the registry and Postgres: each transaction may run on another session."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from registry.embedded import EmbeddedPostgres
from tests import programs

SECONDS = 20
# Small, so that sessions are really shared; the suite's own server allows 100 in all.
SESSIONS = 8

_SETTINGS = """
[databases]
* = host={host} port={port} user={user} password={password}

[pgbouncer]
listen_addr =
listen_port = 5432
unix_socket_dir = {directory}
auth_type = any
pool_mode = transaction
default_pool_size = {sessions}
max_client_conn = 2000
server_idle_timeout = 5
autodb_idle_timeout = 5
ignore_startup_parameters = extra_float_digits
log_connections = 0
log_disconnections = 0
log_pooler_errors = 1
"""


@dataclass(frozen=True, slots=True)
class Pooler:
    """A running PgBouncer in front of every database of one Postgres."""

    directory: str

    def url_for(self, database: str) -> str:
        """The URL of a database behind it."""
        return f"postgresql://registry@/{database}?host={self.directory}&port=5432"


def wanted(environment: Mapping[str, str]) -> bool:
    """Whether `TEST_POOLER` asks for one. Raises ValueError for one that is not known."""
    name = environment.get("TEST_POOLER", "")
    if name not in {"", "pgbouncer"}:
        raise ValueError(f"TEST_POOLER={name}: the pooler tests know is pgbouncer")
    return name != ""


@contextmanager
def running(postgres: EmbeddedPostgres) -> Iterator[Pooler]:
    """PgBouncer on a socket for the length of the block. Raises Missing where it is not installed."""
    program = programs.find("pgbouncer")
    parts = urlsplit(postgres.url)
    where = {name: values[0] for name, values in parse_qs(parts.query).items()}
    with tempfile.TemporaryDirectory(prefix="pgbouncer-", dir="/tmp") as name:
        pooler = Pooler(name)
        settings = Path(name) / "pgbouncer.ini"
        settings.write_text(
            _SETTINGS.format(**where, user=parts.username, password=parts.password, directory=name, sessions=SESSIONS)
        )
        account = _account_of(postgres.pid)
        if account:
            os.chown(name, account["user"], account["group"])
            os.chown(settings, account["user"], account["group"])
        with (Path(name) / "log").open("w+b") as log:
            process = subprocess.Popen([program, str(settings)], stdout=log, stderr=log, **account)
            try:
                _wait_until_it_accepts(process, f"{name}/.s.PGSQL.5432")
                yield pooler
            finally:
                process.kill()
                process.wait(SECONDS)


def _account_of(pid: int) -> dict[str, Any]:
    """Arguments for a process of the same account: PgBouncer refuses to be root, and only some may use the socket."""
    if os.geteuid() != 0:
        return {}
    owner = Path(f"/proc/{pid}").stat()
    return {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}


def _wait_until_it_accepts(process: subprocess.Popen[bytes], path: str) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            with socket.socket(socket.AF_UNIX) as one:
                one.connect(path)
        except OSError:
            assert process.poll() is None, "pgbouncer does not start"
            assert time.monotonic() < deadline, "pgbouncer does not accept connections"
            time.sleep(0.02)
        else:
            return
