"""The command line: parses, calls :class:`echoic.Library`, prints. One file a verb.

Results go to stdout, progress and messages to stderr. Exit codes: 0 done, 1 some of the work failed, 2 wrong
usage, 130 stopped by Ctrl-C, 143 by SIGTERM.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from echoic import __version__
from echoic.cli import (
    align,
    cache,
    demo,
    doctor,
    duplicates,
    embed,
    encoders,
    evaluate,
    export,
    identify,
    index,
    list_,
    models,
    monitor,
    remove,
    search,
    status,
    tag,
    train,
)
from echoic.cli.output import complain, say
from echoic.cli.stopping import exit_code, stop_at_signals
from echoic.errors import EchoicError, UsageError

__all__ = ["app", "main"]


class _Verbs(TyperGroup):
    """Turns the errors that Echoic raises on purpose into one sentence and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # a pipe that nobody reads is met here rather than at the very end
            return result
        except EchoicError as error:
            complain(f"error: {error}")
            raise typer.Exit(2 if isinstance(error, UsageError) else 1) from error
        except KeyboardInterrupt as stop:
            complain("stopped")
            raise typer.Exit(exit_code(stop)) from None
        except BrokenPipeError:
            # The reader, `head` say, has had enough. What Python flushes at its end must find no pipe.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None


app = typer.Typer(
    cls=_Verbs,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # it would take "[default: …]" in a help text for markup, and leave it out
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A search engine for sound: point it at audio files and find what you hear in your head.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        say(f"echoic {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Take the options that stand before the verb."""


_VERBS = (
    *(index, search, identify, monitor, duplicates, align, embed, status, list_, tag, remove),
    *(encoders, models, train, export, evaluate, cache),
    *(doctor, demo),
)
for _verb in _VERBS:
    app.command(_verb.__name__.rpartition(".")[2].rstrip("_"))(_verb.run)


def main() -> None:
    """Run the command line; the entry point of ``echoic``."""
    # A file name need not be valid in the terminal's encoding. In results it must come out byte for byte.
    is_utf8 = sys.stdout.encoding.lower() == "utf-8"
    sys.stdout.reconfigure(errors="surrogateescape" if is_utf8 else "backslashreplace")  # type: ignore[union-attr]
    sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    stop_at_signals()
    app()
