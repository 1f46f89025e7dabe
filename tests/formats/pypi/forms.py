"""Upload forms, byte by byte: sound ones, and ones no client would send."""

from __future__ import annotations

import hashlib

BOUNDARY = "the-boundary-of-the-tests"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
FILE_NAME = "demo-1.0.zip"
CONTENT = b"content of the file\r\n--with-something-like-a-boundary\r\n" * 40


def part(head: bytes | str, content: bytes = b"") -> bytes:
    """A part with its header lines, given without the last line break."""
    head = head.encode() if isinstance(head, str) else head
    return b"--" + BOUNDARY.encode() + b"\r\n" + head + b"\r\n\r\n" + content + b"\r\n"


def field(name: str, value: str | bytes) -> bytes:
    """A text field."""
    value = value.encode() if isinstance(value, str) else value
    return part(f'Content-Disposition: form-data; name="{name}"', value)


def file(file_name: str | bytes = FILE_NAME, content: bytes = CONTENT, name: str = "content") -> bytes:
    """The file; quotes and backslashes in its name are left as they are."""
    file_name = file_name.encode() if isinstance(file_name, str) else file_name
    return part(
        b'Content-Disposition: form-data; name="' + name.encode() + b'"; filename="' + file_name + b'"', content
    )


END = b"--" + BOUNDARY.encode() + b"--\r\n"


def form(*parts: bytes) -> bytes:
    """A whole body of these parts."""
    return b"".join(parts) + END


def upload(
    name: str | None = "demo",
    version: str | None = "1.0",
    file_name: str | bytes = FILE_NAME,
    content: bytes = CONTENT,
    **fields: str | bytes,
) -> bytes:
    """A sound form, or one that is wrong in what is given; None leaves a field out."""
    texts = {":action": "file_upload", "name": name, "version": version, **fields}
    return form(*(field(key, value) for key, value in texts.items() if value is not None), file(file_name, content))


def digest(algorithm: str, content: bytes = CONTENT) -> str:
    """The hexadecimal digest of a content; `blake2b` is its 256-bit form."""
    if algorithm == "blake2b":
        return hashlib.blake2b(content, digest_size=32).hexdigest()
    return hashlib.new(algorithm, content).hexdigest()
