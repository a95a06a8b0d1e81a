"""Lab: no target network. Read no_target_network.md first, then repair `after_update` below.

python docs/labs/no_target_network.py        learns values from 2,000 random steps of CartPole, and checks them
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import gymnasium
import lab  # type: ignore[import-not-found]
import numpy as np
import torch
from torch import nn

dqn = lab.need("dqn")

LR = 0.01
BATCH = 64
UPDATES = 600
EVERY = 50  # updates between two points of the curve
TARGET_EVERY = 100
BOUND = 1 / (1 - dqn.GAMMA)  # reward 1 in each step for ever: no value can be larger
After = Callable[[int, nn.Module, nn.Module], None]


def after_update(updates: int, network: nn.Module, target: nn.Module) -> None:
    """Called after each update; `updates` counts them from 1."""
    # HOLE: this copies after every update, so there is no target network. Make it stand still for TARGET_EVERY updates.
    target.load_state_dict(network.state_dict())


def random_play(steps: int = 2_000) -> Any:
    """A replay of random play on CartPole."""
    env, rng = gymnasium.make("CartPole-v1"), np.random.default_rng(0)
    replay = dqn.Replay(steps, 4, seed=0)
    obs, _ = env.reset(seed=0)
    for _ in range(steps):
        action = int(rng.integers(2))
        next_obs, reward, terminated, truncated, _ = env.step(action)
        replay.add(obs, action, float(reward), terminated, next_obs)
        obs = env.reset()[0] if terminated or truncated else next_obs
    return replay


def learn(after_update: After = after_update) -> list[float]:
    """The largest value of any state and action in the replay, after every `EVERY` updates; ends if it explodes."""
    torch.manual_seed(0)
    replay = random_play()
    network = dqn.q_network(4, 2)
    target, curve = copy.deepcopy(network), []
    optimizer = torch.optim.SGD(network.parameters(), LR)
    for updates in range(1, UPDATES + 1):
        obs, action, reward, terminated, next_obs = replay.sample(BATCH)
        y = dqn.target_of(target, reward, terminated, next_obs)
        loss = (network(obs).gather(1, action.unsqueeze(1)).squeeze(1) - y).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        after_update(updates, network, target)
        if updates % EVERY == 0:
            with torch.no_grad():
                curve.append(float(network(torch.from_numpy(replay.obs)).max()))
            if not abs(curve[-1]) < 1e6:
                break
    return curve


def check(curve: list[float]) -> str:
    """What is wrong with a curve, or "" if nothing is."""
    if math.isnan(curve[-1]):
        return f"the largest value is no number any more: it grew until float32 overflowed; {BOUND:.0f} is the bound"
    if not abs(curve[-1]) <= BOUND:
        return f"the largest value is {curve[-1]:.3g}, above any possible return ({BOUND:.0f})"
    if curve[-1] < 3:
        return f"the largest value is {curve[-1]:.2f}: a target that never moves teaches one step only"
    return ""


if __name__ == "__main__":
    lab.main(learn, check)
