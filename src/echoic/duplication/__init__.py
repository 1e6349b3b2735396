"""Recordings that a library holds twice: told file by file, and gone on with where a run was stopped."""

from echoic.duplication.duplication import Duplication

__all__ = ["Duplication"]
