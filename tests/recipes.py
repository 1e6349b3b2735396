"""The scripts under ``recipes/``, which lie beside the package and not in it, as modules."""

import importlib
import sys
from pathlib import Path


def of_the_recipe(recipe, module):
    folder = str(Path(__file__).parents[1] / "recipes" / recipe)
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(module)
    finally:
        sys.path.remove(folder)
