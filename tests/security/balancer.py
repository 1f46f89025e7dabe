"""nginx in front of the application, as an operator runs it: connections to the application are kept and shared."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from tests import programs

# Without a master process it keeps the account of the tests. `X-Upstream` tells answers of the application from those
# that nginx gives by itself.
_CONFIGURATION = """
daemon off; master_process off; pid {home}/pid; error_log {home}/error.log notice;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
    proxy_cache_path {home}/cache keys_zone=shared:1m;
    upstream registry {{ server 127.0.0.1:{port}; keepalive 4; }}
    server {{
        listen unix:{home}/socket;
        client_max_body_size 0;
        location / {{
            proxy_pass http://registry;
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            add_header X-Upstream $upstream_status always;
            add_header X-Cache $upstream_cache_status always;
            {more}
        }}
    }}
}}
"""
# A cache between the clients that keeps every answer for a minute, unless the application forbids it.
SHARED_CACHE = "proxy_cache shared; proxy_cache_valid any 1m; proxy_ignore_headers Vary;"


@contextlib.asynccontextmanager
async def balanced(port: int, *, more: str = "") -> AsyncIterator[Path]:
    """nginx before the server on `port`: the socket where it listens. `more` are further directives."""
    with tempfile.TemporaryDirectory(prefix="nginx-", dir="/tmp") as directory:
        home = Path(directory)
        configuration = home / "nginx.conf"
        configuration.write_text(_CONFIGURATION.format(home=home, port=port, more=more))
        process = await asyncio.create_subprocess_exec(
            programs.find("nginx"), "-p", directory, "-e", f"{home}/error.log", "-c", str(configuration),
            stdin=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            await _listening(home / "socket", process)
            yield home / "socket"
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


async def _listening(socket: Path, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(10):
        while True:
            assert process.returncode is None, "nginx has ended"
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_unix_connection(socket)
                writer.close()
                return
            await asyncio.sleep(0.02)
