"""Print the lowest versions of the dependencies that ``pyproject.toml`` allows, for pip: ``make lowest``."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def lowest(pyproject: Path) -> list[str]:
    """Return the core dependencies, each pinned to the least version that is allowed."""
    dependencies = tomllib.loads(pyproject.read_text("utf-8"))["project"]["dependencies"]
    return [dependency.replace(">=", "==") for dependency in dependencies]


if __name__ == "__main__":
    sys.stdout.write("\n".join(lowest(Path(__file__).parents[1] / "pyproject.toml")) + "\n")
