"""What a Python user calls with: what is of a wrong kind is told in a sentence, by every function alike."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import numpy as np
import pytest

import echoic
from echoic import Library, UsageError
from echoic.arguments import _KINDS, checked

NOT_LOOKED_AT = {"every", "include_query", "leave"}
METHODS = [name for name, _ in inspect.getmembers(Library, inspect.isfunction) if name[0] != "_"]
#: Something that no parameter of that name can be.
WRONG = object()


@pytest.mark.parametrize("name", [*METHODS, "Library", "embed", "align", "describe", "recommend"])
def test_every_argument_of_a_wrong_kind_is_told_by_its_name(name, tmp_path):
    function = getattr(Library(tmp_path / "none") if name in METHODS else echoic, name)
    parameters = inspect.signature(function).parameters
    for parameter in parameters.values():
        if parameter.name in NOT_LOOKED_AT:
            continue
        assert parameter.name in _KINDS
        others = {
            other.name: "a.wav"
            for other in parameters.values()
            if other.default is other.empty and other is not parameter
        }
        with pytest.raises(UsageError, match=rf"^{parameter.name} is .* and must be "):
            function(**others, **{parameter.name: WRONG})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"query": b"a.wav"}, "query is b'a.wav' and must be the path of a file or folder"),
        ({"query": ""}, "query is '' and must be the path of a file or folder"),
        ({"query": None}, "query is None and must be the path of a file or folder"),
        ({"k": "3"}, "k is '3' and must be a whole number"),
        ({"k": True}, "k is True and must be a whole number"),
        ({"k": 3.0}, "k is 3.0 and must be a whole number"),
        ({"start": "1:15"}, "start is '1:15' and must be a number of seconds"),
        ({"tags": ["keep", 3]}, "tags is ['keep', 3] and must be text, or several"),
        ({"tags": None}, "tags is None and must be text, or several"),
        (
            {"paths": [Path("a"), b"b"]},
            "paths is [PosixPath('a'), b'b'] and must be paths of files and folders",
        ),
        ({"track": "both"}, "track is 'both' and must be a number, 'all' or 'mix'"),
    ],
)
def test_what_is_said(arguments, said):
    @checked
    def asked(query="a", k=1, start=None, tags=(), paths=(), track=None):
        pytest.fail("it was called")

    with pytest.raises(UsageError, match=f"^{re.escape(said)}$"):
        asked(**arguments)


def test_what_fits_is_handed_on():
    @checked
    def asked(query, k=1, *, start=None, tags=(), paths=()):
        return query, k, start, tags, paths

    assert asked("a") == ("a", 1, None, (), ())
    assert asked(Path("a"), np.int64(2), start=np.float32(0.5), tags="keep", paths=Path("b")) == (
        *(Path("a"), 2, 0.5),
        *(["keep"], [Path("b")]),
    )
    assert asked("a", start=None, paths=(name for name in "ab"))[4] == ["a", "b"]
    with pytest.raises(TypeError, match=r"asked\(\) got an unexpected keyword argument 'frob'"):
        asked("a", frob=1)
