"""Writes ``docs/cli.md`` from the command line itself; a test fails when the two differ.

Run it after changing a verb: ``python -m tests.golden.make_cli_reference``.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import typer

from echoic.cli import app

TARGET = Path(__file__).parents[2] / "docs" / "cli.md"

HEAD = """# The command line

<!-- Written by tests/golden/make_cli_reference.py; change the help texts in src/echoic/cli instead. -->

Results go to stdout, progress and messages to stderr. In JSON, files of the library have absolute paths,
files that you give stand as you give them, and times are seconds. Where TIME is asked for, seconds are given,
or a time as results print it: 75.5, 1:15.5, 1:15:29; 90m, 1.5h and 1h15m will do, too.

A file name that is not UTF-8 stands in JSON as Python spells it (`os.fsencode` gives its bytes back), and for
other programs in a second field, `path_base64` beside `path`; CSV and M3U hold its bytes.

| exit code | |
| --- | --- |
| 0 | Done; also where nothing is found, or nothing recognised. |
| 1 | Some of the work, or all of it, failed: audio, data or a trained model is not there or cannot be read; \
there is no library yet, another process writes to it, or it is damaged; a server cannot be reached; two \
recordings have nothing in common. |
| 2 | Wrong usage: a word, option, number, time or tag that makes no sense; a part that lies \
behind the end of a file; an encoder that is not there; \
a path that the library does not have; a place to write to that is none. |
| 130, 143 | Stopped by Ctrl-C, by SIGTERM; but `serve`, which ends so, 0. |
"""


def reference() -> str:
    """Spell out every verb with its arguments and options."""
    group: Any = typer.main.get_command(app)
    parts = [HEAD]
    for name, command in group.commands.items():
        parts.append(f"## echoic {name}\n\n{inspect.cleandoc(command.help)}\n")
        rows = [_row(parameter) for parameter in command.params]
        parts.append("| argument or option | |\n| --- | --- |\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def _row(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        name = f"`{parameter.metavar}`"
    else:
        value = "" if parameter.is_flag else f" {parameter.metavar}"
        name = ", ".join(f"`{word}{value}`" for word in parameter.opts)
    text = parameter.help
    if parameter.param_type_name == "option" and parameter.show_default and not parameter.is_flag:
        default = parameter.default() if callable(parameter.default) else parameter.default
        if default is not None:
            text += f" [default: {default}]"
    return f"| {name} | {text.replace('|', chr(92) + '|')} |"


if __name__ == "__main__":
    TARGET.write_text(reference(), "utf-8")
