"""What the embedded store searches in: a snapshot, and what was written since."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from echoic.storage.vectors.ann import Mask
from echoic.storage.vectors.snapshot import Snapshot

__all__ = ["View"]

# Changes that are cheaper to read from the database at every start (10k rows: .1 s) than to lay out anew.
_MANY_CHANGES = 10_000
_MANY_CHANGES_OF = 20  # or this part of the snapshot, if that is more: filling codes takes long


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The collection at one generation: a snapshot, and the files that changed since, which hide theirs."""

    base: Snapshot
    recent: Snapshot
    kept: Mask  # which files of the base did not change
    weight_at_load: int

    @classmethod
    def of(cls, base: Snapshot, recent: Snapshot, weight_at_load: int | None = None) -> View:
        kept = ~np.isin(base.file_ids, recent.file_ids)
        view = cls(base, recent, kept, weight_at_load or 0)
        return view if weight_at_load is not None else replace(view, weight_at_load=view.weight)

    @property
    def generation(self) -> int:
        return self.recent.generation

    @property
    def weight(self) -> int:
        """Segments, old and new, and files to read beside the snapshot."""
        hidden = int(np.diff(self.base.offsets)[~self.kept].sum())
        return hidden + len(self.recent) + len(self.recent.file_ids)

    @property
    def is_heavy(self) -> bool:
        return self.weight > max(_MANY_CHANGES, len(self.base) // _MANY_CHANGES_OF)
