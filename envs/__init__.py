"""Environments as rows: `envs.make`, the arcade and board games, probe environments.

No agents live here. Importing this registers ids, but loads no torch, numba, ale_py or pygame.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from envs.atari import PROTOCOLS, Protocol, protocol_for
    from envs.config import EnvConfig
    from envs.factory import make, spec
    from envs.target import ids

__all__ = ["PROTOCOLS", "EnvConfig", "Protocol", "ids", "make", "protocol_for", "spec"]

_HOMES = {
    "EnvConfig": "envs.config",
    "PROTOCOLS": "envs.atari",
    "Protocol": "envs.atari",
    "ids": "envs.target",
    "make": "envs.factory",
    "protocol_for": "envs.atari",
    "spec": "envs.factory",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'envs' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def _register() -> None:
    from envs import arcade, bandits, boards, partial, probes, two_player

    for family in (arcade, bandits, boards, partial, probes, two_player):
        family.register()


_register()
