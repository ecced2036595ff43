"""Builds shards from a recipe; samples that are excluded are listed with their reasons."""

from .build import ExportedData, build
from .build_recipe import BuildError, BuildPart, BuildRecipe, read_recipe

__all__ = ["BuildError", "BuildPart", "BuildRecipe", "ExportedData", "build", "read_recipe"]
