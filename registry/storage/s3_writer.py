"""A writer to S3: one PutObject for an object up to 8 MiB, a multipart upload for a larger one.

Never more than one part being filled and two in flight, which bounds the memory of a writer to 24 MiB.

A cancelled request may still have had its effect. Requests that create something therefore run detached from the
caller's cancellation, and the clean-up, detached too, first waits for them to learn what there is to remove. An object
carries the identity of its writer in its metadata, so that after a lost answer the writer can tell its own object from
another's.
"""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from registry import failpoints
from registry.errors import Conflict, FileNotFound, RegistryError, TooLarge, Unavailable
from registry.storage import Opened

if TYPE_CHECKING:
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef

    from registry.storage.s3 import Condition, S3Store

log = logging.getLogger(__name__)

PART = 8 * 1024 * 1024
"""Bytes of a part, and of the largest object sent in one request. S3 wants at least 5 MiB, except for the last part."""

PARTS = 10_000
"""How many parts S3 accepts: together 80,000 MiB."""

IN_FLIGHT = 2
"""Parts sent at a time."""

IDENTITY = "writer"
"""Name of the metadata that holds the writer's identity."""


class S3Writer:
    """See `registry.storage.BlobWriter`. Made by `S3Store.writer`."""

    def __init__(self, store: S3Store, key: str, *, identity: str, opened: Opened | None) -> None:
        self._store = store
        self._key = key
        self._name = store.name(key)
        self._identity = identity
        self._opened = opened
        self._part = io.BytesIO()  # handed on as it is when full: parts are never copied
        self._flying: dict[asyncio.Task[str], int] = {}
        self._etags: dict[int, str] = {}
        self._parts = 0
        self._upload: asyncio.Task[str] | None = None
        self._finish: asyncio.Task[None] | None = None
        self._absent = True  # no object of ours can be there
        self._cleaning: asyncio.Task[None] | None = None
        self._committed = False

    async def write(self, piece: bytes) -> None:
        """Append a piece of any size. Raises TooLarge past what 10,000 parts hold."""
        self._check_open()
        try:
            self._collect()
            rest = memoryview(piece)
            while rest:
                # A full part is sent when more follows: the last part is never empty, 8 MiB are still one request.
                if self._part.tell() == PART:
                    await self._send_part()
                room = PART - self._part.tell()
                self._part.write(rest[:room])
                rest = rest[room:]
        except BaseException as error:
            await self._fail(error)
            raise

    async def commit(self) -> None:
        """Complete the object."""
        self._check_open()
        try:
            if self._upload is None:
                request = self._put()
            else:
                await self._send_part()
                while self._flying:
                    await self._wait()
                request = self._complete(await self._upload)
            self._absent = False
            self._finish = self._store.detach(request)
            await asyncio.shield(self._finish)
        except BaseException as error:
            await self._fail(error)
            raise
        self._committed = True

    async def abort(self) -> None:
        """Remove whatever has been sent."""
        if self._committed:
            return
        if self._cleaning is None:
            self._cleaning = self._store.detach(self._clean_up())
        await asyncio.shield(self._cleaning)

    def _check_open(self) -> None:
        if self._committed or self._cleaning is not None:
            raise RuntimeError(f"the writer of {self._key} is finished")

    async def _fail(self, error: BaseException) -> None:
        try:
            await self.abort()
        except RegistryError:
            log.warning("An unfinished upload could not be removed", extra={"key": self._key}, exc_info=True)
        if isinstance(error, FileNotFound):
            raise Unavailable(f"{self._key} cannot be finished: what was sent of it has been removed") from error

    async def _send_part(self) -> None:
        """Let the filled part go, once there is room for it in the air."""
        if self._parts == PARTS:
            raise TooLarge(f"The file is larger than {PARTS * PART} bytes")
        if self._upload is None:
            self._upload = self._store.detach(self._create())
            upload_id = await asyncio.shield(self._upload)
            await failpoints.reach("multipart.after-create")
            if self._opened is not None:
                await self._opened(upload_id)
        while len(self._flying) >= IN_FLIGHT:
            await self._wait()
        self._parts += 1
        task = self._store.detach(self._upload_part(self._upload.result(), self._parts, self._part))
        self._flying[task] = self._parts
        self._part = io.BytesIO()

    async def _wait(self) -> None:
        await asyncio.wait(self._flying, return_when=asyncio.FIRST_COMPLETED)
        self._collect()

    def _collect(self) -> None:
        """Take down the parts that have arrived; raise the error of one that has not."""
        for task in [task for task in self._flying if task.done()]:
            self._etags[self._flying.pop(task)] = task.result()

    async def _create(self) -> str:
        async with self._store.operation(self._key):
            upload = await self._store.client.create_multipart_upload(
                Bucket=self._store.bucket, Key=self._name, Metadata={IDENTITY: self._identity}
            )
        return upload["UploadId"]

    async def _upload_part(self, upload_id: str, number: int, part: io.BytesIO) -> str:
        await failpoints.reach("multipart.before-part")
        seconds = self._store.deadlines.transfer(part.tell())
        part.seek(0)
        async with self._store.operation(self._key, seconds=seconds):
            answer = await self._store.client.upload_part(
                Bucket=self._store.bucket, Key=self._name, UploadId=upload_id, PartNumber=number, Body=part
            )
        await failpoints.reach("multipart.after-part")
        return answer["ETag"]

    async def _put(self) -> None:
        part, self._part = self._part, io.BytesIO()
        seconds = self._store.deadlines.transfer(part.tell())

        async def request(condition: Condition) -> None:
            part.seek(0)
            await self._store.client.put_object(
                Bucket=self._store.bucket, Key=self._name, Body=part, Metadata={IDENTITY: self._identity}, **condition
            )

        try:
            async with self._store.operation(self._key, seconds=seconds):
                await self._store.exclusively(request)
        except Conflict:
            # After a lost answer botocore has tried again by itself and met the object of its first attempt.
            if not await self._is_there():
                raise

    async def _complete(self, upload_id: str) -> None:
        parts: list[CompletedPartTypeDef] = [
            {"PartNumber": number, "ETag": etag} for number, etag in sorted(self._etags.items())
        ]

        async def request(condition: Condition) -> None:
            await self._store.client.complete_multipart_upload(
                Bucket=self._store.bucket,
                Key=self._name,
                UploadId=upload_id,
                MultipartUpload={"Parts": parts},
                **condition,
            )

        await failpoints.reach("multipart.before-complete")
        try:
            async with self._store.operation(self._key, seconds=self._store.deadlines.complete):
                await self._store.exclusively(request)
        except RegistryError:
            # No answer, or NoSuchUpload or PreconditionFailed to a second attempt: whether it is done, the object says.
            if not await self._is_there():
                raise
        await failpoints.reach("multipart.after-complete")

    async def _is_there(self) -> bool:
        """Whether the object is stored and ours."""
        try:
            async with self._store.operation(self._key):
                head = await self._store.client.head_object(Bucket=self._store.bucket, Key=self._name)
        except FileNotFound:
            self._absent = True
            return False
        ours = head["Metadata"].get(IDENTITY) == self._identity
        self._absent = not ours
        return ours

    async def _clean_up(self) -> None:
        self._part = io.BytesIO()
        for task in self._flying:
            task.cancel()
        await self._ended(*self._flying, self._upload, self._finish)
        if self._upload is not None:
            known = not self._upload.cancelled() and self._upload.exception() is None
            await self._store.abort_upload(self._key, self._upload.result() if known else None)
        if not self._absent and await self._is_there():
            await self._store.delete(self._key)

    @staticmethod
    async def _ended(*work: Awaitable[object] | None) -> None:
        """Wait for the end of some tasks, whatever it is: their errors have been, or need not be, told."""
        await asyncio.gather(*(task for task in work if task is not None), return_exceptions=True)
