"""Distribution files: what the archive of a wheel or an sdist says about itself.

`inspect` reads an archive from beginning to end and runs in a limited child process, because archives are hostile
until proved otherwise. Nothing is ever extracted.
"""

from __future__ import annotations

import base64
import configparser
import re
from collections.abc import Collection, Iterable
from typing import BinaryIO, Literal, TypedDict

from registry import archives
from registry.errors import Invalid
from registry.formats.pypi import core_metadata, names
from registry.formats.pypi.core_metadata import CoreMetadata

_SMALL = 1024 * 1024
# Of what a hostile archive may make as long as it likes, so many are reported.
_MOST = 50
_LONGEST_SHOWN = 100

_OBJECT_REFERENCE = re.compile(r"[\w.]+(?::[\w.]+)?[ \t]*(?:\[[^\]]*\])?")


class Inspection(TypedDict):
    """What `inspect` found, as JSON.

    `core_metadata` is the METADATA or PKG-INFO, exactly: as text when it is UTF-8, else in base64
    (`core_metadata_encoding`); see `core_metadata_bytes`. `offers_core_metadata` tells whether it may be served beside
    the file (PEP 658). `files` counts the archive's files. `problems` are what the public index would object to.
    For a file of `kind` "other" nothing is looked at and every other value is empty.
    """

    kind: names.Kind
    name: str
    version: str
    requires_python: str
    metadata_version: str
    dynamic: list[str]
    core_metadata: str
    core_metadata_encoding: Literal["utf-8", "base64"]
    offers_core_metadata: bool
    files: int
    problems: list[str]


def inspect(file: BinaryIO, file_name: str, *, strict: bool = False) -> Inspection:
    """Read the archive `file`, whose kind its name tells. Raises Invalid when it is not sound.

    A sound wheel is a sound zip with exactly one `.dist-info` directory, for the name and version in the file name,
    that holds METADATA and WHEEL (PEP 427). A sound sdist has one top directory with a PKG-INFO.

    strict: also refuse zips with data descriptors, as the public index does.
    """
    match names.kind_of(file_name):
        case "wheel":
            return _inspect_wheel(file, file_name, strict=strict)
        case "sdist" if file_name.lower().endswith(".zip"):
            return _inspect_zip_sdist(file, strict=strict)
        case "sdist":
            return _inspect_tar_sdist(file)
        case "other":
            return _inspection("other", b"", None, (), [])


def core_metadata_bytes(inspection: Inspection) -> bytes:
    """The METADATA or PKG-INFO, byte for byte as in the archive."""
    text = inspection["core_metadata"]
    return text.encode() if inspection["core_metadata_encoding"] == "utf-8" else base64.b64decode(text)


def _inspect_wheel(file: BinaryIO, file_name: str, *, strict: bool) -> Inspection:
    name, version = names.split_wheel(file_name)
    archive = archives.open_zip(file, strict=strict)
    members = frozenset(member for member in archive.names() if not member.endswith("/"))
    directory = _dist_info(members, name, version)
    for required in ("METADATA", "WHEEL"):
        if f"{directory}/{required}" not in members:
            raise Invalid(f"The wheel has no {directory}/{required}")
    archive.read(f"{directory}/WHEEL", _SMALL)
    where = f"{directory}/METADATA"
    content = archive.read(where, core_metadata.LARGEST)
    metadata = core_metadata.parse(content, where)
    _check_same(where, metadata, name, version)

    problems = [] if f"{directory}/RECORD" in members else [f"The wheel has no {directory}/RECORD"]
    if (entry_points := f"{directory}/entry_points.txt") in members:
        problems += _entry_point_problems(archive.read(entry_points, _SMALL), entry_points)
    problems += _license_problems(metadata, members, f"{directory}/licenses")
    return _inspection("wheel", content, metadata, members, problems)


def _inspect_zip_sdist(file: BinaryIO, *, strict: bool) -> Inspection:
    archive = archives.open_zip(file, strict=strict)
    members = {_path(member): member for member in archive.names() if not member.endswith("/")}
    top = _top_directory(map(_path, archive.names()))
    stored = members.get(f"{top}/PKG-INFO")
    if stored is None:
        raise Invalid(f"The sdist has no PKG-INFO in {_shown(top)}")
    return _inspection_of_sdist(archive.read(stored, core_metadata.LARGEST), top, members.keys())


def _inspect_tar_sdist(file: BinaryIO) -> Inspection:
    paths: set[str] = set()
    members: set[str] = set()
    texts: list[bytes] = []
    for member in archives.tar_members(file):
        paths.add(path := _path(member.name))
        if member.kind == "directory":
            continue
        members.add(path)
        if path.count("/") == 1 and path.endswith("/PKG-INFO"):
            if member.kind != "file":
                raise Invalid(f"The PKG-INFO of the sdist is a {member.kind}, not a file")
            texts.append(member.read(core_metadata.LARGEST))
    top = _top_directory(paths)
    if len(texts) != 1:
        raise Invalid(f"The sdist has {'no' if not texts else 'more than one'} PKG-INFO in {_shown(top)}")
    return _inspection_of_sdist(texts[0], top, members)


def _inspection_of_sdist(content: bytes, top: str, members: Collection[str]) -> Inspection:
    metadata = core_metadata.parse(content, "PKG-INFO")
    return _inspection("sdist", content, metadata, members, _license_problems(metadata, members, top))


def _inspection(
    kind: names.Kind, content: bytes, metadata: CoreMetadata | None, members: Collection[str], problems: list[str]
) -> Inspection:
    encoding: Literal["utf-8", "base64"] = "utf-8"
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text, encoding = base64.b64encode(content).decode(), "base64"
    return Inspection(
        kind=kind,
        name=metadata.name if metadata else "",
        version=metadata.version if metadata else "",
        requires_python=metadata.requires_python if metadata else "",
        metadata_version=metadata.metadata_version if metadata else "",
        dynamic=list(metadata.dynamic[:_MOST]) if metadata else [],
        core_metadata=text,
        core_metadata_encoding=encoding,
        # An installer builds an sdist after trusting its metadata, so that must hold whatever the build does.
        offers_core_metadata=metadata is not None and (kind == "wheel" or metadata.is_static),
        files=len(members),
        problems=[*(metadata.problems if metadata else ()), *problems][:_MOST],
    )


def _path(member: str) -> str:
    """A member's name without `.` parts and doubled slashes; `""` for the archive's own directory."""
    return "/".join(part for part in member.split("/") if part not in {"", "."})


def _top_directory(paths: Iterable[str]) -> str:
    tops = {path.partition("/")[0] for path in paths if path}
    if len(tops) != 1:
        raise Invalid(f"The sdist has {len(tops)} top directories, not one")
    return tops.pop()


def _dist_info(members: Collection[str], name: str, version: str) -> str:
    found = {top for member in members if (top := member.partition("/")[0]).endswith(".dist-info")}
    if len(found) != 1:
        raise Invalid(f"The wheel has {len(found)} .dist-info directories, not one")
    directory = found.pop()
    if not names.is_pair(directory.removesuffix(".dist-info"), name, version):
        raise Invalid(f"The wheel is named {name} {version}, but has the directory {_shown(directory)}")
    return directory


def _check_same(where: str, metadata: CoreMetadata, name: str, version: str) -> None:
    """Installers refuse a wheel whose METADATA contradicts its file name."""
    if not (names.same_name(metadata.name, name) and names.same_version(metadata.version, version)):
        raise Invalid(f"The wheel is named {name} {version}, but {where} says {metadata.name!r} {metadata.version!r}")


def _license_problems(metadata: CoreMetadata, members: Collection[str], directory: str) -> list[str]:
    """License-File entries that are not in the archive. Their place is fixed since metadata 2.4 (PEP 639)."""
    if not metadata.at_least(2, 4):
        return []
    return [
        f"License-File {_shown(path)} is missing"
        for path in metadata.license_files
        if f"{directory}/{path}" not in members
    ]


def _entry_point_problems(content: bytes, where: str) -> list[str]:
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # entry point names keep their case
    try:
        parser.read_string(content.decode())
    except (UnicodeDecodeError, configparser.Error):
        return [f"{where} cannot be read"]
    return [
        f"{where} has an invalid entry {_shown(name)} in [{section}]"
        for section in ("console_scripts", "gui_scripts")
        if parser.has_section(section)
        for name, value in parser.items(section)
        if not _OBJECT_REFERENCE.fullmatch(value)
    ]


def _shown(text: str) -> str:
    """`text` in a message: quoted, escaped and short."""
    return repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}...")
