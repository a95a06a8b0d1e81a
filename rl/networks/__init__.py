"""Networks that every agent shares: encoders of observations, recurrent cores, heads, inspection.

Names are loaded on first use, so that reading a `NetConfig` does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rl.networks.config import NetConfig as NetConfig
    from rl.networks.cores import Core as Core
    from rl.networks.dense import Dense as Dense
    from rl.networks.heads import CosineEmbedding as CosineEmbedding
    from rl.networks.heads import NoisyLinear as NoisyLinear
    from rl.networks.heads import ValueHead as ValueHead
    from rl.networks.heads import linear as linear
    from rl.networks.heads import resample_noise as resample_noise
    from rl.networks.heads import set_noise as set_noise
    from rl.networks.init import orthogonal_ as orthogonal_
    from rl.networks.init import seeded as seeded
    from rl.networks.summary import LayerRow as LayerRow
    from rl.networks.summary import describe as describe
    from rl.networks.summary import render_table as render_table
    from rl.networks.torso import Torso as Torso
    from rl.networks.torso import build_torso as build_torso

_HOME = {
    "NetConfig": "config",
    "Core": "cores",
    "Dense": "dense",
    "CosineEmbedding": "heads",
    "NoisyLinear": "heads",
    "ValueHead": "heads",
    "linear": "heads",
    "resample_noise": "heads",
    "set_noise": "heads",
    "orthogonal_": "init",
    "seeded": "init",
    "LayerRow": "summary",
    "describe": "summary",
    "render_table": "summary",
    "Torso": "torso",
    "build_torso": "torso",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
