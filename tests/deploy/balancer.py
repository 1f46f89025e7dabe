"""`deploy/nginx.conf` on free ports of this machine."""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

SOURCE = Path(__file__).parent.parent.parent / "deploy" / "nginx.conf"


def configuration(directory: Path, port: int, replicas: Sequence[int]) -> Path:
    """The configuration with these ports instead, and everything written below `directory`."""
    text = SOURCE.read_text()
    servers = iter(replicas)
    text = re.sub(r"server registry-\d:8080", lambda _: f"server 127.0.0.1:{next(servers)}", text)
    text = text.replace("listen 8080", f"listen 127.0.0.1:{port}").replace("/tmp/", f"{directory}/")
    text = text.replace("/dev/stderr", f"{directory}/error.log").replace("/dev/stdout", f"{directory}/access.log")
    path = directory / "nginx.conf"
    path.write_text(text)
    return path


@contextlib.contextmanager
def balancing(nginx: str, directory: Path, port: int, replicas: Sequence[int]) -> Iterator[str]:
    """An nginx in front of replicas; its address."""
    path = configuration(directory, port, replicas)
    checked = subprocess.run([nginx, "-t", "-c", path], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "warn" not in checked.stderr, checked.stderr
    process = subprocess.Popen([nginx, "-c", path, "-g", "daemon off;"], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while not (directory / "nginx.pid").exists() or not (directory / "nginx.pid").read_text():
            assert process.poll() is None, (directory / "error.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
