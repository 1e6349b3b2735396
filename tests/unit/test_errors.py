"""The error tree drawn at the top of the module is the tree that there is, and errors cross processes."""

from __future__ import annotations

import pickle
import re

import pytest

from echoic import errors


def test_the_tree_in_the_docstring_is_the_tree():
    drawn = {}
    stack: list[str] = []
    for line in errors.__doc__.splitlines():
        found = re.match(r"^    ([│├└─ ]*)([A-Z]\w+Error)\b", line)
        if found:
            depth = len(found[1]) // 4
            stack[depth:] = [found[2]]
            drawn[found[2]] = stack[depth - 1] if depth else "Exception"
    assert drawn == {
        name: getattr(errors, name).__base__.__name__ for name in errors.__all__ if name.endswith("Error")
    }


@pytest.mark.parametrize("name", [n for n in errors.__all__ if n.endswith("Error")])
def test_errors_survive_pickling(name):
    kind = getattr(errors, name)
    error = kind("Milvus", "milvus") if kind is errors.MissingDependencyError else kind("x.wav is empty")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert str(copy) == str(error)


def test_a_missing_dependency_names_the_command():
    assert "pip install 'echoic[milvus]'" in str(errors.MissingDependencyError("Milvus", "milvus"))
