"""Watching and playing: the viewer's window and film, what an agent thinks, and games against a person.

Drawing of the games themselves lives in `envs.drawing`.
"""
