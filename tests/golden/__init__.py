"""Digests of short runs, recorded before a refactoring, and the tests that compare today's code with them."""
