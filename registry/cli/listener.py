"""Listening sockets, and the connections that come in through them."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from aiohttp import http_parser, http_writer, web
from aiohttp.http_exceptions import HttpProcessingError

from registry import metrics
from registry.cli.errors import CommandError, ConfigurationError
from registry.server import pace

if TYPE_CHECKING:
    from aiohttp.web_server import Server

log = logging.getLogger(__name__)

BACKLOG = 1024
# Above the idle time of common balancers, so that they close first.
KEEP_ALIVE_SECONDS = 75.0
# A client that takes nothing at all is given up by the kernel (tcp(7)), also when we have closed the connection.
STALL_SECONDS = 60
# After an early refusal the rest of the body is read this long: uv reports a broken pipe otherwise.
LINGERING_SECONDS = 30.0
HEAD_SECONDS = 15.0
DRAIN_POLL_SECONDS = 0.05
# A connection taken last may have a request on the way; one that was served before has been told.
FIRST_REQUEST_SECONDS = 1.0
# Malformed requests are counted; how many there were is told this often at most.
WARN_SECONDS = 60.0

_READS = frozenset({"GET", "HEAD"})
_NO_SUCH_ADDRESS = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


def check_extensions() -> None:
    """Raise ConfigurationError unless aiohttp parses and writes heads in C; in Python it takes several times as long.

    The two parsers also disagree in corner cases that are used for request smuggling; one of them is tested here.
    """
    parsed = http_parser.HttpRequestParser is not http_parser.HttpRequestParserPy
    written = http_writer._serialize_headers is not http_writer._py_serialize_headers  # noqa: SLF001
    if not parsed or not written:
        raise ConfigurationError(
            "aiohttp's compiled parts are missing: install a wheel of aiohttp for this platform, and unset "
            "AIOHTTP_NO_EXTENSIONS"
        )


@contextmanager
def bound(host: str, port: int, *, shared: bool = False, joining: bool = False) -> Iterator[Sequence[socket.socket]]:
    """Sockets bound to every address of a host name, not listening yet; port 0 takes a free one, the same for all.

    A `shared` port may be bound by several processes (SO_REUSEPORT): the first is refused when somebody else has it,
    those `joining` are not. Raises CommandError.
    """
    with ExitStack() as stack:
        sockets: list[socket.socket] = []
        try:
            found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            for family, kind, protocol, _, address in found:
                wanted = (address[0], sockets[0].getsockname()[1] if sockets else port, *address[2:])
                try:
                    if shared and not joining and wanted[1] != 0:
                        # Two registries started by mistake would both get the port if this one shared it at once.
                        _bind(family, kind, protocol, wanted, shared=False).close()
                    sockets.append(stack.enter_context(_bind(family, kind, protocol, wanted, shared=shared)))
                except OSError as error:
                    # `localhost` is said to be ::1 on machines without IPv6, too.
                    if error.errno not in _NO_SUCH_ADDRESS:
                        raise
        except OSError as error:
            raise CommandError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
        if not sockets:
            raise CommandError(f"cannot listen on {host}:{port}: none of its addresses is one of this machine")
        yield sockets


def _bind(family: int, kind: int, protocol: int, address: tuple[object, ...], *, shared: bool) -> socket.socket:
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            # `::` means every address of this machine, IPv4 included.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if address[0] == "::" else 1)
        if sys.platform == "linux":
            # Inherited by the connections that are accepted.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALL_SECONDS * 1000)
        sock.bind(address)
    except BaseException:
        sock.close()
        raise
    return sock


class Connection(web.RequestHandler):
    """One client's connection: aiohttp's, with a deadline for its first request and quiet about nonsense.

    A connection that has been served once may idle for `keep_alive` seconds, with or without half a head. One whose
    client takes less of an answer than `slowest` bytes per second is cut (see `registry.server.pace`).
    """

    __slots__ = ("_head_deadline", "_slowest", "_untaken", "_watching")

    def __init__(
        self,
        server: Server,
        loop: asyncio.AbstractEventLoop,
        *,
        keep_alive: float = KEEP_ALIVE_SECONDS,
        slowest: int = pace.DEFAULT,
    ) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # None turns it off
            keepalive_timeout=keep_alive,
            lingering_time=LINGERING_SECONDS,
            # Inflating without limit is for nobody; `registry.server.bodies` does it where it is allowed.
            auto_decompress=False,
        )
        self._head_deadline: asyncio.TimerHandle | None = None
        self._slowest = slowest
        self._untaken = 0
        self._watching: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock."""
        super().connection_made(transport)
        self._head_deadline = self._loop.call_later(HEAD_SECONDS, self._close_without_head)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Stop the clocks."""
        if self._head_deadline is not None:
            self._head_deadline.cancel()
        self._stop_watching()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client is behind: see whether it catches up."""
        super().pause_writing()
        self._stop_watching()  # sending a file changes the limits that pause
        self._watch()

    def resume_writing(self) -> None:
        """It has."""
        super().resume_writing()
        self._stop_watching()

    def retire(self, passed: float, *, reads: float, uploads: float) -> bool:
        """Take no further request: close now when idle, else say so with the answer under way.

        `passed`, `reads`, `uploads`: how long this has gone on, and may for either. Answers whether it was too long.
        """
        request = self._current_request
        if self._waiter is not None:
            if self._request_count or passed >= FIRST_REQUEST_SECONDS:
                self.force_close()
        elif request is not None:
            message = request._message  # noqa: SLF001  # aiohttp has no other door
            request._message = message._replace(should_close=True)  # noqa: SLF001
            if not self._force_close and passed >= (reads if request.method in _READS else uploads):
                self.force_close()
                return True
        return False

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no HTTP with a plain 400; aiohttp's own way logs a traceback and echoes what came."""
        if isinstance(exc, HttpProcessingError):
            _complaints.note(request.remote, type(exc).__name__)
            response = web.Response(status=400, text="400 Bad request")
            response.force_close()
            return response
        if isinstance(exc, ConnectionError):
            # The client went away while it was served; there is nobody to answer.
            raise exc
        return super().handle_error(request, status, exc, message)

    def _watch(self) -> None:
        if self.transport is not None:
            self._untaken = self._left_to_take(self.transport)
            self._watching = self._loop.call_later(pace.WINDOW_SECONDS, self._look)

    @staticmethod
    def _left_to_take(transport: asyncio.Transport) -> int:
        return transport.get_write_buffer_size() + pace.queued(transport.get_extra_info("socket"))

    def _look(self) -> None:
        if self.transport is None:
            return
        taken = self._untaken - self._left_to_take(self.transport)
        if taken >= pace.quota(self._slowest):
            self._watch()
            return
        # Not `close`, which would wait until everything is taken.
        pace.cut(self.transport)

    def _stop_watching(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None

    def _close_without_head(self) -> None:
        self._head_deadline = None
        if self._request_count == 0:
            metrics.slow_heads.inc()
            self.force_close()


async def stop_listening(server: Server, listening: asyncio.Server, sock: socket.socket) -> None:
    """Close a listening socket, and serve who is in its queue: the kernel has told them that they are connected."""
    loop = asyncio.get_running_loop()
    waiting = []
    # The queue belongs to the socket, which lives until its last descriptor is closed.
    with sock.dup() as last:
        last.setblocking(False)
        listening.close()
        with suppress(BlockingIOError):
            while True:
                waiting.append(last.accept()[0])
    for one in waiting:
        with suppress(OSError):  # it went away again
            await loop.connect_accepted_socket(lambda: Connection(server, loop), one)


async def drain(server: Server, *, reads: float, uploads: float) -> None:
    """Wait until every connection has had its answer and is closed, reads and uploads so many seconds at most."""
    # Not aiohttp's own shutdown: that stops reading first, so an upload under way would never end.
    started = time.monotonic()
    while server.connections and (passed := time.monotonic() - started) < max(reads, uploads):
        late = [
            connection.retire(passed, reads=reads, uploads=uploads)
            for connection in server.connections
            if isinstance(connection, Connection)
        ]
        if any(late):
            log.warning("%d connections are cut off after %.0f s", sum(late), passed)
        await asyncio.sleep(DRAIN_POLL_SECONDS)
    if server.connections:
        log.warning("%d connections are cut off after %.0f s", len(server.connections), max(reads, uploads))


class _Complaints:
    """Counts malformed requests, and tells of them once in a while."""

    def __init__(self) -> None:
        self._told = float("-inf")
        self._untold = 0

    def note(self, remote: str | None, kind: str) -> None:
        metrics.malformed.inc()
        self._untold += 1
        if time.monotonic() - self._told >= WARN_SECONDS:
            log.warning(
                "%d malformed requests were refused, the last from %s", self._untold, remote, extra={"kind": kind}
            )
            self._told, self._untold = time.monotonic(), 0


_complaints = _Complaints()
