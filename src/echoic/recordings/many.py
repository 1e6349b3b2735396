"""Many sources listened to at once, in one process, of which one thread encodes and compares.

Every stream is received and decoded by a thread of its own, which sleeps while nothing comes. What it has
decoded it resamples at once to what the encoder takes, and hands over two seconds at a time: they are as many
windows as the network takes together, and share the frames of their spectrograms. Files are decoded one after
the other, beside the streams. Where the one that compares cannot keep up, those that decode wait for it, and
the servers for them: nothing is lost, and memory does not grow.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from threading import BoundedSemaphore, Event, Thread
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

from echoic.addresses import is_url, without_login
from echoic.audio.decode import Resampler, open_audio
from echoic.audio.live import connections, piped
from echoic.errors import AudioError
from echoic.machine import one_thread_for_algebra
from echoic.recordings.result import Match, SourceStatus
from echoic.recordings.stretches import QUERY_HOP
from echoic.types import Float32, LiveSound, Note

if TYPE_CHECKING:
    from echoic.recordings.recognition import Ear, Recognition
    from echoic.search.query import Scope

__all__ = ["listen"]

_PIECE = 2.0  # s that are handed over at a time
_WAITING = 64  # pieces that may wait in all: 4 MB
_KEPT = 30.0  # s of a source that are kept, of which what is judged are the last few
_HOP = 2 * QUERY_HOP  # s between windows, as in a query of one stretch: half of them tell as much
_LOOKS = 0.5  # s after which one who waits for room looks whether anybody still listens


class _Stopped(Exception):  # noqa: N818 - nothing is wrong
    """Nobody listens any more."""


class _Piece(NamedTuple):
    """What comes of a source: samples of one connection, or its end; or the source's own end, and why."""

    source: str
    sound: LiveSound | None = None
    samples: Float32 | None = None
    failed: Exception | None = None
    notes: tuple[Note, ...] = ()


def _standard_input() -> BinaryIO:
    """Return standard input without its buffer, whose lock a thread that waits would hold to the very end."""
    buffer: Any = sys.stdin.buffer
    raw: BinaryIO = getattr(buffer, "raw", buffer)
    return raw


class _Receiver:
    """Decodes sources in threads of its own."""

    def __init__(self, sample_rate: int) -> None:
        self.pieces: SimpleQueue[_Piece] = SimpleQueue()
        self.room = BoundedSemaphore(_WAITING)
        self._rate = sample_rate
        self._stop = Event()

    def start(self, sources: Sequence[str]) -> None:
        """Receive all live sources at once, files one after the other."""
        files = [name for name in sources if not _is_live(name)]
        for names in (*([name] for name in sources if _is_live(name)), files):
            Thread(target=self._receive, args=(names,), daemon=True).start()

    def stop(self) -> None:
        """Have all threads end, those that wait for a server when it answers."""
        self._stop.set()

    def _receive(self, names: Sequence[str]) -> None:
        for name in names:
            try:
                notes = self._hand_over(name)
            except _Stopped:
                return
            except Exception as error:  # noqa: BLE001 - the thread that listens raises it
                self.pieces.put(_Piece(name, failed=error))
            else:
                self.pieces.put(_Piece(name, notes=notes))

    def _hand_over(self, name: str) -> tuple[Note, ...]:
        """Hand over all that comes of a source, and return what a person should know of it."""
        with ExitStack() as opened:
            if is_url(name):
                for sound in connections(name, pause=self._wait):
                    self._all_of(name, sound)
            elif name == "-":
                self._all_of(name, opened.enter_context(piped(_standard_input())))
            else:
                stream = opened.enter_context(open_audio(Path(name)))
                self._all_of(name, LiveSound(name, 0.0, stream.sample_rate, stream.blocks()))
                return stream.info.notes
        return ()

    def _all_of(self, name: str, sound: LiveSound) -> None:
        resampler = Resampler(sound.sample_rate, self._rate)
        waiting = [np.empty(0, np.float32)]
        for block in sound.blocks:
            waiting.append(resampler.push(block))
            if sum(map(len, waiting)) >= _PIECE * self._rate:
                self._put(name, sound, np.concatenate(waiting))
                waiting = []
        self._put(name, sound, np.concatenate([*waiting, resampler.finish()]))
        self.pieces.put(_Piece(name, sound))

    def _put(self, name: str, sound: LiveSound, samples: Float32) -> None:
        while not self.room.acquire(timeout=_LOOKS):
            self._wait(0)
        self._wait(0)
        self.pieces.put(_Piece(name, sound, samples))

    def _wait(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise _Stopped


def listen(
    recognition: Recognition,
    sources: Sequence[str],
    scope: Scope,
    told: Callable[[SourceStatus], None],
    noted: Callable[[str, Note], None],
) -> Iterator[Match]:
    """Tell what is heard in any of some sources, as it comes, each recording once it is over.

    Parameters
    ----------
    recognition : Recognition
    sources : sequence of str
        Addresses, and ``-`` for standard input, are listened to all at once; files one after the other.
    scope : Scope
    told : callable
        Called whenever it changes what has become of a source.
    noted : callable
        Called with a file and what a person should know of it.
    """
    sources = list(dict.fromkeys(sources))
    receiver = _Receiver(recognition.sample_rate)
    ears: dict[str, Ear] = {}
    heard_before: set[str] = set()
    left = len(sources)
    receiver.start(sources)
    try:
        while left:
            name, sound, samples, failed, notes = receiver.pieces.get()
            if sound is None:  # no more of this source
                left -= 1
                for note in notes:
                    noted(name, note)
                if failed is not None and not isinstance(failed, AudioError):
                    raise failed
                told(SourceStatus(without_login(name), "failed" if failed else "over", str(failed or "")))
                continue
            if name not in ears:
                at_rate = LiveSound(sound.name, sound.begun, recognition.sample_rate, iter(()))
                ears[name] = recognition.ear(at_rate, scope, hop=_HOP, kept=_KEPT)
                told(SourceStatus(sound.name, "back" if name in heard_before else "heard"))
                heard_before.add(name)
            with one_thread_for_algebra():
                if samples is not None:
                    receiver.room.release()
                    matches = list(ears[name].push(samples))
                else:
                    matches = list(ears.pop(name).finish())
            yield from matches
            if samples is None:
                for note in sound.notes():
                    noted(without_login(name), note)
            if samples is None and is_url(name):
                told(SourceStatus(sound.name, "lost"))
    finally:
        receiver.stop()


def _is_live(name: str) -> bool:
    return name == "-" or is_url(name)
