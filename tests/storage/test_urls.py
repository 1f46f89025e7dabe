from __future__ import annotations

import re
from pathlib import Path

import pytest

from registry.storage import LocalLocation, S3Location, open_store, parse_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("file:///srv/objects", LocalLocation(Path("/srv/objects"))),
        ("file://localhost/srv/objects", LocalLocation(Path("/srv/objects"))),
        ("file:///srv/my%20objects%23", LocalLocation(Path("/srv/my objects#"))),
        ("s3://bucket", S3Location("bucket")),
        ("s3://bucket/", S3Location("bucket")),
        ("s3://bucket/a/b_1.x/", S3Location("bucket", prefix="a/b_1.x/")),
        ("s3://my.bucket", S3Location("my.bucket", addressing="path")),
        ("s3://bucket?region=eu-central-1", S3Location("bucket", region="eu-central-1")),
        (
            "s3://bucket/x?endpoint_url=http://10.0.0.1:9000/&region=here",
            S3Location("bucket", "x/", "http://10.0.0.1:9000", "here", "path"),
        ),
        (
            "s3://bucket?endpoint_url=https%3A%2F%2Fs3.example.org&addressing=virtual&public_endpoint_url=https://a.example",
            S3Location("bucket", "", "https://s3.example.org", None, "virtual", "https://a.example"),
        ),
        ("s3://bucket?addressing=path", S3Location("bucket", addressing="path")),
    ],
)
def test_a_storage_url_says_where_objects_are(url: str, expected: LocalLocation | S3Location) -> None:
    assert expected == parse_url(url)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "starts with file:// or s3://"),
        ("/srv/objects", "starts with file:// or s3://"),
        ("http://bucket", "starts with file:// or s3://"),
        ("file://./var/objects", "file:///directory"),
        ("file://host/var", "file:///directory"),
        ("file:relative", "file:///directory"),
        ("file:///srv/%00", "file:///directory"),
        ("file:///srv/objects?mode=1", "no options, not mode"),
        ("file:///srv/objects#1", "no fragment"),
        ("s3:///prefix", "'' is not a bucket name"),
        ("s3://b", "'b' is not a bucket name"),
        ("s3://buck et", "is not a bucket name"),
        ("s3://bucket/../x", "is not a prefix"),
        ("s3://bucket/a//b", "is not a prefix"),
        ("s3://bucket/a%20b", "is not a prefix"),
        ("s3://bucket?endpoint=http://x", "unknown option endpoint of an s3:// storage URL: there are endpoint_url"),
        ("s3://bucket?region=a&region=b", "given once"),
        ("s3://bucket?region=", "given once, with a value"),
        ("s3://bucket?region=a/b", "is not a region"),
        ("s3://bucket?addressing=dns", "path or virtual, not 'dns'"),
        ("s3://my.bucket?addressing=virtual", "without dots"),
        ("s3://bucket?endpoint_url=127.0.0.1:9000", "endpoint_url is a http:// or https:// URL"),
        ("s3://bucket?public_endpoint_url=ftp://x", "public_endpoint_url is a http:// or https:// URL"),
        ("s3://bucket?endpoint_url=http://x?y", "endpoint_url is a http:// or https:// URL"),
    ],
)
def test_a_bad_storage_url_is_refused_with_what_would_be_accepted(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_url(url)


@pytest.mark.parametrize(
    "url", ["s3://AKID:s3cr3t@bucket/prefix", "s3://bucket?endpoint_url=http://AKID:s3cr3t@127.0.0.1:9000"]
)
def test_credentials_in_a_storage_url_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="holds no credentials") as caught:
        parse_url(url)

    assert "s3cr3t" not in str(caught.value)


async def test_opening_a_bad_url_fails_before_anything_is_created() -> None:
    with pytest.raises(ValueError, match="starts with"):
        async with open_store("gs://bucket"):
            pass
