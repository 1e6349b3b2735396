"""Where the command line begins: ``echoic``, or ``python -m echoic`` where that is not on the path.

All else is imported only here within, for it takes a moment, in which Ctrl-C must do no more than stop.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    # There is nothing to tidy up yet, and what is imported might catch a KeyboardInterrupt, or print it.
    is_heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_heard:
        signal.signal(signal.SIGINT, _leave)
    from echoic.cli import main as run

    try:
        run()
    finally:
        if is_heard:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # nor is there any more


def _leave(number: int, frame: FrameType | None) -> None:
    if sys.stderr is not None:
        sys.stderr.write("stopped\n")
    os._exit(128 + number)


if __name__ == "__main__":
    main()
