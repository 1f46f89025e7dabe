"""S3 servers other than moto, started here for one run of the storage suite: `python -m tests.s3servers ceph`.

They come from system packages or the Python index, are heavy, and are not installed by `make test`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class S3Server:
    """Where a server answers, who may ask it, and where it keeps the precondition that an object is new.

    `exclusive` holds `put`, for an object sent in one request, and `complete`, for one sent in parts.
    """

    endpoint: str
    access_key: str
    secret_key: str
    exclusive: frozenset[str]

    @property
    def environment(self) -> dict[str, str]:
        """The variables that tell a test run to use it, read back by `chosen`."""
        return {
            "TEST_S3_ENDPOINT": self.endpoint,
            "TEST_S3_ACCESS_KEY": self.access_key,
            "TEST_S3_SECRET_KEY": self.secret_key,
            "TEST_S3_EXCLUSIVE": " ".join(self.exclusive),
        }


def chosen(environment: Mapping[str, str] = os.environ) -> S3Server | None:
    """The server that this test run shall use in place of moto."""
    endpoint = environment.get("TEST_S3_ENDPOINT")
    if not endpoint:
        return None
    return S3Server(
        endpoint,
        environment["TEST_S3_ACCESS_KEY"],
        environment["TEST_S3_SECRET_KEY"],
        frozenset(environment["TEST_S3_EXCLUSIVE"].split()),
    )
