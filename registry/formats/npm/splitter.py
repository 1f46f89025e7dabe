"""The splitter: takes the tarball out of a publish document while the document streams in.

A publish document is one JSON object whose `_attachments` hold the tarball as base64, first or last or anywhere among
the top-level keys. The splitter decodes that one string piece by piece and keeps everything else, so that memory
depends on the document without its tarball only.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass

import orjson
import pybase64

from registry.errors import Invalid, TooLarge
from registry.formats.npm import strictjson

DOCUMENT_LIMIT = 8 * 1024 * 1024  # bytes of the document without the tarball's data
DEPTH_LIMIT = 100  # open objects and arrays
CONTAINER_LIMIT = 1_000_000  # objects and arrays altogether; each costs most of a microsecond

NOT_BASE64 = "The attachment is not valid base64"

# The possessive repeats never backtrack: time is linear in the text whatever it holds.
_IN_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_PLAIN = re.compile(rb'[^"{}\[\]]*+')
_SKIP = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
_BASE64 = re.compile(r"[A-Za-z0-9+/=]*+")
_QUOTE = ord('"')
_ESCAPE_LENGTH = len(rb"\u0041")


@dataclass(frozen=True, slots=True)
class Split:
    """What a publish document holds besides the tarball's bytes.

    `document` is the decoded document in which the tarball's `data` is the empty string; `tarball` is the key of the
    attachment that was decoded, None when there was none; `size` its length in bytes.
    """

    document: dict[str, object]
    tarball: str | None
    size: int


class Splitter:
    """Splits one document: `feed` every piece of the body in order, then `finish`.

    The state is where the text read so far ends: `depth` counts the open objects and arrays, `watched` how many of
    them lie on the path document -> `_attachments` -> one attachment. Only on that path are keys looked at.
    """

    def __init__(self, *, document_limit: int = DOCUMENT_LIMIT, depth_limit: int = DEPTH_LIMIT) -> None:
        self._document_limit = document_limit
        self._depth_limit = depth_limit
        self._kept = bytearray()
        self._containers = 0
        self._pending = b""  # the few bytes that mean nothing without the next: of an escape, of four base64 characters
        self._depth = 0
        self._watched = 0
        self._keys = ["", "", "", ""]  # the latest key of the objects on the watched path, by depth
        self._at_value = False
        self._in_string = False
        self._key: bytearray | None = None  # what has been read of a key, as long as one is being read
        self._in_data = False
        self._padded = False
        self._tarball: str | None = None
        self._size = 0

    def feed(self, piece: bytes) -> bytes:
        """Take the next piece of the body, of any size; return the bytes of the tarball that it completes.

        Raises Invalid for broken base64, a second tarball and too deep nesting, TooLarge when the rest of the
        document outgrows its limit.
        """
        text = self._pending + piece if self._pending else piece
        self._pending = b""
        decoded: list[bytes] = []
        while text:
            text = self._read_data(text, decoded) if self._in_data else self._scan(text)
        self._size += sum(map(len, decoded))
        return decoded[0] if len(decoded) == 1 else b"".join(decoded)

    def finish(self) -> Split:
        """The document without the tarball's data, once the body has ended. Raises Invalid when it is not valid."""
        if self._in_data:
            raise Invalid("Invalid json: the document ends inside the attachment")
        self._keep(self._pending)
        document = strictjson.loads(bytes(self._kept))
        if not isinstance(document, dict):
            raise Invalid("Invalid json: a publish document is an object")
        return Split(document, self._tarball, self._size)

    def _scan(self, text: bytes) -> bytes:
        """Read on outside the data. Returns the text from the data's first character on, empty when none begins."""
        at, end = 0, len(text)
        while at < end:
            if self._in_string:
                at = self._read_string(text, at)
                if at < end and self._in_string:  # what is left is half an escape
                    self._pending = text[at:]
                    break
                continue
            watching = self._depth == self._watched > 0
            stop = _end(_PLAIN if watching else _SKIP, text, at)
            if watching:
                self._at_value = self._is_value(text, at, stop)
            at = stop + 1
            if stop == end:
                break
            if text[stop] != _QUOTE:
                self._bracket(text[stop])
            elif watching and self._at_value and self._is_data():
                self._begin_data()
                self._keep(text[:at])
                return text[at:]
            else:
                self._in_string = True
                self._key = bytearray() if watching and not self._at_value else None
        self._keep(text[:at])
        return b""

    def _read_string(self, text: bytes, at: int) -> int:
        """Read on inside a string. Returns where reading goes on: behind the string when it has ended."""
        stop = _end(_IN_STRING, text, at)
        if self._key is not None:
            self._key += text[at:stop]
        if text[stop : stop + 1] != b'"':
            return stop
        if self._key is not None:
            self._keys[self._depth] = _unescape(b'"%b"' % bytes(self._key))
        self._in_string = False
        return stop + 1

    def _is_value(self, text: bytes, start: int, stop: int) -> bool:
        """Whether a string at `stop` is a value: the last `:` or `,` before it tells."""
        colon, comma = text.rfind(b":", start, stop), text.rfind(b",", start, stop)
        return self._at_value if colon == comma else colon > comma

    def _is_data(self) -> bool:
        return self._depth == 3 and self._keys[3] == "data" and self._keys[2].endswith(".tgz")

    def _bracket(self, character: int) -> None:
        if character in b"}]":
            self._depth = max(self._depth - 1, 0)
            self._watched = min(self._watched, self._depth)
            return
        on_path = self._depth == self._watched and character == ord("{")
        if on_path and (self._depth in {0, 2} or (self._depth == 1 and self._keys[1] == "_attachments")):
            self._watched += 1
            self._keys[self._watched] = ""
            self._at_value = False
        self._depth += 1
        self._containers += 1
        if self._depth > self._depth_limit:
            raise Invalid(f"Invalid json: nested deeper than {self._depth_limit} levels")
        if self._containers > CONTAINER_LIMIT:
            raise Invalid(f"Invalid json: more than {CONTAINER_LIMIT} objects and arrays")

    def _begin_data(self) -> None:
        if self._tarball is not None:
            both = f"{strictjson.show(self._tarball)} and {strictjson.show(self._keys[2])}"
            raise Invalid(f"One tarball is published at a time, {both} are attached")
        self._tarball = self._keys[2]
        self._in_data = True

    def _read_data(self, text: bytes, decoded: list[bytes]) -> bytes:
        """Decode base64 up to the closing quote. Returns the text after that quote, empty when it is not there."""
        quote = text.find(b'"')
        data = text if quote < 0 else text[:quote]
        held = b""
        if b"\\" in data:
            data, held = _unescape_data(data, ended=quote >= 0)
        whole = len(data) - len(data) % 4
        if quote >= 0 and whole != len(data):
            raise Invalid(f"{NOT_BASE64}: its length is not a multiple of four")
        if whole:
            decoded.append(self._decode(data[:whole]))
        if quote < 0:
            self._pending = data[whole:] + held
            return b""
        self._in_data = False
        self._keep(b'"')
        return text[quote + 1 :]

    def _decode(self, data: bytes) -> bytes:
        if self._padded:
            raise Invalid(f"{NOT_BASE64}: it goes on after the padding")
        self._padded = data.endswith(b"=")
        try:
            return pybase64.b64decode(data, validate=True)
        except binascii.Error as error:
            raise Invalid(NOT_BASE64) from error

    def _keep(self, text: bytes) -> None:
        self._kept += text
        if len(self._kept) > self._document_limit:
            raise TooLarge(f"The document without its attachment is larger than {self._document_limit} bytes")


def _end(pattern: re.Pattern[bytes], text: bytes, at: int) -> int:
    """Where a pattern that also matches nothing stops matching."""
    match = pattern.match(text, at)
    return at if match is None else match.end()


def _unescape(string: bytes) -> str:
    """The text of a JSON string given with its quotes. Raises Invalid."""
    try:
        return str(orjson.loads(string))
    except orjson.JSONDecodeError as error:
        raise Invalid("Invalid json") from error


def _unescape_data(data: bytes, *, ended: bool) -> tuple[bytes, bytes]:
    r"""Base64 free of JSON escapes (`\/` from PHP, `\u002B` from .NET), and an escape that is still incomplete."""
    held = b""
    last = data.rfind(b"\\")
    if not ended and len(data) - last < _ESCAPE_LENGTH and data[last + 1 : last + 2] in {b"", b"u"}:
        data, held = data[:last], data[last:]
    try:
        text = _unescape(b'"%b"' % data)
    except Invalid as error:
        raise Invalid(NOT_BASE64) from error
    # Checked here because an escaped quote, once unescaped, would look like the end of the string.
    if not _BASE64.fullmatch(text):
        raise Invalid(NOT_BASE64)
    return text.encode(), held
