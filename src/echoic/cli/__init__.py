"""The command line: parses, calls :class:`echoic.Library`, prints. One file a verb.

Results go to stdout, progress and messages to stderr. Exit codes: 0 done, 1 some of the work failed, 2 wrong
usage, 130 stopped by Ctrl-C, 143 by SIGTERM.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections import ChainMap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from echoic import __version__
from echoic.cli.output import complain, leave, say
from echoic.cli.stopping import exit_code, stop_at_signals
from echoic.errors import EchoicError, quoted

__all__ = ["app", "main"]


#: Each verb's module, in the order in which the help lists them.
_MODULES = {
    module.rstrip("_"): module
    for module in (
        *("index", "search", "teach", "identify", "monitor", "duplicates", "repeats", "align"),
        *("describe", "transcript", "cut", "show", "embed", "status", "list_", "tag", "remove", "encoders"),
        *("recommend", "models", "train", "export", "evaluate", "cache", "library", "serve", "mcp"),
        *("doctor", "demo"),
    )
}


class _Commands(Mapping[str, Any]):
    """The verbs' commands by name, each imported and made when asked for: all take longer than a search."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            module = import_module(f"{__name__}.{_MODULES[name]}")
            alone = typer.Typer(add_completion=False, rich_markup_mode=None)
            alone.command(name)(module.run)
            self._made[name] = typer.main.get_command(alone)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_MODULES)

    def __len__(self) -> int:
        return len(_MODULES)


class _Verbs(TyperGroup):
    """Turns what Echoic raises on purpose, and what the system refuses, into a sentence and an exit code."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = ChainMap(self.commands, _Commands())  # type: ignore[arg-type]

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        with _in_one_sentence():  # --help and --version are printed here
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        with _in_one_sentence():
            return super().invoke(ctx)


@contextmanager
def _in_one_sentence() -> Iterator[None]:
    try:
        try:
            yield
        except EchoicError as error:
            complain(f"error: {error}")
            raise typer.Exit(exit_code(error)) from error
        except KeyboardInterrupt as stop:
            complain("stopped")
            raise typer.Exit(exit_code(stop)) from None
        finally:
            sys.stdout.flush()  # a full disk, or a pipe that nobody reads, is met here, not at the very end
    except BrokenPipeError:  # the reader, `head` say, has had enough
        leave(sys.stdout)
        raise typer.Exit(0) from None
    except OSError as error:
        what = "a file" if error.filename is None else quoted(str(error.filename))
        if error.filename == _STDOUT:
            leave(sys.stdout)
        advice = "make room there" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "put that right"
        complain(f"error: {what} cannot be used ({error.strerror or error}); {advice} and run it again")
        raise typer.Exit(1) from error


_STDOUT = "standard output"


class _Stdout(io.TextIOWrapper):
    """Standard output, which is named as files are where the system refuses to take more."""

    def write(self, text: str) -> int:
        with self._named():
            return super().write(text)

    def flush(self) -> None:
        with self._named():
            super().flush()

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            error.filename = _STDOUT
            raise


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


def main() -> None:
    """Run the command line."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # a shell has closed it
            nothing = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(nothing, mode, encoding="utf-8", closefd=False))
    given: Any = sys.stdout
    sys.stdout = _Stdout(given.detach(), given.encoding, line_buffering=given.line_buffering)
    # A file name need not be valid in the terminal's encoding. In results it must come out byte for byte.
    is_utf8 = sys.stdout.encoding.lower() == "utf-8"
    sys.stdout.reconfigure(errors="surrogateescape" if is_utf8 else "backslashreplace")
    sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    group: Any = typer.main.get_command(app)
    group.commands.get("".join(sys.argv[1:2]))  # imports the verb, meanwhile Ctrl-C need do no more than stop
    stop_at_signals()
    group()
