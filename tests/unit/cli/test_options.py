"""What options are given as."""

from __future__ import annotations

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from echoic.cli import app
from echoic.cli.options import number, seconds, whole_number
from echoic.cli.output import as_clock
from echoic.errors import EchoicError

GROUP = typer.main.get_command(app)


@pytest.mark.parametrize("verb", GROUP.commands)
def test_no_option_answers_in_the_words_of_a_library(verb):
    command = GROUP.commands[verb]
    for parameter in command.params:
        is_option = parameter.param_type_name == "option"
        if is_option and parameter.is_flag:
            continue
        try:
            command.make_context(verb, [*parameter.opts[:is_option], "so-and-so"])
        except (typer.BadParameter, EchoicError) as error:
            said = str(error)
            assert "Value error" not in said
            assert "Input should" not in said


def test_numbers_within_bounds():
    assert whole_number(1)("3") == 3
    assert whole_number()("-3") == -3
    assert number(0, 0.9)("0.9") == 0.9
    assert number(0)(2) == 2  # a default is read, too
    for read, text, said in (
        (whole_number(1), "0", "'0' is no whole number from 1 on"),
        (whole_number(), "1.5", "'1.5' is no whole number"),
        (whole_number(2, 4096), "x", "'x' is no whole number from 2 to 4096"),
        (number(0, 0.9), "1", "'1' is no number from 0 to 0.9"),
        (number(), "nan", "'nan' is no number"),
    ):
        with pytest.raises(typer.BadParameter) as caught:
            read(text)
        assert caught.value.message == said


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("15", 15),
        ("75.5", 75.5),
        (".5", 0.5),
        ("1e3", 1000),
        ("-1", -1),  # what is asked says that it makes no sense
        ("3:09", 189),
        ("3:9", 189),
        ("0:03.4", 3.4),
        ("15:29.5", 929.5),
        ("90:00", 5400),
        ("1:15:29", 4529),
        ("1:15:29.25", 4529.25),
        ("100:00:00", 360_000),
        (" 3:09 ", 189),
        ("75m", 4500),
        ("1.5h", 5400),
        ("30s", 30),
        ("1h15m", 4500),
        ("1H15M30.5S", 4530.5),
        ("2h.5s", 7200.5),
    ],
)
def test_times(text, time):
    assert seconds(text) == time


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "nan",
        "3:",
        ":09",
        "3:60",
        "1:60:00",
        "1:2:3:4",
        "3:0x9",
        "-1:00",
        "3;09",
        "1:1.5:00",
        "h",
        "m",
        "1d",
        "15m1h",
        "-5m",
        "1h 5",
        "1:15m",
        "5min",
        "1e3s",
        ".m",
    ],
)
def test_what_is_no_time(text):
    with pytest.raises(typer.BadParameter, match="is no time; give seconds"):
        seconds(text)


@given(st.floats(0, 1e6))
def test_what_is_printed_is_taken(time):
    assert seconds(as_clock(time)) == pytest.approx(time, abs=0.051 if time < 3599.9 else 1.05)
