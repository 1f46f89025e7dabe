"""Trees: packages that depend on each other, the same bytes every time - 60 wheels, and 300 npm packages."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import random
import tarfile
import zipfile
from dataclasses import dataclass
from functools import cache

WHEELS, TARBALLS = 60, 300
# Bytes of content; most packages are small, some are not.
_SIZES = (4_000, 12_000, 30_000, 60_000, 150_000)
_MOMENT = (2026, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Wheel:
    """One release of a distribution."""

    name: str
    version: str
    content: bytes

    @property
    def file_name(self) -> str:
        """As twine uploads it."""
        return f"{self.name}-{self.version}-py3-none-any.whl"


@dataclass(frozen=True, slots=True)
class Tarball:
    """One version of an npm package."""

    name: str
    version: str
    dependencies: dict[str, str]
    content: bytes

    @property
    def integrity(self) -> str:
        """Subresource Integrity of the tarball."""
        return f"sha512-{base64.b64encode(hashlib.sha512(self.content).digest()).decode()}"

    def document(self) -> dict[str, object]:
        """What `npm publish` sends."""
        shasum = hashlib.sha1(self.content, usedforsecurity=False).hexdigest()
        dist = {
            "integrity": self.integrity,
            "shasum": shasum,
            "tarball": f"http://x.test/{self.name}/-/{self.name}-{self.version}.tgz",
        }
        data = base64.b64encode(self.content).decode()
        return {
            "_id": self.name,
            "name": self.name,
            "dist-tags": {"latest": self.version},
            "versions": {self.version: {**_package(self.name, self.version, self.dependencies), "dist": dist}},
            "_attachments": {f"{self.name}-{self.version}.tgz": {"data": data, "length": len(self.content)}},
        }


@cache
def wheels() -> tuple[Wheel, ...]:
    """The first depends, through others, on all."""
    return tuple(_wheel(number) for number in range(WHEELS))


@cache
def tarballs() -> tuple[Tarball, ...]:
    """The first depends, through others, on all."""
    return tuple(_tarball(number) for number in range(TARBALLS))


def below(number: int, count: int) -> range:
    """What a package depends on: a tree in which each has four below it."""
    return range(4 * number + 1, min(4 * number + 5, count))


def _payload(kind: str, number: int) -> bytes:
    made = random.Random(f"{kind}-{number}")  # noqa: S311  # the same every time
    return made.randbytes(_SIZES[number % len(_SIZES)])


def _wheel(number: int) -> Wheel:
    needs = [f"branch-{one}>=1.0" for one in below(number, WHEELS)]
    return _made(f"branch_{number}", "1.0", needs, _payload("wheel", number))


def padded_wheel(name: str, version: str, size: int) -> bytes:
    """A wheel of a little more than `size` bytes, without dependencies."""
    return _made(name, version, [], random.Random(name).randbytes(size)).content  # noqa: S311


def _made(name: str, version: str, needs: list[str], payload: bytes) -> Wheel:
    home = f"{name}-{version}.dist-info"
    lines = ["Metadata-Version: 2.1", f"Name: {name.replace('_', '-')}", f"Version: {version}", "Summary: A branch"]
    lines += [f"Requires-Dist: {one}" for one in needs]
    members = {
        f"{name}/__init__.py": f'__version__ = "{version}"\n'.encode(),
        f"{name}/data.bin": payload,
        f"{home}/METADATA": "".join(f"{line}\n" for line in lines).encode(),
        f"{home}/WHEEL": b"Wheel-Version: 1.0\nGenerator: bench\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},sha256={_digest(content)},{len(content)}\n" for path, content in members.items())
    members[f"{home}/RECORD"] = f"{record}{home}/RECORD,,\n".encode()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for path, content in members.items():
            member = zipfile.ZipInfo(path, _MOMENT)
            member.external_attr = 0o644 << 16
            target.writestr(member, content)
    return Wheel(name, version, archive.getvalue())


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def _tarball(number: int) -> Tarball:
    dependencies = {f"leaf-{one}": "^1.0.0" for one in below(number, TARBALLS)}
    return tarball(f"leaf-{number}", "1.0.0", dependencies, _payload("tarball", number))


def tarball(name: str, version: str, dependencies: dict[str, str] | None = None, payload: bytes = b"") -> Tarball:
    """A sound npm package."""
    dependencies = dependencies or {}
    members = {
        "package/package.json": json.dumps(_package(name, version, dependencies)).encode(),
        "package/index.js": f'module.exports = "{name}"\n'.encode(),
        "package/data.bin": payload,
    }
    archive = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=archive, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w") as target,
    ):
        for path, content in members.items():
            member = tarfile.TarInfo(path)
            member.size = len(content)
            target.addfile(member, io.BytesIO(content))
    return Tarball(name, version, dependencies, archive.getvalue())


def _package(name: str, version: str, dependencies: dict[str, str]) -> dict[str, object]:
    return {"name": name, "version": version, "main": "index.js", "license": "MIT", "dependencies": dependencies}
