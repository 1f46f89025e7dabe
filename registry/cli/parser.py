"""The grammar of the command line."""

from __future__ import annotations

import argparse
from pathlib import Path

from registry import __version__, fsck, janitor
from registry.cli import (
    advisories,
    backup,
    check,
    checking,
    collect,
    deploy_tokens,
    grants,
    groups,
    instance,
    members,
    migration,
    mounts,
    packages,
    projects,
    restore,
    serve,
    signing_keys,
    tokens,
    users,
)
from registry.cli.provisioning import Commands


def parser() -> argparse.ArgumentParser:
    """Every command with its options; `run` of a parsed command is what carries it out."""
    top = argparse.ArgumentParser(
        prog="registry",
        description="A package registry for PyPI and npm. Settings come from REGISTRY_... variables.",
    )
    top.add_argument("--version", action="version", version=f"registry {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _serving(commands)
    _operating(commands)
    _keeping(commands)
    for topic in (
        users, groups, projects, packages, members, mounts, tokens, deploy_tokens, grants, signing_keys, advisories,
        instance,
    ):  # fmt: skip
        topic.add(commands)
    return top


def overrides(arguments: argparse.Namespace) -> dict[str, str]:
    """Settings given as options, in the form of the environment."""
    names = {"REGISTRY_HOST": "host", "REGISTRY_PORT": "port", "REGISTRY_WORKERS": "workers"}
    given = {variable: getattr(arguments, name, None) for variable, name in names.items()}
    return {variable: str(value) for variable, value in given.items() if value is not None}


def _serving(commands: Commands[argparse.ArgumentParser]) -> None:
    command = commands.add_parser("serve", help="run the registry")
    command.add_argument("--host", help="address to listen on (REGISTRY_HOST)")
    command.add_argument("--port", help="port to listen on (REGISTRY_PORT)")
    command.add_argument("--workers", metavar="N", help="processes sharing the port (REGISTRY_WORKERS)")
    command.set_defaults(run=serve.run)
    # Started by `serve --workers`, not by people.
    command = commands.add_parser("worker")
    command.add_argument("--parent", type=int, required=True)
    command.add_argument("--number", type=int, required=True)
    command.add_argument("--siblings", type=Path, required=True)
    command.set_defaults(run=serve.run_worker)


def _operating(commands: Commands[argparse.ArgumentParser]) -> None:
    command = commands.add_parser("migrate", help="bring the database schema up to this release")
    command.set_defaults(run=migration.run)
    command = commands.add_parser("check", help="prove that database and object store do what is needed")
    command.set_defaults(run=check.run)
    command = commands.add_parser(
        "gc",
        help="remove abandoned uploads and deleted files",
        description="Remove abandoned uploads, deleted files whose restore window is over, and old change log rows.",
    )
    command.add_argument("--dry-run", action="store_true", help="tell what would be removed, change nothing")
    command.add_argument(
        "--grace",
        type=collect.seconds,
        default=janitor.DEFAULT.abandoned,
        metavar="SECONDS",
        help="give up uploads open for longer than this (a day); a small number ends uploads under way",
    )
    command.add_argument(
        "--restore-window",
        type=collect.seconds,
        default=janitor.DEFAULT.restore,
        metavar="SECONDS",
        help="keep deleted files this long (seven days), for backups of the database that may be restored",
    )
    command.set_defaults(run=collect.run)
    command = commands.add_parser(
        "fsck",
        help="check everything that is stored",
        description="Check rows against objects, rows against each other, and what the formats make of them. Prints a "
        "line of JSON for each finding. Exit code 0: nothing was found; 1: something was, repaired or not; "
        "2: the check could not be made.",
    )
    command.add_argument("--deep", action="store_true", help="read every object and compare its digest")
    command.add_argument("--repair", action="store_true", help="mend what can be mended without losing anything")
    command.add_argument(
        "--min-age",
        type=collect.seconds,
        default=fsck.MIN_AGE,
        metavar="SECONDS",
        help="with --repair, remove objects without a row only when they are older (seven days)",
    )
    command.set_defaults(run=checking.run)


def _keeping(commands: Commands[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "backup",
        help="back up the embedded database and its objects",
        description="Write a backup while the registry runs: into a new or empty directory, where local objects are "
        "linked if the file system can, or into a new file whose name ends in .tar.",
    )
    command.add_argument("target", type=Path, metavar="TARGET", help="DIRECTORY or FILE.tar")
    command.set_defaults(run=backup.run)
    command = commands.add_parser(
        "restore",
        help="make a backup the data of a new registry",
        description="Restore what `registry backup` wrote into a data directory that is empty or not there yet.",
    )
    command.add_argument("source", type=Path, metavar="SOURCE", help="DIRECTORY or FILE.tar")
    command.add_argument("--verify", action="store_true", help="run `fsck --deep` on the result")
    command.set_defaults(run=restore.run)
    command = commands.add_parser(
        "restored",
        help="to be run once after an external database was restored",
        description="Move the change log and the serials on, so that nothing that replicas remember is taken for what "
        "the restored database holds.",
    )
    command.set_defaults(run=restore.run_restored)
