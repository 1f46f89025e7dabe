"""The corpus: real packages, pinned by digest, that must go in and come out byte-identical.

`corpus.json` says which files, their SHA-256 and size, and why each is there; it names no index. The files are fetched
once into `.cache` by `python tests/clients/toolbox.py`, from wherever this machine's pip and npm fetch. What no index
offers - local versions, epochs, build tags - is made here, reproducibly, and pinned like the rest. To add a file, add
its entry without `sha256` and `size` and run `python -m tests.clients.corpus`, which fills them in.
"""

import ast
import hashlib
import json
import re
import shutil
import subprocess
import tempfile
import urllib.request
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from tests.clients import packing, toolbox
from tests.clients.toolbox import Missing

HERE = Path(__file__).resolve().parent
CACHE = HERE / ".cache"
PINS = HERE / "corpus.json"


@dataclass(frozen=True, slots=True)
class CorpusFile:
    """One pinned file. `name` and `version` are spelled as its author does; `size` is in bytes, `sha256` in hex.

    `role` is `road` for the plain projects of the main road (wheel and sdist of each) and `odd` for everything that is
    here because something about it is unusual; `why` says what. `source` is `made` for files built by `packing`.
    """

    format: Literal["pypi", "npm"]
    name: str
    version: str
    file_name: str
    role: Literal["road", "odd"]
    source: Literal["index", "made"]
    why: str
    sha256: str = ""
    size: int = 0

    def __str__(self) -> str:
        return self.file_name


FILES = tuple(CorpusFile(**entry) for entry in json.loads(PINS.read_bytes()))


def files(package_format: str, *, role: str | None = None) -> list[CorpusFile]:
    """The pinned files of `pypi` or `npm`, of one role or all, for `pytest.mark.parametrize(..., ids=str)`."""
    return [file for file in FILES if file.format == package_format and role in (None, file.role)]


@cache
def path(file: CorpusFile) -> Path:
    """Where `file` lies on disk, its digest checked. Raises Missing when it was not fetched or differs."""
    place = CACHE / file.file_name
    if not _is_intact(place, file):
        raise Missing(f"the corpus file {file.file_name} was not fetched: run `python tests/clients/toolbox.py`")
    return place


def fetch() -> list[str]:
    """Fetch or make every file that is not there intact; returns one sentence for each that could not be."""
    failures = []
    with toolbox.locked():
        CACHE.mkdir(exist_ok=True)
        for file in FILES:
            if _is_intact(CACHE / file.file_name, file):
                continue
            print(f"corpus: fetching {file.file_name}", flush=True)
            try:
                _obtain(file)
            except (Missing, OSError, subprocess.CalledProcessError) as error:
                said = getattr(error, "stderr", None) or error
                failures.append(f"corpus file {file.file_name}: {said}")
    return failures


def pin() -> None:
    """Obtain the files whose entries have no digest yet, and record digest and size in `corpus.json`."""
    entries = []
    with toolbox.locked():
        CACHE.mkdir(exist_ok=True)
        for file in FILES:
            if not file.sha256:
                _obtain(file)
            content = (CACHE / file.file_name).read_bytes()
            entries.append({**asdict(file), "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)})
    PINS.write_text(json.dumps(entries, indent=1) + "\n")


def _is_intact(place: Path, file: CorpusFile) -> bool:
    if not place.is_file() or place.stat().st_size != file.size:
        return False
    with place.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest() == file.sha256


def _obtain(file: CorpusFile) -> None:
    with tempfile.TemporaryDirectory(dir=CACHE) as directory:
        found = Path(directory) / file.file_name
        if file.source == "made":
            found.write_bytes(packing.MADE[file.file_name]())
        elif file.format == "npm":
            _pack(file, found)
        else:
            _download(file, found)
        if file.sha256 and not _is_intact(found, file):
            raise Missing(f"what this machine's index has under that name is not the pinned file ({file.sha256})")
        found.replace(CACHE / file.file_name)


def _pack(file: CorpusFile, found: Path) -> None:
    """Let npm fetch a tarball: of a published version it packs nothing anew, but hands out the registry's bytes."""
    npm = toolbox.find("npm-11")
    with tempfile.TemporaryDirectory(dir=found.parent) as directory:
        _output(*npm.command, "pack", f"{file.name}@{file.version}", "--pack-destination", directory, cwd=directory)
        (tarball,) = Path(directory).iterdir()
        tarball.replace(found)


def _download(file: CorpusFile, found: Path) -> None:
    """Download from the link that unearth, the finder inside pdm, gives: pip would also run an sdist's setup.py."""
    for link in _links(file):
        if unquote(urlsplit(link).path).endswith(f"/{file.file_name}"):
            with urllib.request.urlopen(link, timeout=60) as answer, found.open("wb") as target:
                shutil.copyfileobj(answer, target)
            return
    raise Missing("this machine's index does not list it")


def _links(file: CorpusFile) -> list[str]:
    finder = toolbox.PYTHON_CLIENTS["pdm"].home / "bin" / "unearth"
    if not finder.is_file():
        raise Missing("fetching it needs the client pdm")
    wanted = f"{file.name}=={file.version}"
    printed = _output(finder, wanted, "--all", "--link-only", *_target(file.file_name), *_index())
    return printed.split()


def _target(file_name: str) -> list[str]:
    """The flags that make a finder consider `file_name`, whatever Python and platform it is for."""
    if not file_name.endswith(".whl"):
        return ["--no-binary"]
    python, abi, platforms = file_name.removesuffix(".whl").split("-")[-3:]
    flags = ["--only-binary"]
    if platforms != "any":
        version = re.fullmatch(r"cp(\d)(\d+)", python)
        if version is None:
            raise Missing(f"it is for {python}, and only wheels for CPython are looked for")
        flags += ["--py", f"{version[1]}.{version[2]}", "--impl", "cp", "--abis", abi]
        flags += ["--platforms", platforms.replace(".", ",")]
    return flags


@cache
def _index() -> tuple[str, ...]:
    """Where this machine's pip looks, if it was told; the finder knows the same default as pip."""
    listed = _output(toolbox.installer(), "-m", "pip", "config", "list")
    settings = dict(line.partition("=")[::2] for line in listed.splitlines())
    for key in (":env:.index-url", "download.index-url", "global.index-url"):
        if key in settings:
            return ("--index-url", str(ast.literal_eval(settings[key])))
    return ()


def _output(*command: str | Path, cwd: str | None = None) -> str:
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=True)
    return done.stdout


if __name__ == "__main__":
    pin()
