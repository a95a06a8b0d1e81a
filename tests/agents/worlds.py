"""Small specs and hand-made rows for agents whose network is a table: one-hot observations, no hidden layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from rl.interface import ActionSpec, EnvSpec, ObsLeaf, TimeStep
from rl.networks import NetConfig

STATES, ACTIONS = 4, 3
TABLE = EnvSpec(
    "Table-v0", {"obs": ObsLeaf((1,), "int64", "index", nvec=(STATES,))}, ActionSpec("discrete", (ACTIONS,))
)
MASKED_TABLE = EnvSpec("Table-v0", TABLE.obs, TABLE.action, masked=True)
TABLE_NET = NetConfig(hidden=())


def row(
    state: int | list[int],
    *,
    action: int | list[int] = 0,
    reward: float | list[float] = 0.0,
    discount: float | list[float] = 1.0,
    first: bool | list[bool] = False,
    last: bool | list[bool] = False,
    mask: list[list[bool]] | None = None,
    info: dict[str, Any] | None = None,
) -> TimeStep:
    """A row of the table world; scalars stand for one environment."""
    states = np.atleast_1d(state)
    count = len(states)

    def column(value: Any, dtype: Any) -> np.ndarray:
        return np.broadcast_to(np.asarray(value, dtype), (count,)).copy()

    start = column(first, bool)
    return TimeStep(
        obs={"obs": states.astype(np.int64)[:, None]},
        mask=None if mask is None else np.array(mask),
        action=np.where(start, 0, column(action, np.int64)),
        reward=np.where(start, 0, column(reward, np.float32)).astype(np.float32),
        discount=np.where(start, 0, column(discount, np.float32)).astype(np.float32),
        first=start,
        last=column(last, bool),
        info=info or {},
    )


def set_table(network: Any, values: list[list[float]]) -> None:
    """Makes a value network say `values` [STATES, ACTIONS]."""
    layer = network.head.advantage
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(values).T)
        layer.bias.zero_()
