"""A client's process: started in a clean environment, ended with everything it started."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# Nothing listens on the discard port, so a client that asks any host but this machine fails at once.
DEAD_PROXY = "http://127.0.0.1:9"
# Daemons live in directories that a user's PATH may leave out.
SYSTEM_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
LOOPBACK = "127.0.0.1,localhost,.localhost,::1"


@dataclass(frozen=True, slots=True)
class Client:
    """A program that can be run: its name here, its pinned version, and the command line that starts it.

    `path` holds directories that its `PATH` begins with, `settings` files (name, text) that an empty home gets.
    """

    name: str
    version: str
    command: tuple[str, ...]
    path: tuple[Path, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended: the exit code (negative: the signal) and everything it printed, decoded as UTF-8."""

    code: int
    stdout: str
    stderr: str

    @property
    def text(self) -> str:
        """Both streams, for assertions that do not care which one a client chose."""
        return self.stdout + self.stderr


def environment(client: Client, home: Path) -> dict[str, str]:
    """The whole environment of a run of `client`: built from nothing, so no setting of the machine reaches it.

    Clients find their settings and caches under `home`; pip's are read from `.config/pip/pip.conf` there, and the
    machine's own pip settings are left out. Every request that does not go to this machine is sent to a dead proxy.
    """
    pip_settings = home / ".config" / "pip" / "pip.conf"
    directories = [*client.path, Path(sys.base_prefix) / "bin", *os.environ.get("PATH", os.defpath).split(os.pathsep)]
    return {
        "HOME": str(home),
        "PATH": os.pathsep.join(str(directory) for directory in directories),
        "TMPDIR": tempfile.gettempdir(),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "NO_COLOR": "1",
        "COLUMNS": "1000",  # rich, click and others fold what they print at the width of the terminal
        "UV_NO_WRAP": "1",
        **{name: DEAD_PROXY for scheme in ("http", "https") for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper())},
        "no_proxy": LOOPBACK,
        "NO_PROXY": LOOPBACK,
        "PIP_CONFIG_FILE": str(pip_settings) if pip_settings.is_file() else os.devnull,
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
        "UV_PYTHON_DOWNLOADS": "never",
        "PDM_CHECK_UPDATE": "false",
        "YARN_ENABLE_TELEMETRY": "0",
        "DO_NOT_TRACK": "1",
    }


def run(
    client: Client,
    *arguments: str | Path,
    cwd: Path,
    home: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 120,
) -> Result:
    """Run `client` in `cwd` without standard input and wait for it; in an async test, through `asyncio.to_thread`.

    `home` is kept between runs that share it (settings, warm caches); without one the run gets an empty home that is
    removed afterwards. `env` is added to `environment`. After `timeout` seconds the client and all processes of its
    group are killed, and TimeoutError is raised with what they had printed.
    """
    with contextlib.ExitStack() as stack:
        if home is None:
            home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="client-home-")))
        _furnish(home, client)
        process = subprocess.Popen(
            [*client.command, *map(str, arguments)],
            cwd=cwd,
            env={**environment(client, home), **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # its own group, and no terminal to ask questions on
        )
        return _wait(process, client.name, timeout)


def _furnish(home: Path, client: Client) -> None:
    home.mkdir(parents=True, exist_ok=True)
    for name, text in client.settings:
        if not (home / name).exists():
            (home / name).write_text(text)


def _wait(process: subprocess.Popen[bytes], name: str, timeout: float) -> Result:
    with process:
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:
            _kill_group(process)
            stdout, stderr = process.communicate()
            printed = (stdout + stderr).decode(errors="replace")
            raise TimeoutError(f"{name} was still running after {timeout} s; it had printed:\n{printed}") from error
        except BaseException:
            _kill_group(process)
            raise
    return Result(process.returncode, stdout.decode(errors="replace"), stderr.decode(errors="replace"))


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
