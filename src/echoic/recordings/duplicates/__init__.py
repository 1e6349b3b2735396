"""Recordings that a library holds twice: told file by file, and gone on with where a run was stopped."""

from echoic.recordings.duplicates.duplication import Duplication

__all__ = ["Duplication"]
