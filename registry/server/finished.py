"""Finished answers: head and body as bytes, written at once.

aiohttp builds, serialises and joins headers for each response; for a page that was sent a thousand times that is half
of the work of sending it again.
"""

from __future__ import annotations

import time
from datetime import datetime
from email.utils import formatdate
from http import HTTPStatus

from aiohttp import ClientConnectionResetError, HttpVersion11, web

from registry.documents import Document

# Above this the transport is asked whether the client keeps up.
_LARGE = 64 * 1024


class Finished(web.StreamResponse):
    """A document on its way to one client.

    Stands in for a response between the handler and the connection, which asks it for no more than what is set here;
    the initialisation of a real one is what is saved.
    """

    def __init__(
        self,
        document: Document,
        *,
        status: int = 200,
        valid_until: datetime | None = None,
        package_id: int | None = None,
    ) -> None:
        """`valid_until` bounds how long it may be answered again; `package_id` is what such an answer downloads."""
        self.document = document
        self.valid_until = valid_until
        self.package_id = package_id
        self.extra = b""  # further header lines, each with its end
        self._status = status
        self._keep_alive = True
        self._request: web.BaseRequest | None = None

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write head and body."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ClientConnectionResetError("Cannot write to closing transport")
        self._request = request
        document = self.document
        if self._status == HTTPStatus.NOT_MODIFIED:
            transport.write(document.head_not_modified + self.extra + _date())
        elif request.method == "HEAD":
            transport.write(document.head + self.extra + _date())
        elif len(document.body) < _LARGE:
            transport.write(document.head + self.extra + _date() + document.body)
        else:
            transport.writelines((document.head, self.extra, _date(), document.body))

    async def write_eof(self, data: bytes = b"") -> None:  # noqa: ARG002  # aiohttp calls it without
        """Let a slow client catch up before the connection's next request is read."""
        request = self._request
        if request is not None and (len(self.document.body) >= _LARGE or request.protocol.writing_paused):
            await request.writer.drain()


def can_finish(request: web.BaseRequest) -> bool:
    """Whether the connection stays open by default, so that the head needs no word about it."""
    return request.version == HttpVersion11 and request.keep_alive


_now = 0
_line = b""


def _date() -> bytes:
    """The Date header and the end of the head, renewed each second (RFC 9110, section 6.6.1)."""
    global _now, _line
    now = int(time.time())
    if now != _now:
        _now, _line = now, f"Date: {formatdate(now, usegmt=True)}\r\n\r\n".encode()
    return _line
