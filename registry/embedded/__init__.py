"""The embedded PostgreSQL: a private server for a machine without services.

    with EmbeddedPostgres.start(Path("var/postgres")) as server:
        connection = await asyncpg.connect(server.url)

What lies in its data directory:

    lock          held by the registry that uses the directory; the process id is inside
    server.lock   held by every process of the server, so also by one that outlives a killed registry
    password      of the roles `registry` (ours) and `postgres` (the superuser), mode 0600
    postgres.log  what the server says; a start moves it to postgres.log.1 when it is larger than 8 MiB
    sockets       a link to the directory with the unix socket, the only way in
    cluster/      PostgreSQL's own data directory; cluster.new/ while it is being made

The two locks make a crash harmless. flock(2) belongs to an open file, and the processes of the server inherit the one
of `server.lock`: it is free exactly when none of them is left, whatever a pid file claims.
For Linux and macOS. All of it blocks: call it before or beside the event loop.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Self
from urllib.parse import quote

from registry.embedded.cluster import DATABASE, PORT, prepare, read_pid_file, settings
from registry.embedded.programs import STOP_SECONDS, EmbeddedError, Programs, choose_account, end, find_binaries

__all__ = ["EmbeddedError", "EmbeddedPostgres", "find_binaries", "running_url"]

SOCKET_PATH_BYTES = 103  # sun_path holds 108 bytes with its NUL on Linux, 104 on macOS
LOG_BYTES = 8 * 1024 * 1024
START_SECONDS = 300  # replaying the log after a crash takes its time on a slow disk


class EmbeddedPostgres:
    """A running server, stopped by `stop` or at the end of a `with`."""

    def __init__(self, process: subprocess.Popen[bytes], home: Path, lock: int) -> None:
        self._process = process
        self._home = home
        self._lock: int | None = lock

    @classmethod
    def start(cls, data_dir: Path, *, binaries: Path | None = None, unsafe_fast: bool = False) -> Self:
        """Start the server of `data_dir`, which is made on first use, and wait until it accepts connections.

        Call it from the main thread: on Linux the server stops when the thread that started it ends, which is how it
        follows a killed registry. `unsafe_fast` gives up the data at a power cut and is for tests.
        Root's server runs as the owner of an existing cluster, else as `postgres` or `nobody`.
        Raises EmbeddedError when the directory is in use, of another major version, or the server does not start.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("the embedded PostgreSQL must be started from the main thread")
        home = data_dir.resolve()
        with _explained(home), ExitStack() as undo:
            if not home.exists():
                home.mkdir(parents=True)
                home.chmod(0o711 if os.geteuid() == 0 else 0o700)  # root's server only passes through
            lock = _claim(home)
            undo.callback(_release, lock)
            undo.callback(_remove_sockets, home)
            server_lock = _wait_for_predecessor(home)
            undo.callback(os.close, server_lock)
            programs = Programs(find_binaries(binaries), choose_account(home / "cluster"), server_lock)
            prepare(home, programs, unsafe_fast=unsafe_fast)
            process = _start_server(home, programs, unsafe_fast=unsafe_fast)
            undo.pop_all()
            os.close(server_lock)  # from here on only the server holds it
            return cls(process, home, lock)

    @property
    def url(self) -> str:
        """The URL of the database `registry`, for asyncpg and libpq. It holds the password."""
        return self.url_for(DATABASE)

    def url_for(self, database: str) -> str:
        """The URL of another database. Its role `registry` owns the database `registry` and may create others."""
        return _url(self._home, database)

    @property
    def pid(self) -> int:
        """The process id of the server."""
        return self._process.pid

    def stop(self) -> None:
        """Cut clients off and stop the server, within 30 s or else as after a crash. Harmless when repeated."""
        if self._lock is None:
            return
        end(self._process)
        _remove_sockets(self._home)
        _release(self._lock)
        self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def running_url(data_dir: Path) -> str | None:
    """The URL of the server that another process runs on `data_dir`, None when none is ready.

    Raises EmbeddedError when this account may not use it.
    """
    home = data_dir.resolve()
    with _explained(home):
        claim = read_pid_file(home / "cluster")
        if claim is None or not claim.ready:
            return None
        free = _acquire(home / "server.lock", 0)
        if free is not None:
            os.close(free)
            return None
        return _url(home, DATABASE)


def _url(home: Path, database: str) -> str:
    password = (home / "password").read_text().strip()
    directory = quote(str((home / "sockets").readlink()))
    return f"postgresql://registry:{password}@/{quote(database, safe='')}?host={directory}&port={PORT}"


@contextmanager
def _explained(home: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, subprocess.SubprocessError) as error:
        raise EmbeddedError(f"the embedded PostgreSQL in {home} cannot be used: {error}") from error


def _acquire(path: Path, seconds: float) -> int | None:
    """An open file that holds the lock `path`, or None when somebody else still holds it after `seconds`."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(descriptor)
                return None
            time.sleep(0.01)
        else:
            return descriptor


def _claim(home: Path) -> int:
    """Make `home` ours. Raises EmbeddedError when another registry uses it."""
    lock = _acquire(home / "lock", 0)
    if lock is None:
        holder = (home / "lock").read_text() or "unknown"
        raise EmbeddedError(f"{home} is in use by another registry (process {holder}): stop that one first")
    os.ftruncate(lock, 0)
    os.write(lock, str(os.getpid()).encode())
    return lock


def _release(lock: int) -> None:
    fcntl.flock(lock, fcntl.LOCK_UN)  # closing alone would leave it with processes forked from this one
    os.close(lock)


def _wait_for_predecessor(home: Path) -> int:
    """The server's lock, once no process is left of a server whose registry was killed."""
    lock = _acquire(home / "server.lock", 0)
    if lock is not None:
        return lock
    claim = read_pid_file(home / "cluster")
    if claim is not None and sys.platform != "linux":  # where the end of its parent did not tell it to stop
        with suppress(ProcessLookupError):
            os.kill(claim.pid, signal.SIGINT)
    lock = _acquire(home / "server.lock", STOP_SECONDS)
    if lock is None:
        raise EmbeddedError(
            f"a former server (process {claim.pid if claim else 'unknown'}) is still at work in {home}, "
            f"{STOP_SECONDS} s after it was told to stop: wait for it, or end it with `kill -QUIT`"
        )
    return lock


def _start_server(home: Path, programs: Programs, *, unsafe_fast: bool) -> subprocess.Popen[bytes]:
    log = home / "postgres.log"
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(home / "postgres.log.1")
    arguments = settings(unsafe_fast=unsafe_fast)
    arguments += ["-c", f"unix_socket_directories={_make_sockets(home, programs)}", "-D", str(home / "cluster")]
    with open(log, "ab", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, 0o600)) as output:
        news = output.tell()
        process = programs.start("postgres", *arguments, stdin=subprocess.DEVNULL, output=output)
    try:
        _wait_until_ready(home, process, news)
    except BaseException:
        end(process)
        raise
    return process


def _wait_until_ready(home: Path, process: subprocess.Popen[bytes], news: int) -> None:
    """Wait for the server's own word that it accepts connections, as pg_ctl does; its log begins at `news`."""
    deadline = time.monotonic() + START_SECONDS
    while read_pid_file(home / "cluster") != (process.pid, True):
        if process.poll() is not None or time.monotonic() > deadline:
            with (home / "postgres.log").open("rb") as log:
                log.seek(news)
                said = log.read()[-4096:].decode(errors="replace").strip()
            raise EmbeddedError(f"PostgreSQL did not start in {home}: {said or 'it did not say why'}")
        time.sleep(0.005)


def _make_sockets(home: Path, programs: Programs) -> Path:
    """A fresh private directory for the socket, with a short path; one that a killed registry left behind goes."""
    _remove_sockets(home)
    for parent in (tempfile.gettempdir(), "/tmp"):  # noqa: S108
        path = Path(tempfile.mkdtemp(prefix="registry-", dir=parent)).resolve()
        if len(os.fsencode(path / f".s.PGSQL.{PORT}")) <= SOCKET_PATH_BYTES and not programs.blocked(path.parent):
            programs.give(path)
            (home / "sockets").symlink_to(path)
            return path
        path.rmdir()
    raise EmbeddedError("there is no place for the socket: set TMPDIR to a directory with a short path, open to all")


def _remove_sockets(home: Path) -> None:
    with suppress(FileNotFoundError):
        directory = (home / "sockets").readlink()
        if directory.name.startswith("registry-"):
            shutil.rmtree(directory, ignore_errors=True)
        (home / "sockets").unlink()
