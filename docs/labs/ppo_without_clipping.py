"""Lab: PPO without clipping. Read ppo_without_clipping.md first, then repair `surrogate` below.

python docs/labs/ppo_without_clipping.py        improves a policy on one rollout of CartPole, again and again
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import lab  # type: ignore[import-not-found]
import numpy as np
import torch
from torch import Tensor

ppo = lab.need("ppo")

CLIP = 0.2
STEPS = 64  # of each of eight environments
UPDATES = 200
EVERY = 20
LR = 1e-3
Surrogate = Callable[[Tensor, Tensor, Tensor], Tensor]


def surrogate(log_prob: Tensor, old_log_prob: Tensor, advantage: Tensor) -> Tensor:
    """What an update makes larger, [B]. old_log_prob: of the policy that played, which stays the same."""
    # HOLE: the ratio may grow without end. Limit what can be gained by leaving 1 - CLIP to 1 + CLIP.
    return (log_prob - old_log_prob).exp() * advantage


def rollout() -> list[Tensor]:
    """Observations, actions and advantages of a new network's play, flat over environments and steps."""
    envs: Any = gymnasium.make_vec("CartPole-v1", num_envs=8, vectorization_mode="sync")
    torch.manual_seed(0)
    network = ppo.ActorCritic(4, 2)
    obs, _ = envs.reset(seed=0)
    done, rows, came = np.zeros(8, bool), [], [(np.zeros(8), np.zeros(8, bool), np.zeros(8, bool))]
    for _ in range(STEPS):
        seen = torch.as_tensor(obs)
        with torch.no_grad():
            dist, value = network(seen)
        action = dist.sample()
        first = done
        obs, reward, terminated, truncated, _ = envs.step(action.numpy())
        done = terminated | truncated
        rows.append((seen, action, value))
        came.append((reward, terminated, first))
    with torch.no_grad():
        newest = network(torch.as_tensor(obs))[1]
    seen, action, value = map(torch.stack, zip(*rows, strict=True))
    rewards, ended, firsts = (torch.as_tensor(np.stack(x)) for x in zip(*came, strict=True))
    advantage, _ = ppo.gae(rewards.float(), ended, firsts, torch.cat([value, newest.unsqueeze(0)]))
    valid = ~firsts[1:].flatten()
    return [x.flatten(0, 1)[valid] for x in (seen, action, advantage)]


def learn(surrogate: Surrogate = surrogate) -> list[float]:
    """How far the policy has left the one that played (KL divergence, in nats), after every `EVERY` updates."""
    obs, action, advantage = rollout()
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    torch.manual_seed(0)
    network = ppo.ActorCritic(4, 2)  # the same weights as in the rollout
    with torch.no_grad():
        old = network(obs)[0]
    old_log_prob, curve = old.log_prob(action), []
    optimizer = torch.optim.Adam(network.actor.parameters(), LR)
    optimizer.add_param_group({"params": list(network.policy.parameters())})
    for update in range(1, UPDATES + 1):
        loss = -surrogate(network(obs)[0].log_prob(action), old_log_prob, advantage).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if update % EVERY == 0:
            with torch.no_grad():
                new = network(obs)[0]
                curve.append(float(torch.distributions.kl_divergence(old, new).mean()))
    return curve


def check(curve: list[float]) -> str:
    """What is wrong with a curve, or "" if nothing is."""
    if curve[-1] > 0.2:
        return (
            f"the policy is {curve[-1]:.2f} nats from the one that played: the rollout says nothing about it any more"
        )
    if curve[-1] < 0.002:
        return f"the policy hardly moves ({curve[-1]:.4f} nats): nothing is learned"
    return ""


if __name__ == "__main__":
    lab.main(learn, check)
