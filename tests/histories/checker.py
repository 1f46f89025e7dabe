"""The checker: what in a history strict freshness cannot explain. Pure, and linear but for sorting.

Strictly fresh means that each register is linearizable: every write that was acknowledged happened at one moment
between its start and its end, one whose outcome is unknown at one moment after its start or never, and every read saw
what the last write before some moment within the read had left.

A sweep along time finds for each read the writes it may have seen: of its value, begun before the read ended, and not
overwritten before the read began. None is a violation; exactly one tells that this write had happened when the read
ended, also when nobody was told so. That keeps later reads from unseeing it. With reads attributed to writes, each
write with its readers is a zone of time, and zones that do not fit beside each other are a violation, too (Gibbons and
Korach, Testing Shared Memories, SIAM J. Comput. 26, 1997): writes that overlap may take effect in either order, but all
replicas must show the same one.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.histories.history import ONCE, SOMETHING, Operation, Value


@dataclass(frozen=True, slots=True)
class Violation:
    """What is wrong, with which register, and the operation that shows it."""

    rule: str
    register: str
    text: str
    operation: Operation

    def __str__(self) -> str:
        one = self.operation
        where = f"{one.client} at {one.replica}, {one.what}, {one.start:.6f} to {one.end}"
        return f"{self.rule}: {self.register}: {self.text} ({where})"


@dataclass(slots=True, eq=False)
class _Write:
    value: Value
    start: float
    stop: float
    operation: Operation
    # By when it had happened: its end, or the end of the first read that certainly saw it.
    happened: float = math.inf
    reads: list[_Read] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Read:
    value: Value
    start: float
    end: float
    operation: Operation
    # Whatever had happened before this time had been overwritten when the read began.
    floor: float = -math.inf
    over: bool = False


def check(operations: Iterable[Operation]) -> list[Violation]:
    """Everything that is wrong with a history, in order of time."""
    operations = sorted(operations, key=lambda one: one.start)
    found = [
        Violation("an answer nobody should get", "", f"status {one.status}", one)
        for one in operations
        if one.outcome == "broken"
    ]
    writes = _writes(operations)
    reads = _reads(operations, writes)
    for register in writes.keys() | reads.keys():
        found += _created_once(register, writes.get(register, []))
        found += _sweep(register, writes.get(register, []), reads.get(register, []))
    return sorted(found, key=lambda one: one.operation.start)


def _writes(operations: list[Operation]) -> dict[str, list[_Write]]:
    found: dict[str, list[_Write]] = defaultdict(list)
    for one in operations:
        if one.outcome in {"ok", "unknown", "broken"}:
            stop = one.stop if one.outcome == "ok" else math.inf
            for register, value in one.writes:
                found[register].append(_Write(value, one.start, stop, one))
    return found


def _reads(operations: list[Operation], writes: dict[str, list[_Write]]) -> dict[str, list[_Read]]:
    """What was seen of each register, the absence of those that were not listed included."""
    items: dict[str, list[str]] = defaultdict(list)
    for register in writes:  # in the order of their first writes
        items[register.partition("#")[0]].append(register)
    found: dict[str, list[_Read]] = defaultdict(list)
    for one in operations:
        if one.outcome != "ok" or one.end is None:
            continue
        for register, value in one.reads:
            found[register].append(_Read(value, one.start, one.end, one))
        seen = {register for register, _ in one.reads}
        for listing in one.whole:
            for register in items[listing]:
                if writes[register][0].start >= one.end:
                    break
                if register not in seen:
                    found[register].append(_Read(None, one.start, one.end, one))
    return found


def _created_once(register: str, writes: list[_Write]) -> list[Violation]:
    """Of rivals for one place at most one is told that it was created, unless a delete may lie between them."""
    if not register.startswith(ONCE):
        return []
    made = sorted((one for one in writes if one.value is not None and one.stop < math.inf), key=lambda one: one.stop)
    deletes = [one for one in writes if one.value is None]
    return [
        Violation("created twice", register, f"as {first.value} and as {second.value}", second.operation)
        for first, second in itertools.pairwise(made)
        if first.value != second.value
        and not any(one.start < second.stop and one.stop > first.start for one in deletes)
    ]


def _sweep(register: str, writes: list[_Write], reads: list[_Read]) -> list[Violation]:
    """Attribute reads to writes; then see whether the writes can be put in an order."""
    # Every operation begins before it ends; of what happens at the same time, beginnings come first.
    events: list[tuple[float, int, int, _Write | _Read]] = []
    for number, one in enumerate((*writes, *reads)):
        events.append((one.start, 0, number, one))
        stop = one.end if isinstance(one, _Read) else one.stop
        if stop < math.inf:
            events.append((stop, 1, number, one))
    nothing = Operation("nothing was there yet", start=-math.inf, end=-math.inf, outcome="ok")
    initial = _Write(None, -math.inf, -math.inf, nothing, happened=-math.inf)
    sweep = _Sweep(register, initial)
    for time, ending, _, one in sorted(events, key=lambda event: event[:3]):
        sweep.step(time, one, ending=ending == 1)
    return sweep.violations or _fit(register, [initial, *writes])


class _Sweep:
    """The state of the sweep along the time of one register."""

    def __init__(self, register: str, initial: _Write) -> None:
        self.violations: list[Violation] = []
        self._register = register
        self._candidates: dict[Value, list[_Write]] = {None: [initial], SOMETHING: []}
        self._floor = -math.inf
        self._open: deque[_Read] = deque()

    def step(self, time: float, one: _Write | _Read, *, ending: bool) -> None:
        if isinstance(one, _Write):
            if ending:
                self._happened(one, time)
                return
            self._candidates.setdefault(one.value, []).append(one)
            if one.value is not None:
                self._candidates[SOMETHING].append(one)
        elif ending:
            self._attribute(one, time)
            one.over = True
        else:
            one.floor = self._floor
            self._open.append(one)

    def _happened(self, write: _Write, time: float) -> None:
        if write.happened == math.inf:
            write.happened = time
            self._floor = max(self._floor, write.start)

    def _attribute(self, read: _Read, time: float) -> None:
        while self._open and self._open[0].over:
            self._open.popleft()
        known = self._candidates.get(read.value, [])
        # What even the oldest read under way cannot have seen, no later one can.
        known[:] = [one for one in known if one.happened >= self._open[0].floor]
        possible = [one for one in known if one.happened >= read.floor]
        if not possible:
            text = f"{_shown(read.value)} was seen, {self._why(read)}"
            self.violations.append(Violation("not fresh", self._register, text, read.operation))
        elif len(possible) == 1:
            possible[0].reads.append(read)
            self._happened(possible[0], time)

    def _why(self, read: _Read) -> str:
        later = [one for some in self._candidates.values() for one in some if one.value != read.value]
        newest = max((one for one in later if one.happened < read.start), key=lambda one: one.start, default=None)
        if newest is None:
            return "which nobody wrote"
        known = f"known since {newest.happened:.6f}"
        return f"but {_shown(newest.value)} had been written by {newest.operation.client}, {known}"


def _fit(register: str, writes: list[_Write]) -> list[Violation]:
    """Zones: a write and its readers need the register for themselves from the first end to the last start."""
    forward: list[tuple[float, float, _Write]] = []
    backward: list[tuple[float, float, _Write]] = []
    for one in writes:
        first = min((read.end for read in one.reads), default=math.inf)
        last = max((read.start for read in one.reads), default=-math.inf)
        first, last = min(first, one.stop), max(last, one.start)
        (forward if first < last else backward).append((min(first, last), max(first, last), one))
    forward.sort(key=lambda zone: zone[:2])
    found = [
        _unfit(register, one, other) for (_, end, one), (start, _, other) in itertools.pairwise(forward) if start < end
    ]
    starts = [start for start, _, _ in forward]
    for start, end, one in backward:
        before = bisect_left(starts, start) - 1
        if before >= 0 and end < forward[before][1]:
            found.append(_unfit(register, forward[before][2], one))
    return found


def _unfit(register: str, one: _Write, other: _Write) -> Violation:
    text = f"{_shown(one.value)} and {_shown(other.value)} were seen in turns, in an order that no replica may show"
    last = max((*one.reads, *other.reads), key=lambda read: read.start, default=None)
    return Violation("flapping", register, text, last.operation if last else other.operation)


def _shown(value: Value) -> str:
    return "nothing" if value is None else value
