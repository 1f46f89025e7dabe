"""nginx in front of the replicas: each request goes to any of them."""

from __future__ import annotations

import http.client
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from tests import programs
from tests.cli.processes import SECONDS, until

# Reads are asked again elsewhere when a kept connection turns out to be closed. What was sent of an upload cannot be
# sent again, so each gets a connection of its own, which a replica that stops still serves.
_SETTINGS = """
daemon off;
user root;
worker_processes 1;
pid {directory}/pid;
error_log {directory}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    upstream reads {{
        random;
        {servers}
        keepalive 32;
    }}
    upstream writes {{
        random;
        {servers}
    }}
    map $request_method $replicas {{
        default writes;
        GET reads;
        HEAD reads;
    }}
    server {{
        listen 127.0.0.1:{port};
        client_max_body_size 0;
        location / {{
            proxy_pass http://$replicas;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_request_buffering off;
            proxy_connect_timeout 2s;
            proxy_next_upstream error timeout;
        }}
    }}
}}
"""


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at this moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [int(sock.getsockname()[1]) for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()


@contextmanager
def balancing(port: int, replicas: Sequence[int]) -> Iterator[None]:
    """nginx on a port, in front of servers on other ports. Raises Missing where it is not installed."""
    program = programs.find("nginx")
    with tempfile.TemporaryDirectory(prefix="nginx-", dir="/tmp") as directory:
        # A replica that is being replaced is back soon: none is left out for longer than a request.
        servers = "\n        ".join(f"server 127.0.0.1:{replica} max_fails=0;" for replica in replicas)
        settings = Path(directory) / "nginx.conf"
        settings.write_text(_SETTINGS.format(directory=directory, servers=servers, port=port))
        process = subprocess.Popen([program, "-c", str(settings), "-p", directory], stderr=subprocess.DEVNULL)
        try:
            until(lambda: _accepts(port) or process.poll() is not None)
            assert process.poll() is None, (Path(directory) / "error.log").read_text()
            yield
        finally:
            process.terminate()
            process.wait(SECONDS)


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def ask(
    port: int, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    """One request on a connection of its own: status and content. 0 when there was no answer."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)) as connection:
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            return 0, repr(error).encode()
