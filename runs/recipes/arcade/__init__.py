"""Recipes for the five games of the arcade, whose shared values stand in `shared.py`."""
