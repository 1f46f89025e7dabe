"""Packages made here, byte for byte the same everywhere: nothing is compressed and every date is fixed.

They cover what the public index does not accept or nobody has published: a local version, an epoch, a build tag.
"""

import base64
import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable
from functools import partial

EARLIEST = (1980, 1, 1, 0, 0, 0)  # the first date a zip can hold


def metadata(name: str, version: str) -> bytes:
    """A minimal METADATA or PKG-INFO."""
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: Made for tests\n".encode()


def wheel(name: str, version: str, *, tag: str = "py3-none-any", build: str = "") -> bytes:
    """A sound wheel holding one module called `name`, which must be a valid identifier."""
    home = f"{name}-{version}.dist-info"
    pure = "true" if tag.endswith("-none-any") else "false"
    framing = ["Wheel-Version: 1.0", "Generator: tests", f"Root-Is-Purelib: {pure}", f"Tag: {tag}"]
    framing += [f"Build: {build}"] if build else []
    members = {
        f"{name}.py": f'__version__ = "{version}"\n'.encode(),
        f"{home}/METADATA": metadata(name, version),
        f"{home}/WHEEL": "".join(f"{line}\n" for line in framing).encode(),
    }
    record = "".join(f"{path},sha256={_record_digest(content)},{len(content)}\n" for path, content in members.items())
    members[f"{home}/RECORD"] = f"{record}{home}/RECORD,,\n".encode()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as target:
        for path, content in members.items():
            member = zipfile.ZipInfo(path, EARLIEST)
            member.create_system = 3  # Unix, whatever system this runs on
            member.external_attr = 0o644 << 16
            target.writestr(member, content)
    return archive.getvalue()


def sdist(name: str, version: str) -> bytes:
    """A `.tar.gz` source distribution that setuptools would build: one module called `name`."""
    top = f"{name}-{version}"
    project = f'[project]\nname = "{name}"\nversion = "{version}"\n[tool.setuptools]\npy-modules = ["{name}"]\n'
    members = {
        f"{top}/PKG-INFO": metadata(name, version),
        f"{top}/pyproject.toml": project.encode(),
        f"{top}/{name}.py": f'__version__ = "{version}"\n'.encode(),
    }
    archive = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", compresslevel=0, fileobj=archive, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as target,
    ):
        for path, content in members.items():
            member = tarfile.TarInfo(path)
            member.size = len(content)
            target.addfile(member, io.BytesIO(content))
    return archive.getvalue()


def _record_digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


MADE: dict[str, Callable[[], bytes]] = {
    "made_local-1.0+cu118.1-cp311-cp311-linux_x86_64.whl": partial(
        wheel, "made_local", "1.0+cu118.1", tag="cp311-cp311-linux_x86_64"
    ),
    "made_epoch-1!2.0-py3-none-any.whl": partial(wheel, "made_epoch", "1!2.0"),
    "made_epoch-1!2.0.tar.gz": partial(sdist, "made_epoch", "1!2.0"),
    "made_build-1.0-7rebuilt-py3-none-any.whl": partial(wheel, "made_build", "1.0", build="7rebuilt"),
}
