"""`python -m tests.s3servers NAME`: the storage contract, and packages published and installed, on an S3 server."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.clients.toolbox import Missing
from tests.s3servers import careless, ceph, swift

SERVERS = {"ceph": ceph, "rclone": careless, "swift": swift}
# Everything that asks the server through the store, and the road of each format.
TESTS = (
    "tests/storage/test_contract.py",
    "tests/storage/test_signed_urls.py",
    "tests/clients/test_pypi.py::test_three_real_projects_go_in_through_twine_and_out_through_pip_and_uv",
    "tests/clients/test_npm.py::test_what_a_client_publishes_it_installs_again_from_its_lock_file",
)


def main() -> int:
    """The exit code of pytest; options after the name are passed on to it."""
    parser = argparse.ArgumentParser(prog="python -m tests.s3servers", description=__doc__)
    parser.add_argument("name", choices=SERVERS)
    arguments, options = parser.parse_known_args()
    server = SERVERS[arguments.name]
    try:
        print(server.version(), flush=True)
        with tempfile.TemporaryDirectory(prefix="s3-", dir="/tmp") as home, server.serving(Path(home)) as running:
            command = [sys.executable, "-m", "pytest", "-q", "-k", "s3", *options, *TESTS]
            return subprocess.run(command, env={**os.environ, **running.environment}, check=False).returncode
    except Missing as missing:
        print(missing, file=sys.stderr)
        return 2


sys.exit(main())
