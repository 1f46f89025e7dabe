"""The mirror: what a registry answers, as static files behind nginx under the same paths.

Pages name the registry's address; in the mirror they name nginx', so that clients stay there. Documents are kept as
they are and compressed, like the registry's own.
"""

from __future__ import annotations

import contextlib
import gzip
from collections.abc import Iterator
from pathlib import Path

from tests import programs
from tests.bench import processes
from tests.bench.processes import Server

CONFIGURATION = """\
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log error;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 100000;
    open_file_cache max=10000;
    client_body_temp_path {directory}/temporary;
    proxy_temp_path {directory}/temporary;
    fastcgi_temp_path {directory}/temporary;
    uwsgi_temp_path {directory}/temporary;
    scgi_temp_path {directory}/temporary;
    default_type application/octet-stream;
    map $http_accept $form {{
        default full;
        "~*install-v1" abbreviated;
    }}
    server {{
        listen 127.0.0.1:{port};
        root {directory}/files;
        location ~ ^(?<document>/.*/pypi/simple/[^/]+)/$ {{
            root {directory}/documents;
            gzip_static on;
            default_type application/vnd.pypi.simple.v1+json;
            try_files $document.json =404;
        }}
        # Named, as matching the map's expression would forget $1.
        location ~ ^(?<document>/.*/packages/npm/[^/]+)$ {{
            root {directory}/documents;
            gzip_static on;
            default_type application/json;
            try_files $document.$form.json =404;
        }}
    }}
}}
"""


class Mirror:
    """Files to serve, below a directory; `port` is where nginx will listen."""

    def __init__(self, directory: Path, registry: str) -> None:
        self.port = processes.free_port()
        self._directory = directory
        self._addresses = (registry.encode(), f"http://127.0.0.1:{self.port}".encode())
        (directory / "temporary").mkdir(parents=True)

    def page(self, path: str, body: bytes) -> None:
        """Keep a simple page; the path ends with a slash."""
        self._keep(f"{path.rstrip('/')}.json", body)

    def packument(self, path: str, form: str, body: bytes) -> None:
        """Keep a packument in one of its forms."""
        self._keep(f"{path}.{form}.json", body)

    def file(self, path: str, body: bytes) -> None:
        """Keep a file that is served as it is."""
        _write(self._directory / "files" / path.lstrip("/"), body)

    def _keep(self, path: str, body: bytes) -> None:
        body = body.replace(*self._addresses)
        _write(self._directory / "documents" / path.lstrip("/"), body)
        _write(self._directory / "documents" / f"{path.lstrip('/')}.gz", gzip.compress(body, 6, mtime=0))

    @contextlib.contextmanager
    def serving(self) -> Iterator[Server]:
        """nginx with one worker, on the server's core."""
        configuration = self._directory / "nginx.conf"
        configuration.write_text(CONFIGURATION.format(directory=self._directory, port=self.port))
        # Workers started by root are nobody: the files are for everybody.
        with processes.running([programs.find("nginx"), "-c", str(configuration)], self.port) as pid:
            yield Server(self.port, (pid,))


def _write(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
