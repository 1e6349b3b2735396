"""Run every benchmark of speed in turn.

Each runs in a process of its own: none finds its libraries loaded, or its memory used, by the one before.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from benchmarks.tables import machine

PARTS = ("front_end", "indexing", "cold_start", "stores")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="smaller inputs: minutes instead of a quarter hour"
    )
    parser.add_argument("--readme", action="store_true", help="write the main figures into README.md")
    options = parser.parse_args(arguments)
    print(machine())
    passed_on = [f"--{name}" for name in ("quick", "readme") if getattr(options, name)]
    failed = []
    for part in PARTS:
        print(f"\n# {part}\n", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{part}", *passed_on]
        if subprocess.run(command, check=False).returncode != 0:
            failed.append(part)
    if failed:
        print(f"\nbroke down: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
