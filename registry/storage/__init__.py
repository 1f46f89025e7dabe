"""Object storage: immutable bytes under keys, in a local directory or in S3.

An object is written once, under a key nobody used before, and is visible only when it is complete and durable.
Nothing here depends on conditional writes, listings or notifications of the store; a store that honours
`If-None-Match` merely makes a reused key visible as a `Conflict`.

Every operation raises `Unavailable` when the store is away or too slow, `StorageFull` when it has no room,
`FileNotFound` when the object is absent, and `ValueError` for a key outside `KEY`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol, assert_never
from urllib.parse import parse_qsl, unquote, urlsplit

KEY = re.compile(r"[0-9a-f]+(?:/[0-9a-f]+)*")
"""What a key looks like: such names mean the same in every file system, URL and signature."""

LONGEST_KEY = 200
"""Characters: leaves room for the temporary name the local store derives (a file name holds 255)."""

Opened = Callable[[str], Awaitable[None]]
"""Told the id of a multipart upload before anything is sent into it."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """A complete object: `size` in bytes, `modified` in UTC."""

    key: str
    size: int
    modified: datetime


@dataclass(frozen=True, slots=True)
class UnfinishedUpload:
    """An upload that was begun and neither completed nor aborted. `upload_id` is None where the store knows no such."""

    key: str
    upload_id: str | None
    begun: datetime


class BlobWriter(Protocol):
    """One object on its way in. One task uses it, and calls `abort` whenever it does not reach the end of `commit`.

    A `write` or `commit` that fails or is cancelled has already aborted the writer; using it further is a
    `RuntimeError`.
    """

    async def write(self, piece: bytes) -> None:
        """Append a piece of any size. Waits while the store is slower than the caller.

        An error of an earlier piece that was still under way may be raised here or by `commit`.
        """

    async def commit(self) -> None:
        """Finish: afterwards the object is complete, durable and visible; before, nothing is.

        Raises Conflict when the key is taken; what is stored there stays.
        """

    async def abort(self) -> None:
        """Leave nothing behind. Harmless after `commit` and when repeated.

        Raises Unavailable when the store could not be reached to clean up: then something may remain for
        `BlobStore.abort_upload` and `BlobStore.delete`.
        """


class BlobStore(Protocol):
    """Where objects are."""

    public_host: str | None
    """The host name presigned URLs point to, lower case, without port; None when there are no such URLs."""

    async def admit(self, size: int) -> None:
        """Raise what an upload of `size` bytes would meet, so far as that is known: StorageFull, Unavailable."""

    def writer(self, key: str, *, opened: Opened | None = None) -> BlobWriter:
        """Start an object. `opened(upload_id)` is awaited when a multipart upload begins, before its first part."""

    async def size(self, key: str) -> int:
        """Bytes of the object."""

    async def read(self, key: str, start: int, length: int) -> bytes:
        """Exactly the bytes there are in the range: fewer, or none, where it reaches past the end."""

    def stream(self, key: str, start: int = 0, length: int | None = None) -> AsyncGenerator[bytes]:
        """The bytes of a range, in pieces; to the end when `length` is None. Close it (`contextlib.aclosing`)."""

    async def delete(self, key: str) -> None:
        """Remove the object; an absent one is fine."""

    async def abort_upload(self, key: str, upload_id: str | None) -> None:
        """Remove what a writer that died left of an unfinished upload; nothing there is fine.

        Without `upload_id` everything unfinished under the key goes.
        """

    def list(self) -> AsyncGenerator[StoredObject]:
        """Every complete object, ordered by key. Close it (`contextlib.aclosing`)."""

    def unfinished(self) -> AsyncGenerator[UnfinishedUpload]:
        """Every upload that is under way, or was when its writer died. Close it (`contextlib.aclosing`).

        Empty where the store cannot tell (Swift's S3 gateway of old answers 501).
        """

    def path(self, key: str) -> Path | None:
        """The local file that holds, or would hold, the object; None when there is no such thing."""

    def presign(self, key: str, *, file_name: str, now: datetime) -> str | None:
        """A URL that downloads the object as `file_name`; the same for everybody within a window of time.

        None when the store has no URLs, or momentarily none that would live long enough: serve the bytes then.
        """

    async def close(self) -> None:
        """Wait for clean-up under way and let go of connections. Harmless when repeated."""


@dataclass(frozen=True, slots=True)
class LocalLocation:
    """A directory."""

    root: Path


@dataclass(frozen=True, slots=True)
class S3Location:
    """A bucket, and a prefix in it that ends in a slash or is empty. Holds no credentials.

    `endpoint_url` is None for AWS itself. `public_endpoint_url` is the endpoint as clients reach it, if different.
    """

    bucket: str
    prefix: str = ""
    endpoint_url: str | None = None
    region: str | None = None
    addressing: Literal["path", "virtual"] = "virtual"
    public_endpoint_url: str | None = None


@asynccontextmanager
async def open_store(url: str, *, floor: int = 0) -> AsyncIterator[BlobStore]:
    """The store at a URL (see `parse_url`), for the life of the context.

    A directory takes nothing that would leave less than `floor` bytes of its file system free.
    """
    location = parse_url(url)
    match location:
        case LocalLocation():
            from registry.storage import local

            store: BlobStore = await local.connect(location.root, floor=floor)
        case S3Location():
            from registry.storage import s3

            store = await s3.connect(location)
        case other:
            assert_never(other)
    try:
        yield store
    finally:
        await store.close()


def check_key(key: str) -> str:
    """The key itself. Raises ValueError when it does not match `KEY` or is too long."""
    if len(key) > LONGEST_KEY or KEY.fullmatch(key) is None:
        raise ValueError(f"{key[:LONGEST_KEY]!r} is not a storage key: hexadecimal digits with slashes between them")
    return key


def check_range(start: int, length: int | None) -> None:
    """Raise ValueError for a range that no object can have."""
    if start < 0 or (length is not None and length < 0):
        raise ValueError(f"a range starts and extends forward, not {start}+{length}")


def parse_url(url: str) -> LocalLocation | S3Location:
    """Read a storage URL. Raises ValueError with a sentence that names what would be accepted.

    - `file:///absolute/directory` (percent-encoded where necessary)
    - `s3://bucket/prefix` with the options `endpoint_url`, `region`, `addressing` (`path`, the default with an
      endpoint, or `virtual`) and `public_endpoint_url`. Credentials come from botocore's chain, never from the URL.
    """
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise ValueError("a storage URL holds no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    if parts.fragment:
        raise ValueError("a storage URL has no fragment: write # as %23")
    options = _options(parts.query)
    match parts.scheme:
        case "file":
            return _local_location(parts.netloc, unquote(parts.path), options)
        case "s3":
            return _s3_location(parts.netloc, parts.path.strip("/"), options)
    raise ValueError(f"a storage URL starts with file:// or s3://, not {parts.scheme!r}")


def _options(query: str) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    options = dict(pairs)
    if len(options) < len(pairs) or not all(options.values()):
        raise ValueError("each option of a storage URL is given once, with a value")
    return options


def _local_location(host: str, path: str, options: dict[str, str]) -> LocalLocation:
    if options:
        raise ValueError(f"a file:// storage URL has no options, not {', '.join(sorted(options))}")
    if host not in ("", "localhost") or not path.startswith("/") or "\0" in path:
        raise ValueError("a file:// storage URL names an absolute directory: file:///directory")
    return LocalLocation(Path(path))


def _s3_location(bucket: str, prefix: str, options: dict[str, str]) -> S3Location:
    if unknown := sorted(options.keys() - {"endpoint_url", "region", "addressing", "public_endpoint_url"}):
        raise ValueError(
            f"unknown option {', '.join(unknown)} of an s3:// storage URL: "
            "there are endpoint_url, region, addressing and public_endpoint_url"
        )
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}", bucket) is None:
        raise ValueError(f"{bucket!r} is not a bucket name: s3://bucket/prefix")
    if prefix and re.fullmatch(r"\w[\w.-]*(?:/\w[\w.-]*)*", prefix, re.ASCII) is None:
        raise ValueError(f"{prefix!r} is not a prefix: letters, digits, '.', '_', '-', and single slashes in between")
    region = options.get("region")
    if region is not None and re.fullmatch(r"[A-Za-z0-9-]{1,64}", region) is None:
        raise ValueError(f"{region!r} is not a region, such as eu-central-1")
    endpoint = _endpoint(options, "endpoint_url")
    return S3Location(
        bucket=bucket,
        prefix=f"{prefix}/" if prefix else "",
        endpoint_url=endpoint,
        region=region,
        addressing=_addressing(bucket, options.get("addressing"), own_endpoint=endpoint is not None),
        public_endpoint_url=_endpoint(options, "public_endpoint_url"),
    )


def _endpoint(options: dict[str, str], name: str) -> str | None:
    url = options.get(name)
    if url is None:
        return None
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise ValueError(f"{name} holds no credentials")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"{name} is a http:// or https:// URL without query, not {url!r}")
    return url.rstrip("/")


def _addressing(bucket: str, chosen: str | None, *, own_endpoint: bool) -> Literal["path", "virtual"]:
    # A wildcard certificate covers one label: a bucket name with a dot cannot be part of the host name.
    dotted = "." in bucket
    match chosen:
        case None:
            return "path" if own_endpoint or dotted else "virtual"
        case "path":
            return "path"
        case "virtual" if not dotted:
            return "virtual"
        case "virtual":
            raise ValueError(f"addressing=virtual needs a bucket name without dots, not {bucket!r}")
    raise ValueError(f"addressing is path or virtual, not {chosen!r}")
