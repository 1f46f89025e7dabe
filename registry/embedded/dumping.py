"""pg_dump and pg_restore of the installation that the embedded PostgreSQL comes from."""

from __future__ import annotations

import subprocess
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from registry.embedded.programs import ENVIRONMENT, EmbeddedError


def dump(binaries: Path, url: str, target: Path, *, snapshot: str) -> None:
    """Write the database at `url`, as a snapshot sees it, into a new file in the custom format.

    Raises EmbeddedError with what the program said.
    """
    _run(binaries, "pg_dump", url, *("--format", "custom", "--snapshot", snapshot, "--file", str(target)))


def restore(binaries: Path, url: str, source: Path) -> None:
    """Fill the empty database at `url`, in one transaction. Raises EmbeddedError with what the program said."""
    database = urlsplit(url).path.removeprefix("/")
    _run(binaries, "pg_restore", url, *("--single-transaction", "--exit-on-error", "--dbname", database), str(source))


def _run(binaries: Path, name: str, url: str, *arguments: str) -> None:
    if not (binaries / name).exists():
        raise EmbeddedError(f"{binaries} has no {name}: install PostgreSQL's client programs of the same version")
    done = subprocess.run(  # noqa: S603
        [binaries / name, "--no-owner", "--no-privileges", *arguments],
        env={**ENVIRONMENT, **_connection(url)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        raise EmbeddedError(f"{name} failed: {done.stderr.decode(errors='replace').strip()}")


def _connection(url: str) -> dict[str, str]:
    """The URL as libpq's environment: arguments, and so passwords in them, are for all to see."""
    parts = urlsplit(url)
    options = parse_qs(parts.query)
    return {
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGHOST": options["host"][0],
        "PGPORT": options["port"][0],
        "PGDATABASE": unquote(parts.path.removeprefix("/")),
    }
