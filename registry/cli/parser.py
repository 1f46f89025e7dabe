"""The grammar of the command line."""

from __future__ import annotations

import argparse

from registry import __version__, janitor
from registry.cli import (
    check,
    collect,
    deploy_tokens,
    groups,
    instance,
    members,
    migration,
    projects,
    serve,
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
    for topic in (users, groups, projects, members, tokens, deploy_tokens, instance):
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
