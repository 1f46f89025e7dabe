"""Publishes that must be refused: what is sent to which name, and what is said."""

from __future__ import annotations

import base64
import gzip
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.formats.npm.documents import a_document, a_tarball, tar

NAME_RULES = (
    "Validation failed: Name should be a valid NPM package name: "
    "https://github.com/npm/validate-npm-package-name#naming-rules."
)
SEMVER = "Validation failed: Version should follow SemVer: https://semver.org"
PATH_RULE = "package_name should be a valid file path"
INCOHERENT = "Package manifest is not coherent: {} differs from package.json in the tarball"
FILE = "widget-1.0.0.tgz"


@dataclass(frozen=True, slots=True)
class Refusal:
    """`text` is what `error` begins with; `name` is the rest of the path, encoded."""

    why: str
    body: bytes
    text: str
    status: int = 400
    name: str = "widget"


def document(change: Callable[[dict[str, Any]], object] | None = None, **manifest: Any) -> bytes:
    """A sound document for widget 1.0.0, less what `change` does to it."""
    found = a_document(a_tarball({"name": "widget", "version": "1.0.0"}), name="widget")
    found["versions"]["1.0.0"].update(manifest)
    if change is not None:
        change(found)
    return json.dumps(found).encode()


def json_texts() -> Iterator[Refusal]:
    sound = document()
    for why, body, text in (
        ("nothing", b"", "Invalid json"),
        ("an open brace", b"{", "Invalid json"),
        ("no object", b"[]", "Invalid json: a publish document is an object"),
        ("a text", b'"widget"', "Invalid json: a publish document is an object"),
        ("null", b"null", "Invalid json: a publish document is an object"),
        ("something behind the end", sound + b"x", "Invalid json"),
        ("a second document", sound + sound, "One tarball is published at a time"),
        ("half of it", sound[: len(sound) // 2], "Invalid json"),
        ("the end inside the data", sound[: sound.index(b'"data"') + 40], "Invalid json: the document ends inside"),
        ("a comment", b"/**/" + sound, "Invalid json"),
        ("a byte order mark", b"\xef\xbb\xbf" + sound, "Invalid json"),
        ("UTF-16", sound.decode().encode("utf-16"), "Invalid json"),
        ("broken UTF-8", sound.replace(b'"access": null', b'"access": "\xff"'), "Invalid json"),
        ("a lone surrogate", sound.replace(b'"access": null', rb'"access": "\ud800"'), "Invalid json"),
        ("NUL", sound.replace(b'"access": null', rb'"access": "\u0000"'), "Invalid json: a text holds a NUL character"),
        ("not a number", sound.replace(b'"access": null', b'"access": NaN'), "Invalid json"),
        ("infinity", sound.replace(b'"access": null', b'"access": -Infinity'), "Invalid json"),
        ("a number beyond a double", sound.replace(b'"access": null', b'"access": 1e999'), "Invalid json"),
        ("a number of 400 digits", sound.replace(b"null", b"9" * 400), "Invalid json"),
        ("a number beyond 64 bits", sound.replace(b"null", b"9" * 40), "Invalid json: a number is too large"),
        ("arrays in arrays", b'{"a":' + b"[" * 5000, "Invalid json: nested deeper than 100 levels"),
        ("objects in objects", b'{"a":' * 5000, "Invalid json: nested deeper than 100 levels"),
        ("a million arrays", b'{"a":[' + b"[]," * 1_000_001, "Invalid json: more than 1000000 objects and arrays"),
        ("a key twice", b'{"name":"other",' + sound[1:], "Invalid json: the key 'name' occurs twice"),
        ("attachments twice", b'{"_attachments":{},' + sound[1:], "Invalid json: the key '_attachments' occurs twice"),
        ("a key twice inside", sound.replace(b'"dist":', b'"version":"9.9.9","dist":'), "Invalid json: the key 'vers"),
        ("a prototype", b'{"__proto__":{},' + sound[1:], "Invalid json: the key '__proto__' is not allowed"),
        ("an escaped prototype", rb'{"__proto\u005f_":{},' + sound[1:], "Invalid json: the key '__proto__' is not"),
        (
            "a prototype among dependencies",
            document(dependencies={"__proto__": "1"}),
            "Invalid json: the key '__proto__' is not allowed",
        ),
        (
            "a prototype among versions",
            document(lambda d: d["versions"].update({"__proto__": {}})),
            "Invalid json: the key '__proto__' is not allowed",
        ),
    ):
        yield Refusal(f"json: {why}", body, text)


def attachments() -> Iterator[Refusal]:
    def with_data(data: object) -> bytes:
        return document(lambda d: d["_attachments"][FILE].update(data=data))

    sound = base64.b64encode(a_tarball({"name": "widget", "version": "1.0.0"})).decode()
    empty = "Attachment data is empty."
    for why, body, text in (
        ("none", document(lambda d: d["_attachments"].clear()), empty),
        ("a list", document(lambda d: d.update(_attachments=[])), empty),
        ("a text", document(lambda d: d.update(_attachments="x")), empty),
        ("without data", document(lambda d: d["_attachments"][FILE].pop("data")), empty),
        ("with an empty text", with_data(""), empty),
        ("with a number", with_data(7), empty),
        ("with an object", with_data({"data": sound}), empty),
        ("no base64", with_data("!!!!"), "The attachment is not valid base64"),
        ("base64 of URLs", with_data("-_-_" * 9), "The attachment is not valid base64"),
        ("base64 with spaces", with_data(sound[:8] + " " * 4 + sound[8:]), "The attachment is not valid base64"),
        ("base64 cut short", with_data(sound[:-1]), "The attachment is not valid base64: its length"),
        ("base64 behind its padding", with_data("QQ==" + sound), "The attachment is not valid base64"),
        ("an escaped quote", with_data(sound[:8] + '"' + sound[8:]), "The attachment is not valid base64"),
        (
            "two tarballs",
            document(lambda d: d["_attachments"].update({"widget-1.0.1.tgz": d["_attachments"][FILE]})),
            "One tarball is published at a time",
        ),
        (
            "something else beside it",
            document(lambda d: d["_attachments"].update({"evil.sh": {"data": "QQ=="}})),
            "The attachment 'evil.sh' is neither the tarball nor a Sigstore bundle",
        ),
        (
            "of another version",
            document(lambda d: d["_attachments"].update({"widget-1.0.1.tgz": d["_attachments"].pop(FILE)})),
            "The attachment is 'widget-1.0.1.tgz', not 'widget-1.0.0.tgz'",
        ),
        (
            "of another name",
            document(lambda d: d["_attachments"].update({"../../x-1.0.0.tgz": d["_attachments"].pop(FILE)})),
            "The attachment is '../../x-1.0.0.tgz', not 'widget-1.0.0.tgz'",
        ),
    ):
        yield Refusal(f"attachment: {why}", body, text)
    for why, length in (("too small", 1), ("too large", 10**9), ("negative", -1)):
        body = document(lambda d, length=length: d["_attachments"][FILE].update(length=length))  # type: ignore[misc]
        yield Refusal(f"length: {why}", body, "The attachment's length is ")
    body = document(lambda d: d["_attachments"][FILE].update(length="354"))
    yield Refusal("length: a text", body, "The attachment's length is not an integer")


def digests() -> Iterator[Refusal]:
    def with_dist(**dist: object) -> bytes:
        return document(lambda d: d["versions"]["1.0.0"]["dist"].update(dist))

    other = base64.b64encode(b"x" * 64).decode()
    for why, body, text in (
        ("shasum", with_dist(shasum="0" * 40), "dist.shasum of the tarball is "),
        ("no shasum", with_dist(shasum=None), "Validation failed: Package json dist.shasum is missing"),
        ("a shasum that is no text", with_dist(shasum=7), "shasum is not a text"),
        ("integrity", with_dist(integrity=f"sha512-{other}"), "dist.integrity of the tarball is sha512-"),
        ("one of two", with_dist(integrity=f"sha512-{other} sha1-{other}"), "dist.integrity of the tarball is "),
        ("another algorithm", with_dist(integrity=f"md5-{other}"), "dist.integrity uses 'md5', sha512 is expected"),
        ("no base64", with_dist(integrity="sha512-???"), "dist.integrity"),
        ("no tarball", with_dist(tarball=None), "Validation failed: Package json dist.tarball is missing"),
        ("no dist", document(dist=None), "Validation failed: Package json dist is missing"),
        ("dist is a list", document(dist=[]), "dist is not an object"),
    ):
        yield Refusal(f"digest: {why}", body, text)


def disagreements() -> Iterator[Refusal]:
    def with_versions(versions: object) -> bytes:
        return document(lambda d: d.update(versions=versions))

    for why, body, text in (
        ("two versions", document(lambda d: d["versions"].update({"2.0.0": {}})), "One version is published at a time"),
        ("no version", with_versions({}), "One version is published at a time, the document holds 0"),
        ("no versions", with_versions(None), "Versions key is missing from the JSON upload"),
        ("a list of versions", with_versions([]), "versions is not an object"),
        ("a version that is no object", with_versions({"1.0.0": []}), "versions['1.0.0'] is not an object"),
        ("an empty version", with_versions({" ": {}}), "Version is empty."),
        ("the version inside", document(version="1.0.1"), "The version inside versions['1.0.0'] is '1.0.1'"),
        ("the name inside", document(name="gadget"), "The name inside versions['1.0.0'] is 'gadget'"),
        ("the _id inside", document(_id="widget@9.9.9"), "The _id inside versions['1.0.0'] is 'widget@9.9.9'"),
        ("the name", document(lambda d: d.update(name="gadget")), "The document's name is 'gadget', the URL says"),
        ("the _id", document(lambda d: d.update(_id="gadget")), "The document's _id is 'gadget', the URL says"),
        ("no tags", document(lambda d: d.pop("dist-tags")), "dist-tags is missing from the JSON upload"),
        ("no tag", document(lambda d: d["dist-tags"].clear()), "dist-tags is empty, one tag is expected"),
        ("a tag for another", document(lambda d: d["dist-tags"].update(x="2.0.0")), "The tag 'x' points to '2.0.0'"),
        ("a range", document(lambda d: d["dist-tags"].update({"1.x": "1.0.0"})), "Tag name must not be a valid SemVer"),
        ("a strange tag", document(lambda d: d["dist-tags"].update({"a/b": "1.0.0"})), "'a/b' is not a tag name"),
    ):
        yield Refusal(f"document: {why}", body, text)
    for version in ("1", "1.2", "v1.0.0", "01.0.0", "1.0.0 ", "1./2.3", "../../1.2.3", "1.0.0-", "latest", "1" * 300):
        content = a_tarball({"name": "widget", "version": version})
        body = json.dumps(a_document(content, name="widget", version=version)).encode()
        yield Refusal(f"version: {version[:20]}", body, SEMVER)


def confusions() -> Iterator[Refusal]:
    """Fields that the manifest and the package.json in the tarball say differently (CVE-2024-6595)."""
    for field, value, packed in (
        ("dependencies", {"a": "1"}, {"a": "2"}),
        ("dependencies", {}, {"hidden": "1"}),
        ("optionalDependencies", {"a": "1"}, {}),
        ("devDependencies", {"a": "1"}, {"b": "1"}),
        ("peerDependencies", {"a": "1"}, None),
        ("peerDependenciesMeta", {"a": {"optional": True}}, {}),
        ("acceptDependencies", {"a": "1"}, {}),
        ("bundleDependencies", ["a"], []),
        ("bin", {"widget": "good.js"}, {"widget": "evil.js"}),
        ("bin", None, {"ls": "evil.js"}),
        ("os", ["linux"], ["darwin"]),
        ("cpu", ["x64"], []),
        ("libc", ["musl"], ["glibc"]),
        ("engines", {"node": ">=1"}, {"node": ">=99"}),
        ("scripts.preinstall", {}, {"preinstall": "node evil"}),
        ("scripts.install", {"install": "true"}, {"install": "node evil"}),
        ("scripts.postinstall", None, {"postinstall": "node evil"}),
    ):
        key = field.partition(".")[0]
        content = a_tarball({"name": "widget", "version": "1.0.0", **({} if packed is None else {key: packed})})
        extra = {} if value is None else {key: value}
        # A bundled dependency has to be a dependency.
        more = {"dependencies": {"a": "*"}} if field == "bundleDependencies" else {}
        if more:
            content = a_tarball({"name": "widget", "version": "1.0.0", key: packed, **more})
        body = json.dumps(a_document(content, name="widget", **extra, **more)).encode()
        yield Refusal(f"confusion: {field} {packed}", body, INCOHERENT.format(field))
    content = a_tarball({"name": "widget", "version": "1.0.1"})
    yield Refusal(
        "confusion: version", json.dumps(a_document(content, name="widget")).encode(), INCOHERENT.format("version")
    )


def _of(content: bytes) -> bytes:
    return json.dumps(a_document(content, name="widget")).encode()


def _linked() -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        member = tarfile.TarInfo("package/package.json")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    return target.getvalue()


def tarballs() -> Iterator[Refusal]:
    package_json = b'{"name":"widget","version":"1.0.0"}'
    sound = a_tarball({"name": "widget", "version": "1.0.0"}, {"a": b"x" * 5000})
    zeros = gzip.compress(b"\0" * 200_000_000, 1)
    many = [("package/package.json", package_json), *((f"package/{number}", b"") for number in range(50_001))]
    for why, content, text in (
        ("no archive", b"the bytes of no tarball", ""),
        ("a zip", b"PK\x03\x04" + b"\0" * 100, ""),
        ("cut short", sound[: len(sound) // 2], ""),
        ("flipped", sound[:60] + bytes([sound[60] ^ 0xFF]) + sound[61:], ""),
        ("zeros without end", zeros, ""),
        ("a file of zeros", tar([("package/package.json", package_json), ("package/zeros", b"\0" * 200_000_000)]), ""),
        ("too many files", tar(many), ""),
        (
            "a path upwards",
            tar([("package/package.json", package_json), ("package/../../x", b"")]),
            "the archive has a",
        ),
        ("an absolute path", tar([("package/package.json", package_json), ("/etc/passwd", b"")]), "the archive has a"),
        ("no package.json", tar([("package/index.js", b"1")]), "package.json not found"),
        ("package.json too deep", tar([("package/lib/package.json", package_json)]), "package.json not found"),
        (
            "package.json twice",
            tar([("package/package.json", package_json)] * 2),
            "The tarball holds package.json twice",
        ),
        (
            "package.json twice but for case",
            tar([("package/package.json", package_json), ("package/PACKAGE.json", b"{}")]),
            "The tarball holds package.json twice",
        ),
        ("package.json is a link", _linked(), "package.json not found"),
        ("package.json is no JSON", tar([("package/package.json", b"{")]), "invalid package file: package.json is not"),
        ("package.json is a list", tar([("package/package.json", b"[]")]), "invalid package file: package.json is not"),
        (
            "package.json of 5 MiB",
            tar([("package/package.json", package_json + b" " * 5 * 1024 * 1024)]),
            "package.json file too large",
        ),
    ):
        yield Refusal(f"tarball: {why}", _of(content), text)


def names() -> Iterator[Refusal]:
    for name, text in (
        (".hidden", NAME_RULES),
        ("_under", NAME_RULES),
        ("-", NAME_RULES),
        ("node_modules", NAME_RULES),
        ("favicon.ico", NAME_RULES),
        ("x~y", NAME_RULES),
        ("x!y", NAME_RULES),
        ("@acme/.hidden", NAME_RULES),
        ("@.git/x", NAME_RULES),
        ("x" * 215, ""),
        ("a b", ""),
        ("é", ""),
        ("a:b", ""),
        ("a?b", ""),
        ("a#b", ""),
        ("a%b", ""),
        ("@acme", ""),
        ("@acme/a/b", ""),
        ("..", PATH_RULE),
        ("../widget", PATH_RULE),
        ("@acme/..", PATH_RULE),
        ("a\\b", PATH_RULE),
    ):
        content = a_tarball({"name": name, "version": "1.0.0"})
        encoded = "".join(c if c.isalnum() and c.isascii() else "".join(f"%{b:02x}" for b in c.encode()) for c in name)
        body = json.dumps(a_document(content, name=name)).encode()
        yield Refusal(f"name: {name[:20]}", body, text, name=encoded)
    sound = document()
    for path in ("%ff", "a%00b", "%0d%0ahttp:%2f%2fexample.com", "%2e%2e%2fwidget", "%252e%252e", "widget%0a"):
        yield Refusal(f"path: {path}", sound, "" if "252" in path else PATH_RULE, name=path)
    # Decoded once, this is a name with a percent sign.
    yield Refusal("path: encoded twice", sound, "", name="%40acme%252fwidget")


def sizes() -> Iterator[Refusal]:
    yield Refusal("size: a document of 9 MiB", document(readme="x" * 9 * 1024 * 1024), "The document without its", 413)
    yield Refusal(
        "size: a manifest of 2 MiB", document(exports={"x": "y" * 2 * 1024 * 1024}), "Validation failed: Package j"
    )


def everything() -> list[Refusal]:
    sources = (json_texts, attachments, digests, disagreements, confusions, tarballs, names, sizes)
    return [one for source in sources for one in source()]
