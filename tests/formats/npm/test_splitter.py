from __future__ import annotations

import base64
import itertools
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.errors import Invalid, RegistryError, TooLarge
from registry.formats.npm.splitter import Split, Splitter
from tests.formats.npm.documents import a_document


def split(body: bytes, *cuts: int, **limits: int) -> tuple[bytes, Split]:
    """The tarball and the rest of a body that arrives in pieces cut at these places."""
    splitter = Splitter(**limits)
    places = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    tarball = b"".join(splitter.feed(body[start:end]) for start, end in itertools.pairwise(places))
    return tarball, splitter.finish()


def elided(document: dict[str, object]) -> dict[str, object]:
    """The document as it is left when the tarball's data is taken out."""
    attachments = {key: {**value, "data": ""} for key, value in document["_attachments"].items()}  # type: ignore[attr-defined]
    return {**document, "_attachments": attachments}


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6) | st.sampled_from(
    ["data", "_attachments", 'a"b', "\\", "{", "]", ":", ",", "x.tgz"]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-999, 999) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
cuts = st.lists(st.integers(0, 1 << 20), max_size=12)


@given(
    tarball=st.binary(min_size=1, max_size=60),
    extra=st.dictionaries(
        texts.filter(lambda key: key not in {"_attachments", "versions", "name"}), values, max_size=4
    ),
    order=st.randoms(use_true_random=False),
    cuts=cuts,
    indent=st.sampled_from([None, 0, 2]),
    escaped=st.booleans(),
)
def test_every_order_of_keys_and_every_chunking_give_the_same(
    *,
    tarball: bytes,
    extra: dict[str, object],
    order: random.Random,
    cuts: list[int],
    indent: int | None,
    escaped: bool,
) -> None:
    members = list((a_document(tarball) | extra).items())
    order.shuffle(members)
    body = json.dumps(dict(members), indent=indent)
    body = body.replace("/", "\\/").replace("+", "\\u002b").replace("_a", "\\u005fa") if escaped else body

    decoded, rest = split(body.encode(), *cuts)

    assert tarball == decoded
    assert Split(elided(dict(members)), "@acme/widget-1.0.0.tgz", len(tarball)) == rest


@given(body=st.binary(max_size=20), start=st.integers(0, 400), cuts=cuts)
def test_a_damaged_body_gives_the_same_in_every_chunking(body: bytes, start: int, cuts: list[int]) -> None:
    good = json.dumps(a_document(b"tarball")).encode()
    damaged = good[: start % len(good)] + body + good[start % len(good) :]

    def outcome(*places: int) -> object:
        try:
            return split(damaged, *places)
        except RegistryError as error:
            return type(error)

    assert outcome() == outcome(*cuts)


def test_a_document_without_attachments_is_kept_whole() -> None:
    body = b'{"versions":{"1.0.0":{"deprecated":"no"}},"a":{"_attachments":{"x.tgz":{"data":"QUJD"}}}}'

    assert (b"", Split(json.loads(body), None, 0)) == split(body)


@pytest.mark.parametrize(
    "attachments",
    [
        [{"x.tgz": {"data": "QUJD"}}],
        {"x.tgz": [{"data": "QUJD"}]},
        {"x.tgz": {"more": {"data": "QUJD"}}},
        {"x.tgz": {"data": ["QUJD"]}},
        {"x.tgz": {"data": None}},
        {"x.zip": {"data": "QUJD"}},
        "QUJD",
    ],
)
def test_data_elsewhere_is_not_the_tarball(attachments: object) -> None:
    document = {"_attachments": attachments}

    assert (b"", Split(document, None, 0)) == split(json.dumps(document).encode())


def test_a_sigstore_bundle_stays_in_the_document() -> None:
    bundle = {"content_type": "application/vnd.dev.sigstore.bundle.v0.3+json", "data": '{"a":"b"}', "length": 9}
    document = a_document(b"tarball")
    document["_attachments"]["@acme/widget-1.0.0.sigstore"] = bundle

    tarball, rest = split(json.dumps(document).encode())

    assert b"tarball" == tarball
    assert bundle == rest.document["_attachments"]["@acme/widget-1.0.0.sigstore"]  # type: ignore[index]


def data(text: str) -> bytes:
    return b'{"_attachments":{"x.tgz":{"data":"%b"}}}' % text.encode()


@pytest.mark.parametrize(
    "text",
    [
        "QUJ",
        "QUI",
        "Q",
        "QUJD=",
        "QQ==QUJD",
        "QQ=A",
        "====",
        "QUJD\\n",
        "QUJD QUJD",
        "QU-_",
        "QUJ\\u0022",
        "QUJ\\\\",
        "QUJ\\ud800",
        "QUJ\\x",
        "QUJ\\u00",
        "QUJÄ",
        "\\u0000QUJ",
    ],
)
@pytest.mark.parametrize("step", [1, 2, 3, 1000])
def test_what_is_not_strict_base64_is_refused(text: str, step: int) -> None:
    body = data(text)

    with pytest.raises(Invalid, match="The attachment is not valid base64"):
        split(body, *range(0, len(body), step))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (data("QUJD")[:-4], "Invalid json: the document ends inside the attachment"),
        (data("QUJD")[:-1], "Invalid json"),
        (b"", "Invalid json"),
        (b"[]", "Invalid json: a publish document is an object"),
        (data("QUJD") + b"{}", "Invalid json"),
        (data("QUJD") + data("QUJD"), "One tarball is published at a time, 'x.tgz' and 'x.tgz' are attached"),
        (
            b'{"_attachments":{"x.tgz":{"data":"QUJD"},"y.tgz":{"data":"QUJD"}}}',
            "One tarball is published at a time, 'x.tgz' and 'y.tgz' are attached",
        ),
        (
            b'{"_attachments":{"x.tgz":{"data":"QUJD","data":"QUJD"}}}',
            "One tarball is published at a time, 'x.tgz' and 'x.tgz' are attached",
        ),
        (b'{"\\x":1}', "Invalid json"),
        (b'{"a":' * 101 + b"1" + b"}" * 101, "Invalid json: nested deeper than 100 levels"),
        (b'{"a":' + b"[" * 1_000_000, "Invalid json: nested deeper than 100 levels"),
        (b'{"a":[' + b"{}," * 1_000_000 + b"{}]}", "Invalid json: more than 1000000 objects and arrays"),
    ],
)
def test_a_body_that_is_no_publish_document_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(Invalid) as refusal:
        split(body)

    assert message == refusal.value.text


@pytest.mark.parametrize("filler", [b"x", b"\\n", b'","b":"'])
def test_the_document_without_its_tarball_has_a_limit(filler: bytes) -> None:
    body = b'{"a":"' + filler * 2000 + b'"}'

    with pytest.raises(TooLarge, match="The document without its attachment is larger than 1000 bytes"):
        split(body, *range(0, len(body), 100), document_limit=1000)


def test_the_tarball_does_not_count_against_the_limit() -> None:
    tarball = bytes(100_000)
    body = json.dumps(a_document(tarball)).encode()

    assert tarball == split(body, *range(0, len(body), 1000), document_limit=2000)[0]


def test_a_tarball_after_a_long_readme_is_found() -> None:
    document = {"readme": 'a "word" \\ ' * 20_000, **a_document(b"tarball")}
    body = json.dumps(document).encode()

    assert b"tarball" == split(body, *range(0, len(body), 777))[0]


def test_nothing_of_the_tarball_is_held_back() -> None:
    splitter = Splitter()
    splitter.feed(b'{"_attachments":{"x.tgz":{"data":"')

    assert b"ABC" * 1000 == splitter.feed(base64.b64encode(b"ABC" * 1000))
