"""The parts that agents are built from: rows, replay, networks, losses, returns, the loop, checkpoints, statistics."""

__version__ = "0.1.0"
