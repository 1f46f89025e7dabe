"""System programs the tests drive beside package clients: a balancer, a connection pooler, a load generator and more.

`python tests/clients/toolbox.py` installs what is missing with apt-get where it may, and else says what to install.
"""

import os
import shutil
import subprocess

from tests.clients.process import SYSTEM_PATH
from tests.clients.toolbox import Missing

# The program and the Debian package it comes in.
PACKAGES = {"nginx": "nginx-light", "pgbouncer": "pgbouncer", "promtool": "prometheus", "wrk": "wrk"}


def find(name: str) -> str:
    """The path of an installed program, one of PACKAGES. Raises Missing when it is absent."""
    found = shutil.which(name, path=SYSTEM_PATH)
    if found is None:
        raise Missing(f"{name} is not installed: run `apt-get install {PACKAGES[name]}` or the like")
    return found


def install() -> list[str]:
    """Install every program that is missing; returns one sentence for each that could not be."""
    missing = [name for name in PACKAGES if not _installed(name)]
    if not missing:
        return []
    packages = [PACKAGES[name] for name in missing]
    print(f"{', '.join(missing)}: installing", flush=True)
    if os.geteuid() == 0 and shutil.which("apt-get"):
        # The lists of a fresh machine may be empty, or older than its mirror. At run level 1 no service is started.
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        for command in (["install"], ["update"], ["install"]):
            wanted = packages if command == ["install"] else []
            done = subprocess.run(
                ["apt-get", "--quiet", "--yes", "--no-install-recommends", *command, *wanted],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
            if command == ["install"] and done.returncode == 0:
                break
    return [f"{name}: run `apt-get install {PACKAGES[name]}` or the like" for name in missing if not _installed(name)]


def _installed(name: str) -> bool:
    return shutil.which(name, path=SYSTEM_PATH) is not None
