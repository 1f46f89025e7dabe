"""The S3 store: one bucket, one prefix, one client for the life of the process.

It needs GetObject, PutObject, DeleteObject, AbortMultipartUpload, ListBucket and ListBucketMultipartUploads. Without
ListBucket a missing object looks like a forbidden one and is `Unavailable`.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from botocore.exceptions import ClientError  # type: ignore[import-untyped]

from registry.errors import FileNotFound, Unavailable
from registry.storage import Opened, S3Location, StoredObject, UnfinishedUpload, check_key, check_range
from registry.storage.presign import Credentials, Presigner, bucket_url
from registry.storage.s3_client import Deadlines, deadline, error_code, open_client
from registry.storage.s3_writer import S3Writer

if TYPE_CHECKING:
    from aiobotocore.credentials import AioCredentials  # type: ignore[import-untyped]
    from types_aiobotocore_s3 import S3Client

T = TypeVar("T")


class Condition(TypedDict, total=False):
    """A precondition of a request that creates an object."""

    IfNoneMatch: str


PIECE = 256 * 1024  # bytes of a streamed piece at most


async def connect(location: S3Location, *, deadlines: Deadlines | None = None) -> S3Store:
    """A store for a bucket. Nothing is asked of the bucket yet; credentials must be there."""
    limits = deadlines or Deadlines()
    async with AsyncExitStack() as stack:
        client, credentials = await open_client(location, limits, stack)
        endpoint = location.public_endpoint_url or client.meta.endpoint_url
        presigner = Presigner(bucket_url(endpoint, location.bucket, location.addressing), client.meta.region_name)
        store = S3Store(client, credentials, location, presigner, limits, stack.pop_all())
    try:
        await store.refresh_credentials()
    except BaseException:
        await store.close()
        raise
    return store


class S3Store:
    """See `registry.storage.BlobStore`. Made by `connect`."""

    def __init__(
        self,
        client: S3Client,
        credentials: AioCredentials,
        location: S3Location,
        presigner: Presigner,
        deadlines: Deadlines,
        resources: AsyncExitStack,
    ) -> None:
        self.client = client
        self.bucket = location.bucket
        self.deadlines = deadlines
        self._prefix = location.prefix
        self._credentials = credentials
        self._signing: Credentials | None = None
        self._presigner = presigner
        self._resources = resources
        self._conditional = True
        self._detached: set[asyncio.Task[Any]] = set()
        self.public_host: str | None = presigner.host

    async def admit(self, size: int) -> None:
        """What a bucket holds is not known here."""

    def writer(self, key: str, *, opened: Opened | None = None) -> S3Writer:
        """Start an object. Costs up to three parts (24 MiB) of memory."""
        return S3Writer(self, key, identity=secrets.token_hex(16), opened=opened)

    async def size(self, key: str) -> int:
        """Bytes of the object."""
        async with self.operation(key):
            head = await self.client.head_object(Bucket=self.bucket, Key=self.name(key))
        return head["ContentLength"]

    async def read(self, key: str, start: int, length: int) -> bytes:
        """Exactly the bytes there are in the range."""
        async with deadline(self.deadlines.transfer(length), key), aclosing(self.stream(key, start, length)) as pieces:
            return b"".join([piece async for piece in pieces])

    async def stream(self, key: str, start: int = 0, length: int | None = None) -> AsyncGenerator[bytes]:
        """The bytes of a range, in pieces. Holds a connection until it is closed."""
        check_range(start, length)
        if length == 0:
            await self.size(key)  # HTTP has no empty range, but an absent object is still an error
            return
        span = f"bytes={start}-" if length is None else f"bytes={start}-{start + length - 1}"
        async with self.operation(key):
            try:
                answer = await self.client.get_object(Bucket=self.bucket, Key=self.name(key), Range=span)
            except ClientError as error:
                if error_code(error) not in ("InvalidRange", "416"):
                    raise
                return  # it starts past the end, or the object is empty
        async with answer["Body"] as body:
            if "ContentRange" not in answer and (start or length is not None):
                raise Unavailable(f"The object store ignored the range of a request ({key})")
            while True:
                async with deadline(self.deadlines.operation, key):
                    piece = await body.read(PIECE)
                if not piece:
                    return
                yield piece

    async def delete(self, key: str) -> None:
        """Remove the object; an absent one is fine."""
        with suppress(FileNotFound):
            async with self.operation(key):
                await self.client.delete_object(Bucket=self.bucket, Key=self.name(key))

    async def abort_upload(self, key: str, upload_id: str | None) -> None:
        """Abort a multipart upload; without an id all that are open under the key."""
        for upload in [upload_id] if upload_id is not None else await self._uploads(key):
            with suppress(FileNotFound):
                async with self.operation(key):
                    await self.client.abort_multipart_upload(Bucket=self.bucket, Key=self.name(key), UploadId=upload)

    async def _uploads(self, key: str) -> Sequence[str]:
        name = self.name(key)
        pages = self.client.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket, Prefix=name)
        try:
            return [
                upload["UploadId"]
                async for page in self._pages(pages, key)
                for upload in page.get("Uploads", ())
                if upload["Key"] == name
            ]
        except FileNotFound:
            return ()  # what rclone says of a key without uploads

    async def list(self) -> AsyncGenerator[StoredObject]:
        """Every complete object below the prefix, ordered by key. What else is there is left out."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self._prefix)
        async with aclosing(self._pages(pages, "list")) as answers:
            async for page in answers:
                for found in page.get("Contents", ()):
                    key = found["Key"].removeprefix(self._prefix)
                    with suppress(ValueError):
                        yield StoredObject(check_key(key), found["Size"], found["LastModified"])

    async def unfinished(self) -> AsyncGenerator[UnfinishedUpload]:
        """The multipart uploads below the prefix; none from a store that cannot list them."""
        pages = self.client.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket, Prefix=self._prefix)
        async with aclosing(self._pages(pages, "list", optional=True)) as answers:
            async for page in answers:
                for upload in page.get("Uploads", ()):
                    with suppress(ValueError):
                        key = check_key(upload["Key"].removeprefix(self._prefix))
                        yield UnfinishedUpload(key, upload["UploadId"], upload["Initiated"])

    async def _pages(self, pages: AsyncIterable[T], what: str, *, optional: bool = False) -> AsyncGenerator[T]:
        """The pages of a listing, each under its own deadline; none of an `optional` one that the store lacks."""
        answers = aiter(pages)
        while True:
            async with self.operation(what):
                try:
                    page = await anext(answers)
                except StopAsyncIteration:
                    return
                except ClientError as error:
                    if not optional or error_code(error) not in ("NotImplemented", "501"):
                        raise
                    return
            yield page

    def path(self, key: str) -> Path | None:
        """None: there are no local files."""
        check_key(key)
        return None

    def presign(self, key: str, *, file_name: str, now: datetime) -> str | None:
        """A download URL, signed with the credentials of the last operation: no waiting, about 20 us.

        None when temporary credentials are about to end: the next operation (serving the bytes, say) gets new ones.
        A caller that only ever signs awaits `refresh_credentials` now and then.
        """
        if self._signing is None:
            return None
        return self._presigner.url(self._signing, self.name(key), file_name=file_name, now=now)

    async def refresh_credentials(self) -> None:
        """Get new credentials if the present ones end soon (botocore says when). Every operation does this first."""
        async with deadline(self.deadlines.operation, "credentials"):
            await self._refresh()

    async def _refresh(self) -> None:
        try:
            frozen = await self._credentials.get_frozen_credentials()
        except RuntimeError as error:  # botocore's word for new credentials that have ended already
            raise Unavailable("The credentials for the object store have ended") from error
        # Only credentials that expire have this, and nothing public tells it.
        expires_at = getattr(self._credentials, "_expiry_time", None)
        fresh = Credentials(frozen.access_key, frozen.secret_key, frozen.token, expires_at)
        if fresh != self._signing:
            self._signing = fresh

    @asynccontextmanager
    async def operation(self, what: str, *, seconds: float | None = None) -> AsyncIterator[None]:
        """Around every call of the client: its deadline, the translation of its errors, fresh credentials."""
        async with deadline(seconds or self.deadlines.operation, what):
            await self._refresh()
            yield

    def name(self, key: str) -> str:
        """The key in the bucket. Raises ValueError for what is no key."""
        return f"{self._prefix}{check_key(key)}"

    async def exclusively(self, request: Callable[[Condition], Awaitable[T]]) -> T:
        """Send a request with `If-None-Match: *`, unless the store is one that refuses to know it (501, Swift)."""
        if self._conditional:
            try:
                return await request({"IfNoneMatch": "*"})
            except ClientError as error:
                if error_code(error) != "NotImplemented":
                    raise
                self._conditional = False
        return await request({})

    def detach(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start what must end even if nobody waits for it any more. `close` waits."""
        task = asyncio.create_task(work)
        self._detached.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._detached.discard(task)
        if not task.cancelled():
            task.exception()  # seen, also when nobody has waited: what failed here is left to the janitor

    async def close(self) -> None:
        """Wait for what is under way, each part of it under its deadline, and close the client."""
        while self._detached:
            await asyncio.wait(self._detached)
        await self._resources.aclose()
