"""Sections: the entries of a large page, rendered once each and compressed together in blocks that outlive a change.

A page of thousands of versions changes by one of them. Its entries are kept with the revision of the row each was
rendered from, so a publish renders one entry, and only the section around it is compressed and hashed again. Where one
section ends and the next begins depends on the ids alone: every replica makes the same blocks, whatever it had before.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from registry.blocks import Block
from registry.db.connection import Torn

# Id of a row, and its revision: what an entry was rendered from.
Mark = tuple[int, int]

# A section ends behind about one id of this many: some 30 to 100 KB, which deflate no worse than the whole.
_AVERAGE = 64
# Multiplied by this (2^32 divided by the golden ratio), ids of any regular pattern fall everywhere in 32 bits.
_SPREAD = 0x9E3779B1
_WORD = 0xFFFFFFFF
# A smaller page is one block: it deflates better, and there is little to gain.
_SMALL = 96 * 1024
# What an entry and a section cost beside their texts, about.
_OVERHEAD = 300


class Entry(Protocol):
    """What is listed; `text` is how, without the comma behind it."""

    @property
    def text(self) -> bytes:
        """The bytes of the entry in the page."""


class Row(Protocol):
    """What an entry is rendered from."""

    @property
    def id(self) -> int:
        """Of the row."""

    @property
    def revision(self) -> int:
        """Another one whenever anything that is shown of it changes."""


E = TypeVar("E", bound=Entry)
R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True)
class _Section(Generic[E]):
    marks: tuple[Mark, ...]
    entries: tuple[E, ...]
    lead: bytes
    block: Block


class Sections(Generic[E]):
    """The entries of one page, in order. Immutable."""

    def __init__(self, sections: Iterable[_Section[E]] = ()) -> None:
        self._sections = tuple(sections)

    @property
    def entries(self) -> list[E]:
        """All entries."""
        return [entry for section in self._sections for entry in section.entries]

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The texts of the entries, with commas between them."""
        return tuple(section.block for section in self._sections)

    @property
    def size(self) -> int:
        """About the bytes that are kept: a text as such, in its block, and compressed."""
        texts = sum(len(section.block.raw) for section in self._sections)
        return 5 * texts // 2 + _OVERHEAD * sum(len(section.marks) + 1 for section in self._sections)

    def missing(self, marks: Sequence[Mark]) -> list[Mark]:
        """The marks of which no entry is here."""
        same = self._same(marks)
        known = {mark for section in self._sections[len(same) :] for mark in section.marks}
        return [mark for mark in marks[sum(map(len, same)) :] if mark not in known]

    async def changed(
        self, marks: Sequence[Mark], list_rows: Callable[[Sequence[int] | None], Awaitable[list[R]]]
    ) -> list[R]:
        """The rows of the entries that are missing, at least; `list_rows` finds those of some ids, or (None) all.

        Raises Torn when one of them is not any more what it was when the marks were read.
        """
        missing = self.missing(marks)
        if not missing:
            return []
        rows = await list_rows([mark[0] for mark in missing] if self._sections else None)
        if not {(row.id, row.revision) for row in rows}.issuperset(missing):
            raise Torn
        return rows

    def renewed(self, marks: Sequence[Mark], fresh: Mapping[int, E]) -> Sections[E]:
        """The page of these marks, in their order; `fresh` holds at least the entries that are `missing`."""
        same = self._same(marks)
        parts = _cut(marks[sum(map(len, same)) :])
        wanted = set(parts)
        kept = {section.marks: section for section in self._sections[len(same) :]}
        # Of the sections that are not wanted as they are.
        known = {
            mark: entry
            for part, section in kept.items()
            if part not in wanted
            for mark, entry in zip(part, section.entries, strict=True)
        }
        made = [*self._sections[: len(same)]]
        for part in parts:
            lead = b"," if made else b""
            section = kept.get(part)
            if section is None or section.lead != lead:
                entries = section.entries if section else tuple(known.get(mark) or fresh[mark[0]] for mark in part)
                section = _Section(part, entries, lead, Block(lead + b",".join(entry.text for entry in entries)))
            made.append(section)
        return Sections(made)

    def _same(self, marks: Sequence[Mark]) -> list[tuple[Mark, ...]]:
        """The marks of the first sections, as long as the page begins with them. The last one may have been cut off."""
        same: list[tuple[Mark, ...]] = []
        place = 0
        for section in self._sections[:-1]:
            end = place + len(section.marks)
            if tuple(marks[place:end]) != section.marks:
                break
            same.append(section.marks)
            place = end
        return same


def join(head: bytes, sections: Sections[E], tail: bytes) -> bytes | tuple[Block, ...]:
    """A page: the bytes of a small one, the blocks of a large one."""
    blocks = sections.blocks
    size = len(head) + len(tail) + sum(len(block.raw) for block in blocks)
    if size <= _SMALL:
        return b"".join((head, *(block.raw for block in blocks), tail))
    return (Block(head), *blocks, Block(tail))


def _cut(marks: Sequence[Mark]) -> list[tuple[Mark, ...]]:
    ends = [
        place
        for place, (number, _) in enumerate(marks, 1)
        if (number * _SPREAD & _WORD) < (_WORD + 1) // _AVERAGE or place == len(marks)
    ]
    return [tuple(marks[start:end]) for start, end in zip([0, *ends], ends, strict=False)]


class KeptSections:
    """The sections of pages of late, bounded by bytes. A key names all that entries depend on beside their rows."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._pages: OrderedDict[Hashable, Sections[Any]] = OrderedDict()

    def find(self, key: Hashable) -> Sections[Any] | None:
        """The sections a page was last made of."""
        return self._pages.get(key)

    def keep(self, key: Hashable, sections: Sections[Any]) -> None:
        """Remember what a page is made of now. One that is larger than half the limit is not kept."""
        self._drop(key)
        if sections.size > self._limit // 2:
            return
        self._pages[key] = sections
        self._size += sections.size
        while self._size > self._limit:
            self._drop(next(iter(self._pages)))

    def _drop(self, key: Hashable) -> None:
        old = self._pages.pop(key, None)
        if old is not None:
            self._size -= old.size
