"""The S3 client: how botocore is set up, how long it may take, and what its errors mean here."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
from aiobotocore.config import AioConfig  # type: ignore[import-untyped]
from aiobotocore.credentials import AioCredentials  # type: ignore[import-untyped]
from aiobotocore.session import AioSession  # type: ignore[import-untyped]
from botocore import auth, exceptions  # type: ignore[import-untyped]
from botocore.exceptions import (  # type: ignore[import-untyped]
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    MetadataRetrievalError,
    TokenRetrievalError,
)
from botocore.handlers import add_expect_header  # type: ignore[import-untyped]
from botocore.parsers import ResponseParserError  # type: ignore[import-untyped]

from registry.errors import Conflict, FileNotFound, RegistryError, StorageFull, TooLarge, Unavailable
from registry.storage import S3Location

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

CONNECTIONS = 512
"""Connections one process may hold: a slow client behind a proxied download occupies one all the while."""

AWAY = (
    HTTPClientError,
    exceptions.ConnectionError,
    IncompleteReadError,
    ResponseParserError,
    CredentialRetrievalError,
    MetadataRetrievalError,
    TokenRetrievalError,
    aiohttp.ClientError,
    OSError,  # TimeoutError is one
)

CODES: dict[str, type[RegistryError]] = {
    "NoSuchKey": FileNotFound,
    "404": FileNotFound,  # HEAD has no body to name a code
    "NoSuchUpload": FileNotFound,
    "PreconditionFailed": Conflict,
    "ConditionalRequestConflict": Conflict,
    "412": Conflict,
    "EntityTooLarge": TooLarge,
    "QuotaExceeded": StorageFull,  # Ceph
    "507": StorageFull,
}


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds, except `slowest`: bytes per second below which a transfer counts as stuck.

    `connect` and `read` are for one attempt: opening a connection, and silence on it. `operation` is for a whole
    operation with its retries, `complete` for the one that may have to put together thousands of parts.
    """

    connect: float = 3
    read: float = 15
    operation: float = 15
    complete: float = 60
    slowest: float = 32 * 1024

    def transfer(self, size: int) -> float:
        """For an operation that moves `size` bytes."""
        return self.operation + size / self.slowest


async def open_client(
    location: S3Location, deadlines: Deadlines, stack: AsyncExitStack
) -> tuple[S3Client, AioCredentials]:
    """One client for the life of the process; `stack` closes it. Raises ValueError when there are no credentials.

    The storage URL says where the bucket is, environment and profile only who we are and the default region.
    """
    session = AioSession()
    async with deadline(deadlines.operation, "credentials"):
        credentials = await session.get_credentials()
    if credentials is None:
        raise ValueError("no AWS credentials found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role")
    config = AioConfig(
        signature_version="s3v4",
        s3={"addressing_style": location.addressing, "payload_signing_enabled": True},
        # Stores answer with, or ignore, checksums in too many ways; the signed digest of the payload is checked by all.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        connect_timeout=deadlines.connect,
        read_timeout=deadlines.read,
        retries={"total_max_attempts": 3, "mode": "standard"},
        max_pool_connections=CONNECTIONS,
        ignore_configured_endpoint_urls=True,
    )
    client = await stack.enter_async_context(
        session.create_client(
            "s3",
            region_name=location.region or session.get_config_variable("region") or "us-east-1",
            endpoint_url=location.endpoint_url,
            config=config,
        )
    )
    _sign_in_threads(client)
    # `Expect: 100-continue` is a round trip per upload to save bytes in the rare case of a refusal.
    client.meta.events.unregister("before-call.s3", add_expect_header)
    return client, credentials


@asynccontextmanager
async def deadline(seconds: float, what: str) -> AsyncIterator[None]:
    """Give the body so many seconds; raise what went wrong in the words of `registry.errors`."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except ClientError as error:
        raise _translate(error, what) from error
    except AWAY as error:
        raise Unavailable(f"The object store does not answer ({what})") from error


def error_code(error: ClientError) -> str:
    """The store's own name for an error, or the status when it gave none."""
    code: str = error.response.get("Error", {}).get("Code", "")
    return code


def _translate(error: ClientError, what: str) -> RegistryError:
    code = error_code(error)
    status = str(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
    found = CODES.get(code) or (StorageFull if status == "507" else None)
    if found is FileNotFound:
        return FileNotFound(f"{what} is not stored")
    if found is Conflict:
        return Conflict(f"{what} is already stored")
    return found() if found else Unavailable(f"The object store answered {code or status} ({what})")


PAYLOAD_DIGEST = "registry_payload_sha256"
THREADED = "s3v4-registry-threaded"


class _PreparedDigestAuth(auth.S3SigV4Auth):  # type: ignore[misc]
    """Signs with the payload digest that `_digest_payload` has left in the request's context."""

    def payload(self, request: Any) -> str:
        digest: str = request.context[PAYLOAD_DIGEST]
        return digest


# Under a name of our own: botocore looks signers up by name and has no other door.
auth.AUTH_TYPE_MAPS[THREADED] = _PreparedDigestAuth


def _sign_in_threads(client: S3Client) -> None:
    """Hash what is uploaded in a thread: botocore would do it on the loop, 8 ms for a part of 8 MiB."""
    for operation in ("PutObject", "UploadPart"):
        client.meta.events.register_first(f"choose-signer.s3.{operation}", _choose_signer)
        client.meta.events.register(f"before-sign.s3.{operation}", _digest_payload)


def _choose_signer(**_: object) -> str:
    return THREADED


async def _digest_payload(request: Any, **_: object) -> None:
    body: io.BytesIO = request.data
    request.context[PAYLOAD_DIGEST] = await asyncio.to_thread(_sha256, body)


def _sha256(body: io.BytesIO) -> str:
    with body.getbuffer() as payload:
        return hashlib.sha256(payload).hexdigest()
