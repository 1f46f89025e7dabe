"""What is special to the S3 store: multipart uploads, lost answers, deadlines, credentials."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
import re
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest

from registry.errors import Conflict, StorageFull, TooLarge, Unavailable
from registry.storage import open_store, s3_writer
from registry.storage.presign import Credentials
from registry.storage.s3 import S3Store
from registry.storage.s3_client import Deadlines

from .objects import KEY, MIB, content_of, killed_writer, listed, pattern, put
from .servers import Proxy, mute_server, s3_store

NOW = datetime(2026, 3, 4, 10, 20, 30, tzinfo=UTC)


async def uploads(store: S3Store) -> list[str]:
    answer = await store.client.list_multipart_uploads(Bucket=store.bucket)
    return [upload["Key"] for upload in answer.get("Uploads", [])]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, ["PUT"]),
        (8 * MIB, ["PUT"]),
        (8 * MIB + 1, ["POST?uploads", *["PUT?partNumber&uploadId"] * 2, "POST?uploadId"]),
        (16 * MIB, ["POST?uploads", *["PUT?partNumber&uploadId"] * 2, "POST?uploadId"]),
        (16 * MIB + 1, ["POST?uploads", *["PUT?partNumber&uploadId"] * 3, "POST?uploadId"]),
    ],
)
async def test_objects_up_to_8_mib_are_one_request_and_larger_ones_parts_of_8_mib(
    proxied: S3Store, proxy: Proxy, size: int, expected: list[str]
) -> None:
    await put(proxied, KEY, bytes(size))

    assert proxy.operations == expected
    assert await uploads(proxied) == []


async def test_payloads_are_signed_as_botocore_would_and_carry_no_checksum_or_expectation(
    proxied: S3Store, proxy: Proxy
) -> None:
    sent: list[tuple[AWSRequest, str]] = []

    async def remember(request: web.Request, body: bytes) -> None:
        _, names, signature = re.findall(r"=([^, ]+)", request.headers["Authorization"])
        headers = {name: request.headers[name] for name in names.split(";")}
        signed = AWSRequest(request.method, f"{proxy.url}{request.path_qs}", headers, body)
        signed.context["timestamp"] = request.headers["X-Amz-Date"]
        sent.append((signed, signature))

    proxy.answer = remember
    await put(proxied, "aa", b"small")
    await put(proxied, "bb", pattern(9 * MIB))

    signer = S3SigV4Auth(Credentials("AKIDEXAMPLE", "not/a+secret"), "s3", "us-east-1")
    for signed, signature in sent:
        assert signed.headers["X-Amz-Content-SHA256"] == hashlib.sha256(signed.data).hexdigest()
        text = signer.string_to_sign(signed, signer.canonical_request(signed))
        assert signature == signer.signature(text, signed)
    names = {name.lower() for _, headers in proxy.seen for name in headers}
    assert not {name for name in names if "checksum" in name or "trailer" in name or name == "expect"}


async def test_at_most_two_parts_are_in_flight_and_a_writer_waits_for_them(proxied: S3Store, proxy: Proxy) -> None:
    flying: set[str] = set()
    most = 0
    full, release = asyncio.Event(), asyncio.Event()

    async def hold(request: web.Request, body: bytes) -> None:
        nonlocal most
        if "partNumber" in request.query:
            flying.add(request.query["partNumber"])
            most = max(most, len(flying))
            if most == 2:
                full.set()
            await release.wait()
            flying.remove(request.query["partNumber"])

    proxy.answer = hold
    writer = proxied.writer(KEY)
    content = pattern(45 * MIB)

    async def upload() -> None:
        for start in range(0, len(content), MIB):
            await writer.write(content[start : start + MIB])
            written.append(start + MIB)
        await writer.commit()

    written: list[int] = []
    task = asyncio.create_task(upload())
    await asyncio.wait_for(full.wait(), 10)
    await asyncio.sleep(0.05)
    # Two parts of 8 MiB under way, a third one full; what comes next waits.
    assert written[-1] == 24 * MIB
    assert flying == {"1", "2"}

    release.set()
    await task
    assert most == 2
    assert await content_of(proxied, KEY) == content


async def test_a_multipart_upload_is_announced_before_its_first_part(proxied: S3Store, proxy: Proxy) -> None:
    seen: list[list[str]] = []

    async def opened(upload_id: str) -> None:
        assert upload_id
        seen.append(proxy.operations)

    writer = proxied.writer(KEY, opened=opened)
    await writer.write(bytes(20 * MIB))
    await writer.commit()

    assert seen == [["POST?uploads"]]


async def test_an_upload_that_cannot_be_announced_is_aborted(s3: S3Store) -> None:
    async def opened(upload_id: str) -> None:
        raise LookupError(upload_id)

    writer = s3.writer(KEY, opened=opened)

    with pytest.raises(LookupError):
        await writer.write(bytes(20 * MIB))
    assert await uploads(s3) == []


@pytest.mark.parametrize("moment", ["POST?uploads", "PUT?partNumber&uploadId", "POST?uploadId", "PUT"])
@pytest.mark.parametrize("reached", [True, False])
async def test_a_cancelled_upload_leaves_nothing(proxied: S3Store, proxy: Proxy, moment: str, *, reached: bool) -> None:
    there, release = asyncio.Event(), asyncio.Event()

    async def hold(request: web.Request, body: bytes) -> web.StreamResponse | None:
        if proxy.operations[-1] != moment or there.is_set():
            return None
        answer = await proxy.forward(request, body) if reached else None
        there.set()
        await release.wait()
        return answer

    async def upload() -> None:
        writer = proxied.writer(KEY)
        await writer.write(bytes(5 if moment == "PUT" else 30 * MIB))
        await writer.commit()

    proxy.answer = hold
    task = asyncio.create_task(upload())
    await asyncio.wait_for(there.wait(), 10)
    task.cancel()
    await asyncio.sleep(0.01)
    release.set()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert await uploads(proxied) == []
    assert await listed(proxied) == []


async def test_a_clean_up_goes_on_when_it_is_cancelled_itself(proxied: S3Store, proxy: Proxy) -> None:
    there, release = asyncio.Event(), asyncio.Event()

    async def hold(request: web.Request, body: bytes) -> None:
        if request.method == "DELETE":
            there.set()
            await release.wait()

    proxy.answer = hold
    writer = proxied.writer(KEY)
    await writer.write(bytes(20 * MIB))
    task = asyncio.create_task(writer.abort())
    await asyncio.wait_for(there.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    release.set()

    await proxied.close()
    assert proxy.operations[-1] == "DELETE?uploadId"


async def test_the_failure_of_a_part_for_which_nobody_waits_any_more_is_not_complained_of(
    proxied: S3Store, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse(request: web.Request, body: bytes) -> web.Response | None:
        return web.Response(status=403) if request.method == "PUT" else None

    proxy.answer = refuse
    writer = proxied.writer(KEY)
    await writer.write(bytes(9 * MIB))
    del writer

    await proxied.close()
    gc.collect()
    assert "PUT?partNumber&uploadId" == proxy.operations[-1]
    assert [] == [record for record in caplog.records if record.name == "asyncio"]


async def test_what_a_killed_writer_left_is_removed_by_id_or_by_key(s3: S3Store, moto: str) -> None:
    url = f"s3://{s3.bucket}?endpoint_url={moto}"
    first = await killed_writer(url)
    assert await uploads(s3) == [KEY]
    other = s3.writer(f"{KEY}0")
    await other.write(bytes(9 * MIB))

    await s3.abort_upload(KEY, first)
    assert await uploads(s3) == [f"{KEY}0"]

    await killed_writer(url)
    await killed_writer(url)
    await s3.abort_upload(KEY, None)
    assert await uploads(s3) == [f"{KEY}0"]
    await other.abort()
    assert await uploads(s3) == []


async def test_a_part_that_fails_is_told_by_a_later_write_or_commit(proxied: S3Store, proxy: Proxy) -> None:
    async def refuse(request: web.Request, body: bytes) -> web.StreamResponse | None:
        return web.Response(status=403) if request.query.get("partNumber") == "2" else None

    async def upload(size: int) -> None:
        writer = proxied.writer(KEY)
        for _ in range(size):
            await writer.write(bytes(MIB))
        await writer.commit()

    proxy.answer = refuse
    for size in (17, 60):
        with pytest.raises(Unavailable):
            await upload(size)
    assert await uploads(proxied) == []


async def test_an_upload_removed_meanwhile_is_unavailable_and_not_an_absent_package(s3: S3Store) -> None:
    announced: list[str] = []

    async def opened(upload_id: str) -> None:
        announced.append(upload_id)

    writer = s3.writer(KEY, opened=opened)
    await writer.write(bytes(17 * MIB))
    await s3.abort_upload(KEY, announced[0])

    with pytest.raises(Unavailable):
        await writer.commit()
    assert await listed(s3) == []


async def test_a_lost_answer_to_a_small_object_does_not_lose_it(proxied: S3Store, proxy: Proxy) -> None:
    async def lose_first(request: web.Request, body: bytes) -> web.StreamResponse | None:
        return await proxy.lose_answer(request, body) if len(proxy.seen) == 1 else None

    proxy.answer = lose_first
    await put(proxied, KEY, b"content")

    # The second attempt, which botocore makes by itself, met the object of the first.
    assert proxy.operations == ["PUT", "PUT", "HEAD"]
    assert await proxied.read(KEY, 0, 10) == b"content"


@pytest.mark.parametrize("losses", [1, 3])
async def test_a_lost_answer_to_a_large_object_does_not_lose_it(proxied: S3Store, proxy: Proxy, losses: int) -> None:
    async def lose(request: web.Request, body: bytes) -> web.StreamResponse | None:
        lost = proxy.operations[-1] == "POST?uploadId" and proxy.operations.count("POST?uploadId") <= losses
        return await proxy.lose_answer(request, body) if lost else None

    proxy.answer = lose
    await put(proxied, KEY, bytes(9 * MIB))

    assert await listed(proxied) == [(KEY, 9 * MIB)]
    assert await uploads(proxied) == []


async def test_an_object_whose_every_answer_was_lost_is_removed_when_its_upload_is_said_to_fail(
    proxied: S3Store, proxy: Proxy
) -> None:
    async def lose(request: web.Request, body: bytes) -> web.StreamResponse | None:
        if request.method != "PUT":
            return None
        if len(proxy.seen) == 1:
            return await proxy.lose_answer(request, body)
        return web.Response(status=503)

    proxy.answer = lose
    with pytest.raises(Unavailable):
        await put(proxied, KEY, b"content")

    assert await listed(proxied) == []


async def test_a_completion_that_fails_inside_a_success_is_a_failure(proxied: S3Store, proxy: Proxy) -> None:
    async def fail(request: web.Request, body: bytes) -> web.StreamResponse | None:
        if proxy.operations[-1] != "POST?uploadId":
            return None
        text = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>InternalError</Code><Message>no</Message></Error>'
        return web.Response(text=text, content_type="application/xml")

    proxy.answer = fail
    with pytest.raises(Unavailable):
        await put(proxied, KEY, bytes(9 * MIB))

    assert proxy.operations.count("POST?uploadId") == 3
    assert await listed(proxied) == []
    assert await uploads(proxied) == []


async def test_a_store_that_refuses_preconditions_is_used_without(proxied: S3Store, proxy: Proxy) -> None:
    async def refuse(request: web.Request, body: bytes) -> web.StreamResponse | None:
        if "If-None-Match" not in request.headers:
            return None
        text = "<Error><Code>NotImplemented</Code><Message>A header is not implemented</Message></Error>"
        return web.Response(status=501, text=text, content_type="application/xml")

    proxy.answer = refuse
    await put(proxied, "aa", b"one")
    await put(proxied, "bb", b"two")
    await put(proxied, "cc", pattern(9 * MIB))

    assert proxy.operations[:3] == ["PUT", "PUT", "PUT"]
    assert await listed(proxied) == [("aa", 3), ("bb", 3), ("cc", 9 * MIB)]
    assert await proxied.read("aa", 0, 10) == b"one"


async def test_an_object_of_somebody_else_is_never_removed(proxied: S3Store, proxy: Proxy) -> None:
    await put(proxied, KEY, b"first")

    async def break_down(request: web.Request, body: bytes) -> web.StreamResponse | None:
        return web.Response(status=503) if request.method == "PUT" else None

    proxy.answer = break_down
    with pytest.raises(Unavailable):
        await put(proxied, KEY, b"second")
    proxy.answer = None
    with pytest.raises(Conflict):
        await put(proxied, KEY, b"third")

    assert await proxied.read(KEY, 0, 10) == b"first"


async def test_more_than_ten_thousand_parts_are_too_large(s3: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_writer, "PARTS", 2)

    await put(s3, "aa", bytes(16 * MIB))
    with pytest.raises(TooLarge):
        await put(s3, "bb", bytes(16 * MIB + 1))

    assert await listed(s3) == [("aa", 16 * MIB)]
    assert await uploads(s3) == []


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (503, "SlowDown", Unavailable),
        (500, "InternalError", Unavailable),
        (403, "AccessDenied", Unavailable),
        (404, "NoSuchBucket", Unavailable),
        (403, "QuotaExceeded", StorageFull),
        (507, "XMinioStorageFull", StorageFull),
        (400, "EntityTooLarge", TooLarge),
        (409, "ConditionalRequestConflict", Conflict),
    ],
)
async def test_refusals_of_the_store_are_told_in_our_words(
    proxied: S3Store, proxy: Proxy, status: int, code: str, expected: type[Exception]
) -> None:
    async def refuse(request: web.Request, body: bytes) -> web.StreamResponse | None:
        if request.method != "PUT":
            return None
        text = f"<Error><Code>{code}</Code><Message>secret detail</Message></Error>"
        return web.Response(status=status, text=text, content_type="application/xml")

    proxy.answer = refuse
    with pytest.raises(expected) as caught:
        await put(proxied, KEY, b"content")

    assert type(caught.value) is expected
    assert "secret" not in str(caught.value)


async def test_a_download_cut_short_is_an_error_and_not_a_short_object(proxied: S3Store, proxy: Proxy) -> None:
    await put(proxied, KEY, pattern(MIB))

    async def cut(request: web.Request, body: bytes) -> web.StreamResponse | None:
        if request.method != "GET":
            return None
        response = web.StreamResponse(status=206, headers={"Content-Range": f"bytes 0-{MIB - 1}/{MIB}"})
        response.content_length = MIB
        await response.prepare(request)
        await response.write(bytes(1000))
        assert request.transport is not None
        request.transport.close()
        return response

    proxy.answer = cut
    with pytest.raises(Unavailable):
        await proxied.read(KEY, 0, MIB)
    with pytest.raises(Unavailable):
        await content_of(proxied, KEY)


async def test_a_store_that_ignores_ranges_is_noticed(proxied: S3Store, proxy: Proxy) -> None:
    async def ignore(request: web.Request, body: bytes) -> web.StreamResponse | None:
        return web.Response(body=b"0123456789") if request.method == "GET" else None

    proxy.answer = ignore

    assert await content_of(proxied, KEY) == b"0123456789"
    with pytest.raises(Unavailable):
        await proxied.read(KEY, 5, 2)


async def test_only_objects_below_the_prefix_with_names_of_keys_are_listed(s3: S3Store, moto: str) -> None:
    for name in ("ab", "mine/ab", "mine/cd/ef", "mine/README", "mine2/ab"):
        await s3.client.put_object(Bucket=s3.bucket, Key=name, Body=b"1")
    store = await s3_store(f"s3://{s3.bucket}/mine?endpoint_url={moto}")

    assert await listed(store) == [("ab", 1), ("cd/ef", 1)]
    await store.close()


async def test_a_long_listing_comes_in_pages(proxied: S3Store, proxy: Proxy) -> None:
    keys = [f"{number:02x}" for number in range(5)]
    for key in keys:
        await put(proxied, key, b"")

    async def limit(request: web.Request, body: bytes) -> web.StreamResponse:
        short = request.clone(rel_url=request.rel_url.update_query({"max-keys": "2"}))
        return await proxy.forward(short, body)

    proxy.answer = limit

    assert await listed(proxied) == [(key, 0) for key in keys]
    assert len(proxy.seen) == 5 + 3


QUICK = Deadlines(connect=0.1, read=0.1, operation=0.2, complete=0.2, slowest=1e12)


@pytest.mark.parametrize("deadlines", [QUICK, Deadlines(operation=0.2, complete=0.2, slowest=1e12)])
async def test_a_hung_store_is_unavailable_within_the_deadline(deadlines: Deadlines) -> None:
    async with mute_server(reading=True) as url:
        store = await s3_store(f"s3://bucket?endpoint_url={url}", deadlines)
        for attempt in (
            store.size(KEY),
            store.read(KEY, 0, 10),
            content_of(store, KEY),
            store.delete(KEY),
            store.abort_upload(KEY, "id"),
            store.abort_upload(KEY, None),
            listed(store),
            put(store, KEY, b"small"),
            put(store, KEY, bytes(20 * MIB)),
        ):
            began = time.monotonic()
            with pytest.raises(Unavailable):
                await attempt
            # A failed upload spends a second deadline on cleaning up.
            assert time.monotonic() - began < 1.5
        await store.close()


async def test_a_store_that_takes_no_bytes_is_unavailable_within_the_deadline() -> None:
    async with mute_server(reading=False) as url:
        store = await s3_store(f"s3://bucket?endpoint_url={url}", QUICK)
        with pytest.raises(Unavailable):
            await put(store, KEY, bytes(8 * MIB))
        await store.close()


async def test_a_store_that_is_not_there_is_unavailable(unused_tcp_port: int) -> None:
    store = await s3_store(f"s3://bucket?endpoint_url=http://127.0.0.1:{unused_tcp_port}", QUICK)

    with pytest.raises(Unavailable):
        await store.size(KEY)
    writer = store.writer(KEY)
    await writer.write(b"content")
    with pytest.raises(Unavailable):
        await writer.commit()
    with pytest.raises(Unavailable):
        await writer.abort()

    await store.close()


async def test_it_can_be_opened_while_the_store_is_away_and_closed_twice(unused_tcp_port: int) -> None:
    async with open_store(f"s3://bucket?endpoint_url=http://127.0.0.1:{unused_tcp_port}") as store:
        with pytest.raises(Unavailable):
            await store.size(KEY)
        await store.close()


async def test_a_bucket_that_does_not_exist_is_no_absent_object(s3: S3Store, moto: str) -> None:
    store = await s3_store(f"s3://no-such-bucket?endpoint_url={moto}")

    with pytest.raises(Unavailable):
        await store.read(KEY, 0, 1)
    with pytest.raises(Unavailable):
        await put(store, KEY, b"content")

    await store.close()


async def test_a_presigned_url_downloads_the_object_under_its_name(s3: S3Store) -> None:
    await put(s3, KEY, b"content")

    url = s3.presign(KEY, file_name="demo-1.0.tar.gz", now=datetime.now(UTC))

    assert url is not None
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "application/octet-stream"
        assert response.headers["Content-Disposition"] == (
            "attachment; filename=\"demo-1.0.tar.gz\"; filename*=UTF-8''demo-1.0.tar.gz"
        )
        assert await response.read() == b"content"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://bucket", ("https", "bucket.s3.amazonaws.com", "/ab", "bucket.s3.amazonaws.com")),
        (
            "s3://bucket/pre?region=eu-central-1",
            ("https", "bucket.s3.eu-central-1.amazonaws.com", "/pre/ab", "bucket.s3.eu-central-1.amazonaws.com"),
        ),
        (
            "s3://my.bucket?region=eu-central-1",
            ("https", "s3.eu-central-1.amazonaws.com", "/my.bucket/ab", "s3.eu-central-1.amazonaws.com"),
        ),
        ("s3://bucket/x/y?endpoint_url=http://10.1.1.1:9000", ("http", "10.1.1.1:9000", "/bucket/x/y/ab", "10.1.1.1")),
        (
            "s3://bucket?endpoint_url=http://10.1.1.1:9000&public_endpoint_url=https://Files.Example.org/s3/",
            ("https", "files.example.org", "/s3/bucket/ab", "files.example.org"),
        ),
        (
            "s3://bucket?endpoint_url=https://s3.example.org&addressing=virtual",
            ("https", "bucket.s3.example.org", "/ab", "bucket.s3.example.org"),
        ),
    ],
)
async def test_presigned_urls_point_to_where_clients_reach_the_bucket(
    url: str, expected: tuple[str, str, str, str]
) -> None:
    async with open_store(url) as store:
        parts = urlsplit(store.presign("ab", file_name="x", now=NOW) or "")

        assert (parts.scheme, parts.netloc, parts.path, store.public_host) == expected
        assert store.path("ab") is None


async def test_two_replicas_hand_out_the_same_url() -> None:
    async with open_store("s3://bucket?region=here") as one, open_store("s3://bucket?region=here") as other:
        early, late = NOW, NOW + timedelta(minutes=30)

        assert one.presign("ab", file_name="x", now=early) == other.presign("ab", file_name="x", now=late)


async def test_credentials_come_from_the_environment_with_their_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ASIAEXAMPLE")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "to+ken/")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-3")

    async with open_store("s3://bucket") as store:
        url = store.presign("ab", file_name="x", now=NOW) or ""

    assert "X-Amz-Credential=ASIAEXAMPLE%2F20260304%2Feu-west-3%2Fs3" in url
    assert "X-Amz-Security-Token=to%2Bken%2F" in url


async def test_an_endpoint_in_the_environment_is_not_the_one_in_the_url(
    s3: S3Store, moto: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")

    async with open_store(f"s3://{s3.bucket}?endpoint_url={moto}") as store:
        await put(store, KEY, b"content")
    async with open_store("s3://bucket") as store:
        assert store.public_host == "bucket.s3.amazonaws.com"


async def test_no_credentials_stop_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    with pytest.raises(ValueError, match="no AWS credentials"):
        async with open_store("s3://bucket"):
            pass


async def test_secrets_are_in_no_representation(s3: S3Store) -> None:
    secret = os.environ["AWS_SECRET_ACCESS_KEY"]

    for shown in (repr(s3), repr(vars(s3)), repr(s3.writer(KEY)), repr(vars(s3._presigner))):
        assert secret not in shown


class Role:
    """Temporary credentials: botocore's refreshable ones with a source of our own."""

    def __init__(self, *lives: timedelta) -> None:
        self.lives = list(lives)
        self.numbers = iter(range(100))

    async def fetch(self) -> dict[str, str]:
        return {
            "access_key": f"ASIA{next(self.numbers)}",
            "secret_key": "secret",
            "token": "token",
            "expiry_time": (datetime.now(UTC) + self.lives.pop(0)).isoformat(),
        }


async def use_role(store: S3Store, role: Role) -> None:
    from aiobotocore.credentials import AioRefreshableCredentials

    credentials = AioRefreshableCredentials.create_from_metadata(
        await role.fetch(), refresh_using=role.fetch, method="test"
    )
    store._credentials = credentials
    store.client._request_signer._credentials = credentials


async def test_credentials_about_to_end_are_replaced_by_any_operation(s3: S3Store) -> None:
    await use_role(s3, Role(timedelta(minutes=4), timedelta(hours=6)))
    s3._signing = Credentials("ASIA0", "secret", "token", datetime.now(UTC) + timedelta(minutes=4))
    assert s3.presign(KEY, file_name="x", now=datetime.now(UTC)) is None

    await put(s3, KEY, b"content")

    assert "ASIA1%2F" in (s3.presign(KEY, file_name="x", now=datetime.now(UTC)) or "")


async def test_credentials_can_be_refreshed_without_an_operation(s3: S3Store) -> None:
    await use_role(s3, Role(timedelta(minutes=14), timedelta(hours=6)))

    await s3.refresh_credentials()

    assert "ASIA1%2F" in (s3.presign(KEY, file_name="x", now=datetime.now(UTC)) or "")


async def test_credentials_that_are_refreshed_but_over_are_unavailable(s3: S3Store) -> None:
    await use_role(s3, Role(timedelta(minutes=-1), timedelta(minutes=-1)))

    with pytest.raises(Unavailable):
        await s3.refresh_credentials()


async def test_a_url_of_temporary_credentials_dies_with_them(s3: S3Store) -> None:
    await use_role(s3, Role(timedelta(minutes=40)))
    await s3.refresh_credentials()
    now = datetime.now(UTC)
    start = now.replace(minute=0, second=0, microsecond=0)

    url = s3.presign(KEY, file_name="x", now=now) or ""

    life = int(url.partition("X-Amz-Expires=")[2].partition("&")[0])
    assert timedelta(minutes=39) < start + timedelta(seconds=life) - now <= timedelta(minutes=40)
