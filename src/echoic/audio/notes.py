"""What the notes of a file say that more than one room reads; needs no decoder."""

from __future__ import annotations

from collections.abc import Sequence

from echoic.types import AudioInfo, TrackChoice

__all__ = ["is_heard", "tracks_note", "why_nothing"]


def tracks_note(n_tracks: int, heard: TrackChoice) -> str:
    """Say which of several tracks are heard; the note that a file has of it."""
    return f"tracks: it has {n_tracks} tracks of sound, and {_spelt(heard)} heard"


def is_heard(notes: Sequence[str], track: TrackChoice) -> bool:
    """Tell by its notes whether a file was heard as was asked for; one with a single track always was."""
    return all(note.endswith(f"and {_spelt(track)} heard") for note in notes if note.startswith("tracks: "))


def _spelt(track: TrackChoice) -> str:
    return {"all": "each is", "mix": "their mix is"}.get(str(track), f"track {track} is")


def why_nothing(info: AudioInfo) -> str:
    """Say why nothing of a file was encoded, from its notes."""
    kinds = dict(note.split(": ", 1) for note in info.notes)
    return kinds.get("ultrasound") or kinds.get("silence") or "no sound in it"
