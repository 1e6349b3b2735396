"""The scripts under ``recipes/``, which lie beside the package and not in it, as modules."""

import importlib
import sys
from pathlib import Path

RECIPES = Path(__file__).parents[1] / "recipes"


def of_the_recipe(recipe, module):
    folder = RECIPES / recipe
    # Each recipe has a train.py: those of the others make room.
    for name, loaded in list(sys.modules.items()):
        file = Path(getattr(loaded, "__file__", None) or "")
        if RECIPES in file.parents and file.parent != folder:
            del sys.modules[name]
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(module)
    finally:
        sys.path.remove(str(folder))
