"""Recipes for the classic control tasks of Gymnasium."""
