"""M3U playlists in which each entry begins where something was found."""

from __future__ import annotations

from pathlib import Path

from echoic.types import Hit

__all__ = ["M3U_HEAD", "m3u_entry"]

M3U_HEAD = "#EXTM3U"


def m3u_entry(hit: Hit) -> str | None:
    """Spell an entry, of three lines; None where the file's name has a line break, which M3U cannot hold.

    Examples
    --------
    >>> print(m3u_entry(Hit(1, "/sounds/owl.wav", 3.0, 5.0, 0.9, "sound")))
    #EXTINF:2,owl
    #EXTVLCOPT:start-time=3.00
    /sounds/owl.wav
    """
    if "\n" in hit.path or "\r" in hit.path:
        return None
    # VLC starts there; others pass the line over.
    start = f"#EXTVLCOPT:start-time={hit.start:.2f}"
    return f"#EXTINF:{round(hit.end - hit.start)},{Path(hit.path).stem}\n{start}\n{hit.path}"
