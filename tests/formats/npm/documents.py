"""Publish documents and tarballs as npm clients make them, for the tests."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from typing import Any

from registry.model import Digests

NAME = "@acme/widget"
VERSION = "1.0.0"


def a_tarball(
    package_json: object = None, files: Mapping[str, bytes] | None = None, *, folder: str = "package"
) -> bytes:
    """A .tgz with a package.json and more files, in one folder."""
    content = {"name": NAME, "version": VERSION} if package_json is None else package_json
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    members = {f"{folder}/package.json": text} | {f"{folder}/{path}": data for path, data in (files or {}).items()}
    return tar(list(members.items()))


def tar(members: list[tuple[str, bytes]]) -> bytes:
    """A .tgz with exactly these members; a name may occur twice."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def a_document(tarball: bytes, *, name: str = NAME, version: str = VERSION, **manifest: object) -> dict[str, Any]:
    """What `npm publish` sends; `manifest` adds to or replaces members of the version object."""
    dist = {
        "integrity": f"sha512-{base64.b64encode(hashlib.sha512(tarball).digest()).decode()}",
        "shasum": hashlib.sha1(tarball, usedforsecurity=False).hexdigest(),
        "tarball": f"http://registry.test/{name}/-/{name}-{version}.tgz",
    }
    return {
        "_id": name,
        "name": name,
        "dist-tags": {"latest": version},
        "versions": {version: {"name": name, "version": version, "dist": dist} | manifest},
        "access": None,
        "_attachments": {
            f"{name}-{version}.tgz": {
                "content_type": "application/octet-stream",
                "data": base64.b64encode(tarball).decode(),
                "length": len(tarball),
            }
        },
    }


def digests(content: bytes) -> Digests:
    return Digests(
        sha256=hashlib.sha256(content).hexdigest(),
        sha1=hashlib.sha1(content, usedforsecurity=False).hexdigest(),
        sha512=hashlib.sha512(content).hexdigest(),
    )
