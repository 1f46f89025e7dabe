"""The checker: legal histories are never flagged, each kind of violation always is."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.histories.checker import check
from tests.histories.history import SOMETHING, Operation, Outcome, Recorder, Value, load

FILE = "files/1/demo#demo-1.0.tar.gz"
TAG = "tags/1/demo#next"


def write(register: str, value: Value, start: float, end: float, outcome: Outcome = "ok") -> Operation:
    return Operation("write", "writer", "replica-1", start, end, outcome, writes=[(register, value)])


def read(register: str, value: Value, start: float, end: float) -> Operation:
    return Operation("read", "reader", "replica-2", start, end, "ok", reads=[(register, value)])


def look(listing: str, start: float, end: float, **seen: Value) -> Operation:
    """Of a whole listing."""
    reads = [(f"{listing}#{item}", value) for item, value in seen.items()]
    return Operation("look", "reader", "replica-2", start, end, "ok", reads=reads, whole=[listing])


VIOLATIONS: dict[str, tuple[str, list[Operation]]] = {
    "a read after an acknowledged publish does not see it": (
        "not fresh",
        [write(FILE, "aa", 1, 2), read(FILE, None, 3, 4)],
    ),
    "a whole page after an acknowledged publish lacks the file": (
        "not fresh",
        [write(FILE, "aa", 1, 2), look("files/1/demo", 3, 4)],
    ),
    "what was seen is gone without a delete, though nobody acknowledged it": (
        "not fresh",
        [write(FILE, "aa", 1, 9, "unknown"), read(FILE, "aa", 2, 3), read(FILE, None, 4, 5)],
    ),
    "what was seen on one replica while it was published is not seen on another one later": (
        "not fresh",
        [write(FILE, "aa", 1, 9), read(FILE, "aa", 2, 3), read(FILE, None, 4, 5)],
    ),
    "what was seen to be gone while it was deleted is back": (
        "not fresh",
        [write(FILE, "aa", 1, 2), write(FILE, None, 3, 9), read(FILE, None, 4, 5), read(FILE, "aa", 6, 7)],
    ),
    "a deleted file is still there": (
        "not fresh",
        [write(FILE, "aa", 1, 2), write(FILE, None, 3, 4), read(FILE, SOMETHING, 5, 6)],
    ),
    "a listed file holds other bytes": ("not fresh", [write(FILE, "aa", 1, 2), read(FILE, "bb", 3, 4)]),
    "what was refused is there": ("not fresh", [write(FILE, "aa", 1, 2, "refused"), read(FILE, "aa", 3, 4)]),
    "it is there before anybody published it": ("not fresh", [read(FILE, "aa", 1, 2), write(FILE, "aa", 3, 4)]),
    "a page shows what nobody ever published": ("not fresh", [look("files/1/demo", 1, 2, other="aa")]),
    "both rivals were told that they were first": (
        "created twice",
        [write(FILE, "aa", 1, 3), write(FILE, "bb", 2, 4)],
    ),
    "a revoked token works": (
        "not fresh",
        [write("tokens/#1", "live", 1, 2), write("tokens/#1", "revoked", 3, 4), read("tokens/#1", "live", 5, 6)],
    ),
    "a project made private is shown to anybody": (
        "not fresh",
        [
            write("visibility/1#", "public", 1, 2),
            write("visibility/1#", "private", 3, 4),
            read("visibility/1#", "public", 5, 6),
        ],
    ),
    "a removed member reads on": (
        "not fresh",
        [write("members/1#2", "member", 1, 2), write("members/1#2", None, 3, 4), read("members/1#2", "member", 5, 6)],
    ),
    "a tag points where it no longer does": (
        "not fresh",
        [write(TAG, "1.0", 1, 2), write(TAG, "2.0", 3, 4), read(TAG, "1.0", 5, 6)],
    ),
    "replicas disagree about which of two overlapping writes of a tag came last": (
        "flapping",
        [
            *(write(TAG, "1.0", 1, 20), write(TAG, "2.0", 1, 20)),
            *(read(TAG, "1.0", 2, 3), read(TAG, "2.0", 4, 5), read(TAG, "1.0", 6, 7)),
        ],
    ),
    "an answer is an internal error": (
        "an answer nobody should get",
        [dataclasses.replace(read(TAG, None, 1, 2), outcome="broken", status=500)],
    ),
}


def legal(chance: random.Random, count: int) -> list[Operation]:
    """What strictly fresh replicas answer: each operation happens at one moment, between its start and its end."""
    state: dict[str, Value] = {}
    history = []
    for moment in range(count):
        start, end = moment - chance.uniform(0, 4), moment + chance.uniform(0, 4)
        register = f"other/1/demo#{chance.choice('ab')}"
        value = chance.choice((None, "1", "2", f"unique {moment}"))
        match chance.choice(("read", "look", "write", "write", "lost", "refused")):
            case "read":
                history.append(read(register, state.get(register), start, end))
            case "look":
                there = {one.partition("#")[2]: held for one, held in state.items() if held is not None}
                history.append(look("other/1/demo", start, end, **there))
            case "write":
                state[register] = value
                history.append(write(register, value, start, end))
            case "lost":
                if chance.random() < 0.5:
                    state[register] = value
                history.append(write(register, value, start, start, "unknown"))
            case "refused":
                history.append(write(register, f"refused {moment}", start, end, "refused"))
    chance.shuffle(history)
    return history


LEGAL = st.builds(legal, st.randoms(use_true_random=True), st.integers(0, 60))


@settings(deadline=None)
@given(LEGAL)
def test_a_legal_history_is_never_flagged(history: list[Operation]) -> None:
    assert [] == check(history)


@pytest.mark.parametrize("claim", VIOLATIONS)
@settings(max_examples=25, deadline=None)
@given(history=LEGAL, at=st.floats(-10, 30), pace=st.floats(0.1, 5))
def test_one_violation_within_a_legal_history_is_caught(
    claim: str, history: list[Operation], at: float, pace: float
) -> None:
    rule, injected = VIOLATIONS[claim]
    moved = [dataclasses.replace(one, start=at + pace * one.start, end=at + pace * (one.end or 0)) for one in injected]
    found = check([*history, *moved])
    assert [rule] == [one.rule for one in found], found
    assert found[0].operation in moved


@st.composite
def any_history(draw: st.DrawFn, *, unique: bool) -> list[Operation]:
    """Up to six operations on one register, sense or not."""
    history: list[Operation] = []
    count = draw(st.integers(1, 6))
    times = draw(st.permutations(range(2 * count)))
    for number in range(count):
        start, end = sorted(times[2 * number : 2 * number + 2])
        if draw(st.booleans()):
            value = draw(st.sampled_from((str(number),) if unique else (None, "1", "2")))
            outcome: Outcome = "ok" if unique else draw(st.sampled_from(("ok", "unknown")))
            history.append(write(TAG, value, start, end, outcome))
        else:
            seen = [None, *(one.writes[0][1] for one in history if one.writes)]
            history.append(read(TAG, draw(st.sampled_from(seen)), start, end))
    return history


@settings(max_examples=150, deadline=None)
@given(any_history(unique=True))
def test_with_values_that_tell_the_write_it_finds_exactly_what_trying_every_order_finds(
    history: list[Operation],
) -> None:
    assert linearizable(history) == (check(history) == [])


@settings(max_examples=150, deadline=None)
@given(any_history(unique=False))
def test_it_flags_nothing_that_some_order_explains(history: list[Operation]) -> None:
    if linearizable(history):
        assert [] == check(history)


def linearizable(history: Sequence[Operation]) -> bool:
    """By trying every order, and every choice of what became of the unknown."""
    unknown = [one for one in history if one.outcome == "unknown"]
    known = [one for one in history if one.outcome == "ok"]
    return any(
        _explains(tuple(order))
        for count in range(len(unknown) + 1)
        for chosen in itertools.combinations(unknown, count)
        for order in itertools.permutations([*known, *chosen])
    )


def _explains(order: tuple[Operation, ...]) -> bool:
    held: Value = None
    latest = float("-inf")
    for one in order:
        # Nothing may come after what began only once it was over.
        if one.stop < latest:
            return False
        latest = max(latest, one.start)
        if one.writes:
            held = one.writes[0][1]
        elif one.reads[0][1] != held:
            return False
    return True


def test_a_history_is_the_same_once_written_down(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    recorder = Recorder(path)
    history = [operation for _, some in VIOLATIONS.values() for operation in some]
    for number, operation in enumerate(history):
        if number % 5 == 0:
            recorder.fault("something happened")
        recorder.add(operation)
    recorder.close()
    assert history == list(load(path))
    assert len(history) == len(recorder.operations)
