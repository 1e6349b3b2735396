"""What the notes of a file say that more than one room reads; needs no decoder."""

from __future__ import annotations

from collections.abc import Sequence

from echoic.types import AudioInfo, Note, TrackChoice

__all__ = ["is_heard", "of_query", "why_nothing", "with_tracks"]


def with_tracks(notes: Sequence[Note], n_tracks: int, heard: TrackChoice) -> tuple[Note, ...]:
    """Put before the notes on a file the one that says which of its several tracks are heard."""
    spelt = {"all": "each is", "mix": "their mix is"}.get(str(heard), f"track {heard} is")
    note = Note("tracks", f"it has {n_tracks} tracks of sound, and {spelt} heard", heard)
    return (note, *(other for other in notes if other.kind != "tracks"))


def is_heard(notes: Sequence[Note], track: TrackChoice) -> bool:
    """Tell by its notes whether a file was heard as was asked for; one with a single track always was."""
    return all(note.track == track for note in notes if note.kind == "tracks")


def of_query(info: AudioInfo) -> tuple[Note, ...]:
    """Return what a person should know of a file that is asked with: what could not be decoded, too.

    Of a file that is indexed that is its message.
    """
    return (*info.notes, Note("damage", info.lost)) if info.lost else info.notes


def why_nothing(info: AudioInfo, *, of_speech: bool = False) -> str:
    """Say why nothing of a file was encoded, or nothing of what is said in it, from its notes."""
    kinds = {note.kind: note.sentence for note in info.notes}
    told = kinds.get("ultrasound") or kinds.get("silence")
    return told or ("nobody speaks in it" if of_speech else "no sound in it")
