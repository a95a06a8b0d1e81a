"""Recipes for Atari games from pixels."""
