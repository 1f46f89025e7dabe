"""The reason phrase: the one line of an error that twine, hatch and flit show to people."""

from __future__ import annotations

import re

LONGEST = 200

_UNPRINTABLE = re.compile(r"[^ -~]")


def reason_phrase(text: str) -> str:
    """`text` as a status line can carry it: one line of at most 200 printable characters.

    Clients read the line as Latin-1 while aiohttp writes UTF-8, so only their common part, ASCII, arrives unharmed:
    other characters become `?`. Runs of white space, line breaks among them, become one space: no text can start a
    header.
    """
    line = _UNPRINTABLE.sub("?", " ".join(text.split()))
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}..."
