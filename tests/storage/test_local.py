"""What is special to the local directory store."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import threading
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from registry.errors import Conflict, FileNotFound, StorageFull, Unavailable
from registry.storage import BlobStore, open_store

from .objects import KEY, listed, put


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/deep/objects"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "objects"


def tree(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir())


async def test_an_object_is_the_file_named_by_its_key(store: BlobStore, root: Path) -> None:
    await put(store, KEY, b"content")

    assert root / KEY == store.path(KEY)
    assert (root / KEY).read_bytes() == b"content"
    assert tree(root) == ["ab/cd/ef0123456789"]
    assert stat.S_IMODE((root / KEY).stat().st_mode) & stat.S_IRWXO == 0
    assert (root / KEY).stat().st_nlink == 1


async def test_a_directory_has_no_urls(store: BlobStore) -> None:
    assert store.presign(KEY, file_name="a.whl", now=datetime.now(UTC)) is None
    assert store.public_host is None


async def test_a_multipart_upload_is_never_announced(store: BlobStore) -> None:
    async def opened(upload_id: str) -> None:
        raise AssertionError(upload_id)

    writer = store.writer(KEY, opened=opened)
    await writer.write(bytes(20 * 1024 * 1024))
    await writer.commit()
    assert 20 * 1024 * 1024 == await store.size(KEY)


async def test_an_unfinished_file_is_removed_by_its_key_alone(store: BlobStore, root: Path) -> None:
    mine, other = store.writer(KEY), store.writer("ab/cd/ef01234567892")
    await mine.write(bytes(300_000))
    await other.write(bytes(300_000))
    assert [name[:-16] for name in tree(root)] == [".incoming/ab-cd-ef0123456789.", ".incoming/ab-cd-ef01234567892."]

    await store.abort_upload(KEY, None)

    assert [name[:-16] for name in tree(root)] == [".incoming/ab-cd-ef01234567892."]
    await other.abort()
    with pytest.raises(Unavailable):
        await mine.commit()
    assert tree(root) == []


async def test_a_file_outlives_its_deletion_for_those_who_read_it(store: BlobStore) -> None:
    content = os.urandom(1_000_000)
    await put(store, KEY, content)

    async with aclosing(store.stream(KEY)) as pieces:
        received = await anext(pieces)
        await store.delete(KEY)
        async for piece in pieces:
            received += piece

    assert content == received


@pytest.mark.parametrize("call", ["write", "fsync", "link", "mkdir", "open"])
async def test_a_full_disk_is_told_and_leaves_nothing(
    store: BlobStore, root: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    writer = store.writer(KEY)
    if call != "open":
        await writer.write(bytes(300_000))
    monkeypatch.setattr(os, call, full if call != "open" else full_when_creating(full))

    async def finish() -> None:
        await writer.write(bytes(300_000))
        await writer.commit()

    with pytest.raises(StorageFull):
        await finish()

    monkeypatch.undo()
    assert tree(root) == []
    assert await listed(store) == []


def full_when_creating(full: object) -> object:
    real = os.open

    def opened(path: str, flags: int, *args: int, **kwargs: int) -> int:
        return full() if flags & os.O_CREAT else real(path, flags, *args, **kwargs)  # type: ignore[operator]

    return opened


async def test_a_full_disk_after_the_name_was_given_takes_it_back(
    store: BlobStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def full_once_linked(descriptor: int) -> None:
        if (root / KEY).exists():
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full_once_linked)

    with pytest.raises(StorageFull):
        await put(store, KEY, b"content")

    assert tree(root) == []


async def test_everything_is_on_the_disk_before_commit_returns(
    store: BlobStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[int, bool]] = []
    real = os.fsync

    def observed(descriptor: int) -> None:
        synced.append((os.fstat(descriptor).st_ino, (root / KEY).exists()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", observed)
    await put(store, KEY, b"content")

    def inode(path: Path) -> int:
        return path.stat().st_ino

    assert [
        (inode(root / KEY), False),
        (inode(root), False),
        (inode(root / "ab"), False),
        (inode(root / "ab/cd"), True),
    ] == synced


async def test_a_failing_disk_is_unavailable(store: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    await put(store, KEY, b"content")
    monkeypatch.setattr(os, "pread", broken)

    with pytest.raises(Unavailable):
        await store.read(KEY, 0, 7)


async def test_a_directory_that_went_away_is_unavailable_and_not_empty(store: BlobStore, root: Path) -> None:
    await asyncio.to_thread(root.rename, root.with_name("elsewhere"))

    for attempt in (store.size(KEY), store.read(KEY, 0, 1), store.delete(KEY), listed(store), put(store, KEY, b"")):
        with pytest.raises(Unavailable):
            await attempt


async def test_where_it_cannot_be_seen_whether_there_is_a_link_no_path_is_given(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> os.stat_result:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    await put(store, KEY, b"content")
    with monkeypatch.context() as patch:
        patch.setattr(os, "lstat", broken)
        with pytest.raises(OSError, match="Input/output error"):
            store.path(KEY)
    assert store.path(KEY) is not None


async def test_links_in_the_tree_are_not_followed(store: BlobStore, root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "ef01").write_text("secret")
    (root / "aa").mkdir()
    (root / "aa" / "ef01").symlink_to(outside / "ef01")
    (root / "bb").symlink_to(outside)

    for key in ("aa/ef01", "bb/ef01"):
        with pytest.raises(FileNotFound):
            await store.size(key)
        with pytest.raises(FileNotFound):
            await store.read(key, 0, 10)
        assert store.path(key) is None
        await store.delete(key)
    with pytest.raises(Unavailable):
        await put(store, "bb/00", b"content")

    assert await listed(store) == []
    assert tree(outside) == ["ef01"]
    assert (outside / "ef01").read_text() == "secret"


async def test_a_link_is_not_written_through(store: BlobStore, root: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (root / "ab").symlink_to(victim)

    with pytest.raises(Conflict):
        await put(store, "ab", b"content")

    assert victim.read_text() == "untouched"


async def test_only_plain_files_with_names_of_keys_are_objects(store: BlobStore, root: Path) -> None:
    (root / "lost+found").mkdir()
    (root / ".hidden").touch()
    (root / "README").touch()
    (root / "ab").mkdir()
    os.mkfifo(root / "ab" / "cd")
    await put(store, "ab/ef", b"content")

    with pytest.raises(FileNotFound):
        await store.read("ab/cd", 0, 1)
    assert await listed(store) == [("ab/ef", 7)]


async def test_the_loop_turns_while_a_disk_is_slow(store: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    held = threading.Event()
    real = os.fsync

    def slow(descriptor: int) -> None:
        assert held.wait(10)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    task = asyncio.create_task(put(store, KEY, b"content"))
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert not task.done()

    held.set()
    await task
    assert await store.size(KEY) == 7


async def test_a_cancelled_commit_waits_for_the_disk_and_then_leaves_nothing(
    store: BlobStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, held = threading.Event(), threading.Event()
    real = os.fsync

    def slow(descriptor: int) -> None:
        entered.set()
        assert held.wait(10)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    task = asyncio.create_task(put(store, KEY, b"content"))
    await asyncio.to_thread(entered.wait, 10)
    task.cancel()
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.sleep(0.01)
    assert not task.done()

    held.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert tree(root) == []


async def test_no_descriptor_is_left_open(store: BlobStore) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    await put(store, KEY, b"content" * 100_000)
    await store.read(KEY, 0, 10)
    async with aclosing(store.stream(KEY)) as pieces:
        await anext(pieces)
    await listed(store)
    abandoned = store.writer("ff")
    await abandoned.write(bytes(300_000))
    await abandoned.abort()
    for absent in ("00", "ab/00", "ab/cd/00"):
        with pytest.raises(FileNotFound):
            await store.size(absent)

    assert before == len(os.listdir("/proc/self/fd"))  # noqa: PTH208


async def test_a_root_that_cannot_be_created_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(Unavailable, match="cannot be created: Not a directory"):
        async with open_store(f"file://{tmp_path}/file/objects"):
            pass
