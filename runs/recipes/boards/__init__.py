"""Recipes for the board games."""
