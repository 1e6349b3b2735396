"""How a command stops that is asked to: by Ctrl-C, by another process, or because its terminal is closed."""

from __future__ import annotations

import signal
from types import FrameType

from echoic.errors import EchoicError, UsageError

__all__ = ["exit_code", "stop_at_signals"]


class _Stopped(KeyboardInterrupt):
    """Asked to stop by another signal than Ctrl-C's. Whatever tidies up after that one does after these."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def _stop(number: int, frame: FrameType | None) -> None:
    raise _Stopped(number)


def stop_at_signals() -> None:
    """Raise KeyboardInterrupt from now on at Ctrl-C, SIGTERM and SIGHUP, unless they are ignored (nohup)."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _stop)


def exit_code(stop: KeyboardInterrupt | EchoicError) -> int:
    """Give the exit code of a kind of wrong, or a shell's for a signal: 130 for Ctrl-C, 143 for SIGTERM."""
    if isinstance(stop, EchoicError):
        return 2 if isinstance(stop, UsageError) else 1
    return 128 + (stop.number if isinstance(stop, _Stopped) else signal.SIGINT)
