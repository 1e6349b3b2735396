import subprocess
import sys
from dataclasses import FrozenInstanceError
from itertools import product

import pytest

from echoic.errors import UsageError
from echoic.training.recipes import RECIPES, Recipe, find_recipe

ARCHITECTURES = ("cnn", "mobile", "transformer", "hybrid")
OBJECTIVES = ("contrastive", "triplet", "triplet-semihard", "ntxent", "supcon", "proxy", "arcface")


def test_there_is_a_recipe_for_each_network_and_objective():
    assert set(RECIPES) == {f"{network}-{loss}" for network, loss in product(ARCHITECTURES, OBJECTIVES)}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_a_recipe_can_be_listed_and_trained(recipe):
    assert RECIPES[recipe.name] is recipe
    assert recipe.name == f"{recipe.architecture}-{recipe.objective}"
    assert recipe.description.isprintable()
    assert 0 < len(recipe.description) <= 90
    assert 0 < recipe.learning_rate < 0.01
    pairs_needed = recipe.objective not in ("proxy", "arcface")
    assert recipe.n_per_class >= (2 if pairs_needed else 1)
    assert recipe.n_classes_per_batch >= 2


def test_descriptions_tell_recipes_apart():
    assert len({recipe.description for recipe in RECIPES.values()}) == len(RECIPES)


def test_recipes_cannot_be_changed():
    recipe = find_recipe("cnn-supcon")
    with pytest.raises(FrozenInstanceError):
        recipe.learning_rate = 1.0
    with pytest.raises(TypeError):
        RECIPES["mine"] = recipe


def test_finds_by_name():
    recipe = find_recipe("hybrid-triplet-semihard")
    assert isinstance(recipe, Recipe)
    assert (recipe.architecture, recipe.objective) == ("hybrid", "triplet-semihard")


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("cnn-supcn", "cnn-supcon"), ("hybird-triplet", "hybrid-triplet"), ("CNN-ArcFace", "cnn-arcface")],
)
def test_a_misspelt_name_is_answered_by_the_nearest(name, nearest):
    with pytest.raises(UsageError) as caught:
        find_recipe(name)
    assert str(caught.value).startswith(f"there is no recipe named {name!r}; did you mean {nearest}")


def test_a_name_unlike_all_is_answered_by_how_names_are_made():
    with pytest.raises(UsageError) as caught:
        find_recipe("?")
    assert all(part in str(caught.value) for part in ARCHITECTURES + OBJECTIVES)


def test_recipes_are_listed_without_torch():
    probe = "import sys, echoic.training.recipes; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", probe], timeout=60).returncode == 0
