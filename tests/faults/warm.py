"""Imported by the process that replicas are forked from: everything a replica needs, imported and read once."""

from __future__ import annotations

import asyncio
import functools

import botocore.session
from aiobotocore.session import get_session

import tests.faults.replicas  # noqa: F401  # with the whole server


async def _make_client() -> None:
    options = {"region_name": "us-east-1", "aws_access_key_id": "-", "aws_secret_access_key": "-"}
    async with get_session().create_client("s3", **options):
        pass


# A client reads the description of S3, which takes a second; a fork finds it read.
botocore.session.create_loader = functools.cache(botocore.session.create_loader)
asyncio.run(_make_client())
