"""Headers of tar members: the 512-byte block (v7, ustar, GNU) and pax records (POSIX.1-2001)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from registry.errors import Invalid

BLOCK = 512
_POSIX = b"ustar\x0000"
_OCTAL = re.compile(rb"[0-7]+")
_DECIMAL = re.compile(rb"[0-9]{1,20}")


@dataclass(frozen=True, slots=True)
class Header:
    """One header block: `type` is its one-byte type flag, `size` the bytes of content it declares."""

    name: str
    size: int
    type: bytes
    target: str


def text(raw: bytes) -> str:
    """A name as str: UTF-8, or Latin-1 when it is not UTF-8. Never holds a lone surrogate."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def until_nul(field: bytes) -> bytes:
    """The part of a field in front of the first NUL."""
    return field.partition(b"\0")[0]


def _number(field: bytes) -> int:
    """A size: octal digits ended by a blank or NUL, or GNU's base 256, marked by the highest bit."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = until_nul(field).strip(b" ")
    if not digits:
        return 0
    if not _OCTAL.fullmatch(digits):
        raise Invalid("the archive has a member whose size is not a number")
    return int(digits, 8)


def _checksum_fits(block: bytes) -> bool:
    """Whether the checksum is right: the sum of all bytes, the checksum itself taken as blanks.

    Some old programs add up signed bytes.
    """
    digits = until_nul(block[148:156]).strip(b" ")
    if not _OCTAL.fullmatch(digits):
        return False
    declared = int(digits, 8)
    counted = sum(block) - sum(block[148:156]) + 8 * 0x20
    if declared == counted:
        return True
    negative = sum(byte > 0x7F for byte in block) - sum(byte > 0x7F for byte in block[148:156])
    return declared == counted - 0x100 * negative


def parse_header(block: bytes) -> Header:
    """Read a header block of 512 bytes. Raises Invalid when it is not one."""
    if not _checksum_fits(block):
        raise Invalid("the archive is damaged: a header has a wrong checksum, or this is not a tar file")
    name = until_nul(block[:100])
    if block[345]:
        # Only POSIX headers have a prefix here; GNU ones hold times. Some readers, `tarfile` among them, prepend it
        # whatever the header says, so that the member would have two names.
        if block[257:265] != _POSIX:
            raise Invalid(f"the archive has a member with a name that can be read in two ways: {text(name)!r}")
        name = until_nul(block[345:500]) + b"/" + name
    return Header(
        name=text(name),
        size=_number(block[124:136]),
        type=block[156:157],
        target=text(until_nul(block[157:257])),
    )


def pax_records(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The (key, value) pairs of a pax header. A record is `length key=value`, the length counting all of it."""
    at = 0
    while at < len(body):
        blank = body.find(b" ", at, at + 21)
        digits = body[at : max(blank, at)]
        if not digits.isdigit():
            raise Invalid("the archive has a pax header without a length")
        end = at + int(digits)
        equals = body.find(b"=", blank + 1, end)
        if end > len(body) or equals <= blank + 1 or body[end - 1] != 0x0A:
            raise Invalid("the archive has a damaged pax header")
        yield body[blank + 1 : equals], body[equals + 1 : end - 1]
        at = end


def pax_size(value: bytes) -> int:
    """The value of the pax key `size`: decimal digits."""
    if not _DECIMAL.fullmatch(value):
        raise Invalid("the archive has a member whose size is not a number")
    return int(value)
