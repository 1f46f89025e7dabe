from __future__ import annotations

import functools
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock
from urllib.parse import parse_qsl, urlsplit

import botocore.session
import pytest
from botocore.config import Config
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.storage.presign import EXPIRES, SHORTEST, WINDOW, Credentials, Presigner, bucket_url, content_disposition

NOW = datetime(2026, 3, 4, 10, 20, 30, tzinfo=UTC)
WHO = Credentials("AKIDEXAMPLE", "not/a+secret")


@functools.cache
def boto_client(region: str, endpoint: str | None, addressing: str) -> Any:
    return botocore.session.Session().create_client(
        "s3",
        region_name=region,
        endpoint_url=endpoint,
        aws_access_key_id="replaced",
        aws_secret_access_key="replaced",
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": addressing},
            ignore_configured_endpoint_urls=True,
        ),
    )


def taken_apart(url: str) -> tuple[str, str, str, list[tuple[str, str]]]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc, parts.path, sorted(parse_qsl(parts.query, strict_parsing=True))


PLACES = [
    ("us-east-1", None, "virtual"),
    ("eu-central-1", None, "virtual"),
    ("cn-north-1", None, "virtual"),
    ("us-gov-west-1", None, "path"),
    ("us-east-1", "http://127.0.0.1:9000", "path"),
    ("here", "https://s3.example.org", "path"),
    ("here", "https://s3.example.org:443", "path"),
    ("here", "http://s3.example.org:80/below", "path"),
    ("eu-west-3", "https://S3.example.org:8443", "virtual"),
]
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=40)
KEYS = st.lists(st.text("0123456789abcdef", min_size=1, max_size=20), min_size=1, max_size=4).map("/".join)
TIMES = st.datetimes(datetime(2001, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@settings(max_examples=150, deadline=None)
@given(
    place=st.sampled_from(PLACES),
    prefix=st.sampled_from(["", "some/pre-fix_1.x/"]),
    key=KEYS,
    file_name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
    access=st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=1, max_size=20),
    secret=TEXT,
    token=st.none() | TEXT,
    now=TIMES,
    window=st.integers(1, 6 * 3600),
)
def test_a_url_is_the_one_botocore_makes_at_the_start_of_the_window(
    place: tuple[str, str | None, str],
    prefix: str,
    key: str,
    file_name: str,
    access: str,
    secret: str,
    token: str | None,
    now: datetime,
    window: int,
) -> None:
    region, _, addressing = place
    client = boto_client(*place)
    client._request_signer._credentials = BotoCredentials(access, secret, token)
    start = datetime.fromtimestamp(int(now.timestamp()) // window * window, UTC)

    with mock.patch("botocore.auth.get_current_datetime", return_value=start.replace(tzinfo=None)):
        expected = client.generate_presigned_url(
            "get_object",
            Params={
                "Bucket": "bucket",
                "Key": prefix + key,
                "ResponseContentType": "application/octet-stream",
                "ResponseContentDisposition": content_disposition(file_name),
            },
            ExpiresIn=8 * 3600,
        )
    presigner = Presigner(
        bucket_url(client.meta.endpoint_url, "bucket", "path" if addressing == "path" else "virtual"),
        region,
        window=timedelta(seconds=window),
        expires=timedelta(hours=8),
    )
    url = presigner.url(Credentials(access, secret, token), prefix + key, file_name=file_name, now=now)

    assert url is not None
    scheme, host, path, query = taken_apart(expected)
    # botocore leaves a default port and capitals in the address, and not in the host name it signs.
    host = host.lower().removesuffix(":443" if scheme == "https" else ":80")
    assert taken_apart(url) == (scheme, host, path, query)


def presigner(**options: timedelta) -> Presigner:
    return Presigner("https://bucket.s3.example.org", "here", **options)


def test_a_url_reads_like_this() -> None:
    assert presigner().url(WHO, "ab/cd", file_name="demo-1.0.tar.gz", now=NOW) == (
        "https://bucket.s3.example.org/ab/cd"
        "?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIDEXAMPLE%2F20260304%2Fhere%2Fs3%2Faws4_request"
        "&X-Amz-Date=20260304T100000Z"
        "&X-Amz-Expires=7200"
        "&X-Amz-SignedHeaders=host"
        "&response-content-disposition=attachment%3B%20filename%3D%22demo-1.0.tar.gz%22"
        "%3B%20filename%2A%3DUTF-8%27%27demo-1.0.tar.gz"
        "&response-content-type=application%2Foctet-stream"
        "&X-Amz-Signature=0e497f8d131a7052ff9bbed4c1b3a5ad73ef353e6a267027a0fd18447e396c39"
    )


def test_a_url_is_the_same_within_a_window_and_another_in_the_next() -> None:
    signer = presigner()
    start = NOW.replace(minute=0, second=0)

    within = {signer.url(WHO, "ab", file_name="x", now=start + WINDOW * part) for part in (0, 0.25, 0.5, 0.999)} | {
        presigner().url(WHO, "ab", file_name="x", now=start)
    }

    assert len(within) == 1
    assert signer.url(WHO, "ab", file_name="x", now=start + WINDOW) not in within
    assert signer.url(WHO, "ab", file_name="x", now=start) in within


def test_other_credentials_make_another_url_at_once() -> None:
    signer = presigner()
    other = Credentials("AKIDOTHER", "not/a+secret")

    urls = [signer.url(who, "ab", file_name="x", now=NOW) for who in (WHO, other, WHO)]

    assert urls[0] == urls[2]
    assert "AKIDOTHER" in (urls[1] or "")


@settings(max_examples=200, deadline=None)
@given(now=TIMES, left=st.integers(-3600, 4 * 3600))
def test_a_url_never_outlives_temporary_credentials_and_lives_at_least_five_minutes(now: datetime, left: int) -> None:
    ends = (now + timedelta(seconds=left)).replace(microsecond=0)

    url = presigner().url(Credentials("AKID", "secret", "token", ends), "ab", file_name="x", now=now)

    if url is None:
        assert ends - now < SHORTEST
        return
    query = dict(parse_qsl(urlsplit(url).query))
    dies = datetime.strptime(query["X-Amz-Date"] + "+0000", "%Y%m%dT%H%M%SZ%z") + timedelta(
        seconds=int(query["X-Amz-Expires"])
    )
    assert query["X-Amz-Security-Token"] == "token"
    assert now + SHORTEST <= dies <= min(ends, now + EXPIRES)


@pytest.mark.parametrize(
    ("window", "expires"),
    [
        (timedelta(0), timedelta(hours=1)),
        (timedelta(hours=1), timedelta(hours=1)),
        (timedelta(hours=1), timedelta(hours=1, minutes=4)),
        (timedelta(hours=1), timedelta(days=8)),
    ],
)
def test_a_life_too_short_or_too_long_for_its_window_is_refused(window: timedelta, expires: timedelta) -> None:
    with pytest.raises(ValueError, match="cannot live"):
        presigner(window=window, expires=expires)


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        presigner().url(WHO, "ab", file_name="x", now=NOW.replace(tzinfo=None))


def test_secrets_are_not_shown() -> None:
    shown = repr(Credentials("AKID", "s3cr3t", "t0k3n"))

    assert "AKID" in shown
    assert "s3cr3t" not in shown
    assert "t0k3n" not in shown


@pytest.mark.parametrize(
    ("file_name", "expected"),
    [
        (
            "demo-1.0-py3-none-any.whl",
            "filename=\"demo-1.0-py3-none-any.whl\"; filename*=UTF-8''demo-1.0-py3-none-any.whl",
        ),
        ("a b+c!.tgz", "filename=\"a b+c!.tgz\"; filename*=UTF-8''a%20b+c!.tgz"),
        ('a"b\\c.tgz', "filename=\"a_b_c.tgz\"; filename*=UTF-8''a%22b_c.tgz"),
        ("../../etc/passwd", "filename=\".._.._etc_passwd\"; filename*=UTF-8''.._.._etc_passwd"),
        ("100%.tgz", "filename=\"100_.tgz\"; filename*=UTF-8''100%25.tgz"),
        ("a\r\nX-Evil: 1", "filename=\"a__X-Evil: 1\"; filename*=UTF-8''a%0D%0AX-Evil%3A%201"),
        ("päckchen.whl", "filename=\"p_ckchen.whl\"; filename*=UTF-8''p%C3%A4ckchen.whl"),
        ("\ud800", "filename=\"_\"; filename*=UTF-8''%3F"),
    ],
)
def test_a_disposition_quotes_the_name_for_old_and_new_clients(file_name: str, expected: str) -> None:
    assert content_disposition(file_name) == f"attachment; {expected}"


@given(file_name=st.text())
def test_a_disposition_is_one_ascii_header_value_whatever_the_name(file_name: str) -> None:
    pattern = (
        r"attachment; filename=\"[^\"\\/%\x00-\x1f\x7f-\uffff]*\"; filename\*=UTF-8''(?:%[0-9A-F]{2}|[\w!#$&+.^`|~-])*"
    )

    assert re.fullmatch(pattern, content_disposition(file_name), re.ASCII)


@pytest.mark.parametrize(
    ("endpoint", "addressing", "expected"),
    [
        ("https://s3.eu-central-1.amazonaws.com", "virtual", "https://bucket.s3.eu-central-1.amazonaws.com"),
        ("https://s3.amazonaws.com", "path", "https://s3.amazonaws.com/bucket"),
        ("http://127.0.0.1:9000", "path", "http://127.0.0.1:9000/bucket"),
        ("http://[::1]:9000/", "path", "http://[::1]:9000/bucket"),
        ("https://Files.Example.org:443/s3/", "path", "https://files.example.org/s3/bucket"),
        ("https://files.example.org:80", "virtual", "https://bucket.files.example.org:80"),
    ],
)
def test_a_bucket_is_below_its_endpoint_or_a_host_in_front_of_it(endpoint: str, addressing: Any, expected: str) -> None:
    assert bucket_url(endpoint, "bucket", addressing) == expected
