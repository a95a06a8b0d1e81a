"""Recipes for tasks that need a memory, and the contenders without one."""
