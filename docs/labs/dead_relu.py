"""Lab: dead ReLU. Read dead_relu.md first, then repair `optimizer` below.

python docs/labs/dead_relu.py        learns the value of random play in CartPole, and counts the units that died
"""

from __future__ import annotations

from collections.abc import Callable

import gymnasium
import lab  # type: ignore[import-not-found]
import numpy as np
import torch
from torch import nn

GAMMA = 0.99
UPDATES = 300
EVERY = 25
BATCH = 64
Make = Callable[[nn.Module], torch.optim.Optimizer]


def optimizer(network: nn.Module) -> torch.optim.Optimizer:
    # HOLE: find a learning rate that keeps the units alive and still learns.
    return torch.optim.SGD(network.parameters(), lr=0.1)


def random_play(steps: int = 2_000) -> tuple[torch.Tensor, torch.Tensor]:
    """Observations of random play, [B, 4], and the discounted return that followed each, [B]."""
    env, rng = gymnasium.make("CartPole-v1"), np.random.default_rng(0)
    seen, returns, start = [], np.zeros(steps), 0
    obs, _ = env.reset(seed=0)
    for t in range(steps):
        seen.append(obs)
        obs, _, terminated, truncated, _ = env.step(int(rng.integers(2)))
        if terminated or truncated:
            length = t + 1 - start
            returns[start : t + 1] = (1 - GAMMA ** np.arange(length, 0, -1)) / (1 - GAMMA)
            start, (obs, _) = t + 1, env.reset()
    return torch.tensor(np.array(seen[:start])), torch.tensor(returns[:start], dtype=torch.float32)


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 1))


def dead(net: nn.Sequential, obs: torch.Tensor) -> float:
    """The share of units in the second hidden layer that are 0 for every observation: no gradient reaches them."""
    with torch.no_grad():
        return float((net[:4](obs) <= 0).all(dim=0).float().mean())


def learn(optimizer: Make = optimizer) -> list[float]:
    """The share of dead units after every `EVERY` updates, and at last how much better than the mean it predicts."""
    torch.manual_seed(0)
    obs, returns = random_play()
    net, curve = network(), []
    steps = optimizer(net)
    for update in range(1, UPDATES + 1):
        pick = torch.randint(len(obs), (BATCH,))
        loss = (net(obs[pick]).squeeze(1) - returns[pick]).square().mean()
        steps.zero_grad()
        loss.backward()
        steps.step()
        if update % EVERY == 0:
            curve.append(dead(net, obs))
    with torch.no_grad():
        error = float((net(obs).squeeze(1) - returns).square().mean())
    return [*curve, 1 - error / float(returns.var())]


def check(curve: list[float]) -> str:
    """What is wrong with a curve, or "" if nothing is."""
    if not curve[-2] <= 0.25:
        return f"{curve[-2]:.0%} of the units are dead: no observation wakes them, and no gradient reaches them"
    if not curve[-1] >= 0.1:
        return (
            f"the units live, but the network explains {curve[-1]:.0%} of the returns' variance: it learned too little"
        )
    return ""


if __name__ == "__main__":
    lab.main(learn, check, last="explained")
