"""`registry advisories`: the OSV documents that `npm audit` is answered from."""

from __future__ import annotations

import argparse
import zipfile
from collections.abc import Iterator
from pathlib import Path

import orjson

from registry import advisories, osv
from registry.cli.errors import CommandError
from registry.cli.output import Result
from registry.cli.provisioning import OPERATOR, Commands, topic
from registry.db import advisories as rows
from registry.db.connection import Database
from registry.errors import Invalid, NotFound
from registry.osv import Advisory

# Bytes of one document or file of documents; the largest of the public ones have a few megabytes.
_LARGEST = 64 * 1024**2


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the commands."""
    verb = topic(commands, "advisories", "load, count and remove what audits report")
    command = verb("load", load, "load OSV documents, newer ones over older ones")
    command.add_argument(
        "path", type=Path, help="a .json document or array of documents, a .jsonl file, a .zip, or a directory of these"
    )
    command.add_argument("--replace", action="store_true", help="remove what is not in it")
    command.add_argument(
        "--keep",
        action="append",
        default=[],
        metavar="PREFIX",
        help="with --replace: keep advisories whose id begins like this, such as your own",
    )
    verb("list", count, "count the advisories, by severity")
    verb("remove", remove, "remove advisories by their OSV ids").add_argument("id", nargs="+")


async def load(db: Database, arguments: argparse.Namespace) -> Result:
    """Load advisories: all of them, or none when one cannot be read."""
    loaded = await advisories.load(db, OPERATOR, read(arguments.path), replace=arguments.replace, keep=arguments.keep)
    return {"loaded": loaded.put, "older": loaded.older, "removed": loaded.removed}


async def count(db: Database, _arguments: argparse.Namespace) -> Result:
    """Count advisories."""
    return [
        {"severity": one.severity, "advisories": one.advisories, "newest": one.newest} for one in await rows.count(db)
    ]


async def remove(db: Database, arguments: argparse.Namespace) -> Result:
    """Remove advisories."""
    try:
        await advisories.remove(db, OPERATOR, arguments.id)
    except NotFound as error:
        raise CommandError("one of these advisories was not loaded; none was removed") from error
    return None


def read(path: Path) -> Iterator[Advisory]:
    """The advisories of a file, an archive, or a directory with everything below it. Raises CommandError."""
    try:
        yield from _found(path)
    except OSError as error:
        raise CommandError(f"{error.filename or path}: {error.strerror}") from error


def _found(path: Path) -> Iterator[Advisory]:
    if path.is_dir():
        for below in sorted(path.rglob("*")):
            if below.is_file() and below.suffix in {".json", ".jsonl", ".zip"}:
                yield from _found(below)
    elif path.suffix == ".zip":
        yield from _archived(path)
    else:
        if path.stat().st_size > _LARGEST:
            raise CommandError(f"{path} is larger than {_LARGEST} bytes")
        yield from _documents(path.read_bytes(), str(path), lines=path.suffix == ".jsonl")


def _archived(path: Path) -> Iterator[Advisory]:
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if entry.filename.endswith((".json", ".jsonl")):
                    where = f"{path}: {entry.filename}"
                    if entry.file_size > _LARGEST:
                        raise CommandError(f"{where} is larger than {_LARGEST} bytes")
                    yield from _documents(archive.read(entry), where, lines=entry.filename.endswith(".jsonl"))
    except zipfile.BadZipFile as error:
        raise CommandError(f"{path} is not a zip archive") from error


def _documents(content: bytes, where: str, *, lines: bool) -> Iterator[Advisory]:
    try:
        if lines:
            found = [orjson.loads(line) for line in content.splitlines() if line.strip()]
        else:
            whole = orjson.loads(content)
            found = whole if isinstance(whole, list) else [whole]
        for document in found:
            yield osv.parse(document)
    except orjson.JSONDecodeError as error:
        raise CommandError(f"{where} is not JSON: {error}") from error
    except Invalid as error:
        raise CommandError(f"{where}: {error.text}") from error
