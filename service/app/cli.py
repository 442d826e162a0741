"""The command line: `sync-front serve` on AWS, `sync-front local` on a laptop."""

from __future__ import annotations

import argparse
import sys
import textwrap
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic_core import PydanticUndefined

import service
from service.app import event_loop, serve, settings
from service.app.aws import sdk_access
from service.app.credentials import CredentialsUnavailableError
from service.app.shutdown import Shutdown
from service.telemetry import logs

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

LOCAL_USE_MISSING: Final = {
    "jsonata": "`sync-front local` needs an extra; run: pip install 'sync-front[local]'",
    "service.local": "this is the production image; local use needs one that is built without `--target serve`",
}
"""The message for each module that may be missing."""


LOCAL_COMMANDS: Final = {
    "local": "run the service with an embedded local AWS (needs the extra `local`)",
    "local-aws": "run the embedded local AWS alone (the same); it prints the settings for `serve`",
}
"""The commands that parse their own arguments, with their help: the production image lacks the modules for them."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit status.

    1: a port is taken, the source of AWS credentials fails, the workflow file cannot be run here, or local use or its
    dependencies are not installed. 2: settings or arguments are invalid. 3: requests in flight were ended by the stop.
    """
    parser = _parser()
    options, others = parser.parse_known_args(arguments)
    if others and options.command not in LOCAL_COMMANDS:
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    if options.command == "serve":
        return _run(_serve())
    try:
        from service.app import local  # noqa: PLC0415 - `serve` needs neither the embedded AWS nor its package
    except ModuleNotFoundError as error:
        if error.name not in LOCAL_USE_MISSING:
            raise
        print(LOCAL_USE_MISSING[error.name], file=sys.stderr)  # noqa: T201 - a message for the person at the terminal
        return 1
    prog = f"{parser.prog} {options.command}"
    if options.command == "local-aws":
        return local.aws_alone(others, prog)
    return _run(local.run(local.read_arguments(others, prog, parser.epilog)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m service" if Path(sys.argv[0]).name == "__main__.py" else "sync-front",
        description=f"{service.__doc__}\nSettings are environment variables; they are listed below.",
        epilog="\n".join(_describe_settings()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"sync-front {service.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands.add_parser(
        "serve",
        help="run the service",
        description="Run the service until SIGTERM or Ctrl-C.",
        epilog=parser.epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for command, meaning in LOCAL_COMMANDS.items():
        commands.add_parser(command, add_help=False, help=meaning)
    return parser


def _describe_settings() -> Iterator[str]:
    yield "settings (environment variables):"
    for name, field in settings.Settings.model_fields.items():
        if field.is_required():
            yield f"  {name} (required)"
        elif field.default in (None, "", frozenset(), PydanticUndefined):
            yield f"  {name}"
        else:
            yield f"  {name} (default: {field.default})"
        meaning = " ".join((field.description or "").split())
        yield textwrap.indent(textwrap.fill(meaning, 90), " " * 6)


def _run(work: Coroutine[None, None, bool]) -> int:
    try:
        return 0 if event_loop.run(work) else 3
    except settings.SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - for the person at the terminal
        return 2
    except serve.CannotStartError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the same
        return 1


async def _serve() -> bool:
    config = settings.load()
    logs.configure(config.LOG_LEVEL, config.LOG_FORMAT)
    async with AsyncExitStack() as stack:
        try:
            access = await sdk_access(stack)
        except CredentialsUnavailableError as error:
            raise serve.CannotStartError(f"AWS credentials cannot be read: {error}") from error
        shutdown = Shutdown()
        shutdown.install_signal_handlers()
        return await serve.run(config, access, shutdown, lambda _port: event_loop.freeze_heap())
