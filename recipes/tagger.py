"""The network of others that teaches several recipes what is heard, and its own front end."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType


def load_tagger(folder: Path) -> ModuleType:
    """Import ``teachers.py``, the front end, from the tagger's folder."""
    spec = importlib.util.spec_from_file_location("teachers", folder / "teachers.py")
    if spec is None or spec.loader is None:
        raise ImportError(f"{folder} has no teachers.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
