"""Wheels and sdists, built in memory, sound unless asked otherwise."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping, Sequence


def a_zip(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def a_tar(members: Mapping[str, bytes], compression: str = "gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(None, f"w:{compression}", buffer) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    packed = buffer.getvalue()
    # The time in a gzip head would make every run's bytes, and the names of tests made of them, different.
    return packed[:4] + bytes(4) + packed[8:] if compression == "gz" else packed


def core_metadata(
    name: str = "demo", version: str = "1.0", *lines: str, metadata_version: str = "2.1", body: str = "A demonstration."
) -> bytes:
    head = [f"Metadata-Version: {metadata_version}", f"Name: {name}", f"Version: {version}", *lines]
    return ("\n".join(head) + f"\n\n{body}\n").encode()


def wheel_members(
    name: str = "demo", version: str = "1.0", *, metadata: bytes | None = None, without: Sequence[str] = ()
) -> dict[str, bytes]:
    directory = f"{name}-{version}.dist-info"
    members = {
        f"{name}/__init__.py": b"",
        f"{directory}/METADATA": core_metadata(name, version) if metadata is None else metadata,
        f"{directory}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{directory}/RECORD": b"",
    }
    return {path: content for path, content in members.items() if path.rpartition("/")[2] not in without}


def a_wheel(
    name: str = "demo",
    version: str = "1.0",
    *,
    metadata: bytes | None = None,
    without: Sequence[str] = (),
    extra: Mapping[str, bytes] | None = None,
) -> bytes:
    return a_zip(wheel_members(name, version, metadata=metadata, without=without) | dict(extra or {}))


def sdist_members(name: str = "demo", version: str = "1.0", *, metadata: bytes | None = None) -> dict[str, bytes]:
    top = f"{name}-{version}"
    return {
        f"{top}/setup.py": b"from setuptools import setup; setup()\n",
        f"{top}/PKG-INFO": core_metadata(name, version) if metadata is None else metadata,
        f"{top}/{name}.egg-info/PKG-INFO": b"another one, not ours",
    }


def an_sdist(
    name: str = "demo", version: str = "1.0", *, metadata: bytes | None = None, compression: str = "gz"
) -> bytes:
    members = sdist_members(name, version, metadata=metadata)
    return a_zip(members) if compression == "zip" else a_tar(members, compression)
