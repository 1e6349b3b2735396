"""CUE sheets: what is heard in a recording, as players and editors read it.

The format is that of the CDRWIN user's guide: times are minutes, seconds and frames, 75 a second.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from echoic.cli.output import complain, say, shorten
from echoic.recordings.result import Match

if TYPE_CHECKING:
    from echoic.library import Library

__all__ = ["CueSheet"]

_FRAMES = 75  # in a second
_MOST_TRACKS = 99
_KINDS = {".mp3": "MP3", ".aif": "AIFF", ".aiff": "AIFF"}  # all else is WAVE, as players have it


class CueSheet:
    """Print one sheet, file by file; titles and performers are those of the library's tags."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._n_tracks = 0

    def add(self, matches: list[Match]) -> None:
        """Print what is heard in one file; of copies, and places, that are heard at once, the first."""
        if not matches:
            return
        query = matches[0].query
        say(f'FILE "{_quotable(query)}" {_KINDS.get(Path(query).suffix.lower(), "WAVE")}')
        end = -1.0
        for match in matches:
            if match.query_start < end - (match.query_end - match.query_start) / 2:
                continue
            if self._n_tracks == _MOST_TRACKS:
                left_out = f"a CUE sheet holds {_MOST_TRACKS} tracks; the rest is left out"
                complain(f"warning: {shorten(query)}: {left_out}")
                return
            end = match.query_end
            self._n_tracks += 1
            self._print(match)

    def _print(self, match: Match) -> None:
        known = self._library.files(match.path)
        tags = known[0].tags if known else {}
        say(f"  TRACK {self._n_tracks:02d} AUDIO")
        say(f'    TITLE "{_quotable(", ".join(tags.get("title", ())) or Path(match.path).stem)}"')
        if "artist" in tags:
            say(f'    PERFORMER "{_quotable(", ".join(tags["artist"]))}"')
        frames = round(match.query_start * _FRAMES)
        seconds, frames = divmod(frames, _FRAMES)
        say(f"    INDEX 01 {seconds // 60:02d}:{seconds % 60:02d}:{frames:02d}")


def _quotable(text: str) -> str:
    """Write what stands between quotes: the format has no way to spell a quote or a line break."""
    return " ".join(text.replace('"', "'").split())
