"""From a recipe to shards: every sample in its place, or listed with why it is not."""

from .build import ExportedData, build
from .build_recipe import BuildError, BuildPart, BuildRecipe, read_recipe

__all__ = ["BuildError", "BuildPart", "BuildRecipe", "ExportedData", "build", "read_recipe"]
