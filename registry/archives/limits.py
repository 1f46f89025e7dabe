"""Limits: what an archive may cost, and which names it may hold."""

from __future__ import annotations

import re
from dataclasses import dataclass

from registry.errors import Invalid

MIB = 1 << 20
# How much is read, decompressed and held at a time.
PIECE = 256 * 1024
# Small archives may compress as well as they like: what they unpack to is small, too.
RATIO_FLOOR = 64 * MIB

_UP = re.compile(r"(?:^|[/\\])\.\.(?:[/\\]|$)")
_ABSOLUTE = re.compile(r"[/\\]|[A-Za-z]:[/\\]")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one archive may cost.

    max_members: files, directories and links together. The largest icon packages of npm have 43,000.
    max_unpacked: bytes after decompression.
    max_ratio: bytes unpacked for one byte of archive; enforced when more than 64 MiB are unpacked.
    max_header: bytes of one pax header or GNU long name.
    """

    max_members: int = 50_000
    max_unpacked: int = 16 * 1024 * MIB
    max_ratio: int = 200
    max_header: int = MIB

    def unpacked(self, packed: int) -> int:
        """The number of bytes that an archive of `packed` bytes may unpack to."""
        return min(self.max_unpacked, max(RATIO_FLOOR, self.max_ratio * packed))


DEFAULT_LIMITS = Limits()


def check_path(name: str) -> None:
    """Raise Invalid for a member that would be unpacked outside of the directory chosen by the user.

    Backslashes count as separators, as they do where Windows unpacks. A NUL is refused because one reader stops there
    and another one does not.
    """
    if not name:
        raise Invalid("the archive has a member without a name")
    if "\0" in name:
        raise Invalid(f"the archive has a member with a NUL in its name: {name!r}")
    if _ABSOLUTE.match(name) or _UP.search(name):
        raise Invalid(f"the archive has a member outside of its own directory: {name!r}")
