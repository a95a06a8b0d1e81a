"""PPO (Schulman et al. 2017) in one file, to read from top to bottom. Needs PyTorch and Gymnasium only.

    python docs/single_file/ppo.py [steps] [seed]        trains on CartPole-v1 and prints the score

It computes the same updates as `agents/ppo.py`: tests/runs/test_single_file.py gives both the same weights and the same
minibatches, and compares 100 updates. The suite adds what a single file leaves out: continuous actions, memory,
pictures, masks of legal actions, checkpoints.
"""

from __future__ import annotations

import sys
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Categorical

NUM_ENVS = 8
ROLLOUT = 32  # steps of each environment between updates
EPOCHS = 20  # passes over each rollout
MINIBATCH = 256
GAMMA = 0.98  # discount of one step
LAMBDA = 0.8  # of the advantage estimate: 0 trusts the value, 1 trusts the rewards
LR = 1e-3
CLIP = 0.2  # how far the probability ratio may leave 1
VALUE_COST = 0.5
ENTROPY_COST = 0.0
MAX_GRAD_NORM = 0.5


class ActorCritic(nn.Module):
    """Observations [B, obs_size] to a distribution over actions and a value [B], by two separate networks."""

    def __init__(self, obs_size: int, actions: int, hidden: int = 64) -> None:
        super().__init__()
        self.actor = nn.Sequential(nn.Linear(obs_size, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh())
        self.critic = nn.Sequential(nn.Linear(obs_size, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh())
        self.policy, self.value = nn.Linear(hidden, actions), nn.Linear(hidden, 1)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                gain = {id(self.policy): 0.01, id(self.value): 1.0}.get(id(layer), 2**0.5)
                nn.init.orthogonal_(layer.weight, gain)  # a small policy layer: every action starts equally likely
                nn.init.zeros_(layer.bias)

    def forward(self, obs: Tensor) -> tuple[Categorical, Tensor]:
        return Categorical(logits=self.policy(self.actor(obs))), self.value(self.critic(obs)).squeeze(-1)


def gae(reward: Tensor, terminated: Tensor, first: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimates (Schulman et al. 2016) and the value's targets, [T, N], of T + 1 rows.

    `reward` and `terminated` of row t + 1 belong to the action of row t. A row with `first` begins an episode, so the
    row before it starts no transition. A termination has no future. A time limit has one: the value of its last row.
    """
    goes_on = (~first[1:]).float()
    alive = (~terminated[1:]).float()
    delta = goes_on * (reward[1:] + GAMMA * alive * value[1:] - value[:-1])
    advantage = torch.zeros_like(delta)
    running = torch.zeros_like(delta[0])
    for t in reversed(range(len(delta))):
        running = delta[t] + goes_on[t] * alive[t] * GAMMA * LAMBDA * running
        advantage[t] = running
    return advantage, advantage + value[:-1]


def update(network: ActorCritic, optimizer: torch.optim.Optimizer, batch: list[Tensor], clip: float = CLIP) -> Tensor:
    """One gradient update on a minibatch. Returns the loss before it."""
    obs, action, old_log_prob, advantage, target = batch
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    dist, value = network(obs)
    ratio = (dist.log_prob(action) - old_log_prob).exp()
    gain = torch.min(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)  # equation 7
    loss = (-gain + VALUE_COST * (value - target).square() - ENTROPY_COST * dist.entropy()).mean()  # equation 9
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), MAX_GRAD_NORM)
    optimizer.step()
    return loss.detach()


def train(steps: int = 100_000, seed: int = 0, env_id: str = "CartPole-v1") -> ActorCritic:
    torch.manual_seed(seed)
    # after the end of an episode, the next step resets: its row is `first`, and its action and reward count for nothing
    envs: Any = gymnasium.make_vec(env_id, num_envs=NUM_ENVS, vectorization_mode="sync")
    network = ActorCritic(envs.single_observation_space.shape[0], int(envs.single_action_space.n))
    optimizer = torch.optim.Adam(network.parameters(), lr=LR, eps=1e-5)
    rounds = max(1, steps // (NUM_ENVS * ROLLOUT))
    obs, _ = envs.reset(seed=seed)
    done = np.zeros(NUM_ENVS, bool)
    for k in range(rounds):
        left = 1 - k / rounds  # learning rate and clip fall to 0
        optimizer.param_groups[0]["lr"] = LR * left
        rows: list[tuple[Tensor, ...]] = []  # obs, action, log_prob, value
        came: list[tuple[Any, Any, Any]] = [(np.zeros(NUM_ENVS), np.zeros(NUM_ENVS, bool), done)]
        for _ in range(ROLLOUT):
            seen = torch.as_tensor(obs, dtype=torch.float32)
            with torch.no_grad():
                dist, value = network(seen)
                action = dist.sample()
            rows.append((seen, action, dist.log_prob(action), value))
            first = done
            obs, reward, terminated, truncated, _ = envs.step(action.numpy())
            done = terminated | truncated
            came.append((reward, terminated, first))
        with torch.no_grad():
            newest = network(torch.as_tensor(obs, dtype=torch.float32))[1]
        seen, action, log_prob, value = map(torch.stack, zip(*rows, strict=True))
        rewards, ended, firsts = (torch.as_tensor(np.stack(x)) for x in zip(*came, strict=True))
        advantage, target = gae(rewards.float(), ended, firsts, torch.cat([value, newest.unsqueeze(0)]))
        valid = ~firsts[1:].flatten()
        flat = [x.flatten(0, 1)[valid] for x in (seen, action, log_prob, advantage, target)]
        for _ in range(EPOCHS):
            for index in torch.randperm(int(valid.sum())).split(MINIBATCH):
                update(network, optimizer, [x[index] for x in flat], CLIP * left)
    envs.close()
    return network


def evaluate(network: ActorCritic, games: int = 20, seed: int = 1_000, env_id: str = "CartPole-v1") -> float:
    """The mean return of whole games with the most likely actions."""
    env: Any = gymnasium.make(env_id)
    total = 0.0
    for game in range(games):
        (obs, _), done = env.reset(seed=seed + game), False
        while not done:
            with torch.no_grad():
                action = int(network(torch.as_tensor(obs, dtype=torch.float32))[0].logits.argmax())
            obs, reward, terminated, truncated, _ = env.step(action)
            total, done = total + float(reward), terminated or truncated
    env.close()
    return total / games


if __name__ == "__main__":
    arguments: list[Any] = [int(word) for word in sys.argv[1:]]
    print(f"mean return of 20 games: {evaluate(train(*arguments)):.1f}")
