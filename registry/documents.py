"""Documents: rendered pages as immutable bytes, cached by what they were rendered from.

A key holds the serials of everything shown, so a change makes a new key and the old entry ages out of a cache bounded
by bytes. Compressed variants are kept beside the plain one; nothing is rendered or compressed per request.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterable
from dataclasses import dataclass

from multidict import CIMultiDict, CIMultiDictProxy

from registry import blocks, metrics
from registry.blocks import Block, Encoding

_COMPRESSED: tuple[Encoding, ...] = ("zstd", "gzip")
_QUALITY = re.compile(r"[01](\.[0-9]{0,3})?", re.ASCII)

# What is worth compressing at all, and what is worth the hop to a thread: about a millisecond of work.
_WORTH_COMPRESSING = 256
_WORTH_A_THREAD = 256 * 1024
# Joining what is compressed already takes as long.
_LARGE = 4 * 1024 * 1024
# What an entry costs beside its body: key, headers, bookkeeping.
_OVERHEAD = 1024


@dataclass(frozen=True, slots=True)
class Page:
    """What a renderer answers: a body, its media type (without charset where clients are strict), further headers.

    A large page may be a sequence of blocks, of which those that it shares with its predecessor are compressed already.
    """

    body: bytes | tuple[Block, ...]
    content_type: str
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The body as blocks."""
        return (Block(self.body),) if isinstance(self.body, bytes) else self.body

    @property
    def raw(self) -> bytes:
        """The body in one piece."""
        return b"".join(block.raw for block in self.blocks)

    @property
    def size(self) -> int:
        """Bytes of the body."""
        return len(self.body) if isinstance(self.body, bytes) else sum(len(block.raw) for block in self.body)


@dataclass(frozen=True, slots=True)
class Document:
    """A page in one content coding, ready to be sent as it is.

    `head` and `head_not_modified` are the status line and headers of a 200 and a 304, up to where Date follows.
    """

    body: bytes
    etag: str
    headers: CIMultiDictProxy[str]
    not_modified: CIMultiDictProxy[str]
    head: bytes
    head_not_modified: bytes
    status: int = 200


@functools.lru_cache(maxsize=256)
def negotiate(accept_encoding: str | None) -> Encoding:
    """The coding a client likes best; zstd before gzip before identity where it has no preference (RFC 9110, 12.5.3).

    One that is not named is not taken, identity excepted, unless `*` is.
    """
    if not accept_encoding:
        return "identity"
    taken: dict[str, float] = {}
    for item in accept_encoding.lower().split(","):
        coding, *parameters = item.split(";")
        taken[coding.strip()] = _quality(parameters)
    rest = taken.get("*", 0.0)
    best: Encoding = "identity"
    quality = taken.get("identity", 0.0)
    for coding in _COMPRESSED:
        wish = taken.get(coding, rest)
        if wish > 0 and (wish > quality or (wish == quality and best == "identity")):
            best, quality = coding, wish
    return best


def _quality(parameters: list[str]) -> float:
    """The `q` of an item, 1 when there is none, 0 when it cannot be read."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return float(value) if _QUALITY.fullmatch(value := value.strip()) else 0.0
    return 1.0


class Documents:
    """The cache, bounded by bytes. Concurrent misses of one key render once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._entries: OrderedDict[tuple[Hashable, Encoding], Document] = OrderedDict()
        self._pages: OrderedDict[Hashable, asyncio.Future[Page]] = OrderedDict()
        self._encoding: dict[tuple[Hashable, Encoding], asyncio.Task[Document]] = {}
        self._hits = metrics.document_cache.labels("hit")
        self._misses = metrics.document_cache.labels("miss")

    async def get(
        self, key: Hashable, encoding: Encoding, render: Callable[[], Awaitable[Page]], cache_control: str
    ) -> Document:
        """The document of a key in a coding. `key` must name everything the page depends on, `cache_control` too."""
        entry = (key, encoding)
        found = self._entries.get(entry)
        if found is not None:
            self._entries.move_to_end(entry)
            self._hits.inc()
            return found
        self._misses.inc()
        task = self._encoding.get(entry)
        if task is None:
            task = self._encoding[entry] = asyncio.create_task(self._make(entry, render, cache_control))
            task.add_done_callback(lambda done: self._encoded(entry, done))
        return await asyncio.shield(task)

    async def _make(
        self, entry: tuple[Hashable, Encoding], render: Callable[[], Awaitable[Page]], cache_control: str
    ) -> Document:
        page = await self._page(entry[0], render)
        document = await _encode(page, entry[1], cache_control)
        self._entries[entry] = document
        self._size += len(document.body) + _OVERHEAD
        while self._size > self._limit and len(self._entries) > 1:
            _, old = self._entries.popitem(last=False)
            self._size -= len(old.body) + _OVERHEAD
        metrics.document_bytes.set(self._size)
        return document

    async def _page(self, key: Hashable, render: Callable[[], Awaitable[Page]]) -> Page:
        """The plain page, rendered once for all codings that are asked while it is young."""
        task = self._pages.get(key)
        if task is None:
            task = self._pages[key] = asyncio.ensure_future(render())
            task.add_done_callback(lambda done: self._rendered(key, done))
            while len(self._pages) > 8:
                self._pages.popitem(last=False)
        return await asyncio.shield(task)

    def _encoded(self, entry: tuple[Hashable, Encoding], done: asyncio.Task[Document]) -> None:
        del self._encoding[entry]
        if not done.cancelled():
            # Looked at: who asked may have gone away meanwhile.
            done.exception()

    def _rendered(self, key: Hashable, done: asyncio.Future[Page]) -> None:
        """Remember a page for the other codings; not a large one, because these are not counted."""
        failed = done.cancelled() or done.exception() is not None
        if (failed or done.result().size > self._limit // 64) and self._pages.get(key) is done:
            del self._pages[key]


async def _encode(page: Page, encoding: Encoding, cache_control: str) -> Document:
    work = sum(block.work(encoding) for block in page.blocks)
    if work >= _WORTH_A_THREAD or page.size >= _LARGE:
        return await asyncio.to_thread(encode, page, encoding, cache_control)
    return encode(page, encoding, cache_control)


def encode(page: Page, encoding: Encoding, cache_control: str) -> Document:
    """A page in a content coding, with the headers it is sent with.

    The ETag is strong and names the content and the coding, so that it is the same on every replica and differs between
    representations (RFC 9110, section 8.8.3).
    """
    parts = page.blocks
    digest = hashlib.sha256(page.content_type.encode() + b"\0" + blocks.digest(parts)).hexdigest()[:32]
    used: Encoding = encoding if page.size >= _WORTH_COMPRESSING else "identity"
    match used:
        case "gzip":
            body = blocks.gzip(parts)
        case "zstd":
            body = blocks.zstd(parts)
        case "identity":
            body = blocks.identity(parts)
    etag = f'"{digest}"' if used == "identity" else f'"{digest}-{used}"'
    kept = CIMultiDict((("ETag", etag), ("Cache-Control", cache_control), *page.headers))
    headers = kept.copy()
    headers["Content-Type"] = page.content_type
    headers["X-Content-Type-Options"] = "nosniff"
    if used != "identity":
        headers["Content-Encoding"] = used
    return Document(
        body,
        etag,
        CIMultiDictProxy(headers),
        CIMultiDictProxy(kept),
        _head("200 OK", [*headers.items(), ("Content-Length", str(len(body)))]),
        _head("304 Not Modified", kept.items()),
    )


def redirect(url: str) -> Document:
    """An answer that sends the client to a presigned URL, which nobody else should see or keep."""
    headers = CIMultiDictProxy(
        CIMultiDict({"Location": url, "Cache-Control": "private, no-store", "Referrer-Policy": "no-referrer"})
    )
    head = _head("302 Found", [*headers.items(), ("Content-Length", "0")])
    return Document(b"", "", headers, headers, head, head, status=302)


def _head(status: str, headers: Iterable[tuple[str, str]]) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers), ""]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a header holds a line break")
    return "\r\n".join(lines).encode("latin-1")


def matches(if_none_match: str, etag: str) -> bool:
    """Whether a conditional request already has this document. Compared weakly (RFC 9110, section 13.1.2)."""
    if if_none_match == etag:
        return True
    if if_none_match.strip() == "*":
        return True
    return any(candidate.strip().removeprefix("W/") == etag for candidate in if_none_match.split(","))
