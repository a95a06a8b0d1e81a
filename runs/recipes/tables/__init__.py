"""Recipes for agents with a table on Gymnasium's toy text."""
