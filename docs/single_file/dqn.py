"""DQN (Mnih et al. 2015) in one file, to read from top to bottom. Needs PyTorch and Gymnasium only.

    python docs/single_file/dqn.py [steps] [seed]        trains on CartPole-v1 and prints the score

It computes the same updates as `agents/dqn.py`: tests/runs/test_single_file.py gives both the same weights and the same
batches, and compares 100 updates. The suite adds what a single file leaves out: several environments, n-step returns,
prioritized replay, pictures, checkpoints.
"""

from __future__ import annotations

import copy
import sys
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

GAMMA = 0.99  # discount of one step
LR = 1e-3
BATCH = 64
BUFFER = 50_000  # transitions in the replay
LEARNING_STARTS = 1_000  # random steps before the first update
UPDATE_EVERY = 2  # steps for each update
TARGET_EVERY = 100  # updates for each copy into the target network
EXPLORE_STEPS = 5_000  # epsilon falls from 1 to EPSILON over this many steps
EPSILON = 0.05
MAX_GRAD_NORM = 10.0


class Replay:
    """A ring of transitions. `terminated` is 1 if the episode really ended, and 0 at a time limit."""

    def __init__(self, size: int, obs_size: int, seed: int) -> None:
        self.obs = np.zeros((size, obs_size), np.float32)
        self.next_obs = np.zeros((size, obs_size), np.float32)
        self.action = np.zeros(size, np.int64)
        self.reward = np.zeros(size, np.float32)
        self.terminated = np.zeros(size, np.float32)
        self.size, self.count = size, 0
        self.rng = np.random.default_rng(seed)

    def add(self, obs: Any, action: int, reward: float, terminated: bool, next_obs: Any) -> None:
        i = self.count % self.size
        self.obs[i], self.action[i], self.reward[i] = obs, action, reward
        self.terminated[i], self.next_obs[i] = terminated, next_obs
        self.count += 1

    def sample(self, batch: int) -> list[Tensor]:
        """Observations, actions, rewards, terminations and next observations of `batch` random transitions."""
        i = self.rng.integers(min(self.count, self.size), size=batch)
        columns = (self.obs, self.action, self.reward, self.terminated, self.next_obs)
        return [torch.from_numpy(column[i]) for column in columns]


def q_network(obs_size: int, actions: int, hidden: int = 64) -> nn.Sequential:
    """Observations [B, obs_size] to one value for each action, [B, actions]."""
    return nn.Sequential(
        nn.Linear(obs_size, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, actions)
    )


def target_of(
    target: nn.Module, reward: Tensor, terminated: Tensor, next_obs: Tensor, online: nn.Module | None = None
) -> Tensor:
    """y = r + gamma max_a Q_target(s', a), without the second term after a termination. [B]

    A truncation (time limit) keeps the second term: the state had a future, the game merely stopped there. With
    `online` it is Double DQN's y: the online network chooses the action, the target network says what it is worth.
    """
    with torch.no_grad():
        values = target(next_obs)
        action = (values if online is None else online(next_obs)).argmax(1, keepdim=True)  # the line of Double DQN
        return reward + GAMMA * (1 - terminated) * values.gather(1, action).squeeze(1)


def update(network: nn.Module, target: nn.Module, optimizer: torch.optim.Optimizer, batch: list[Tensor]) -> Tensor:
    """One gradient update. Returns the loss before it."""
    obs, action, reward, terminated, next_obs = batch
    y = target_of(target, reward, terminated, next_obs)
    q = network(obs).gather(1, action.unsqueeze(1)).squeeze(1)  # the value of the action that was played
    loss = F.huber_loss(q, y)  # beyond an error of 1 it is linear, so one odd transition cannot move all weights
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), MAX_GRAD_NORM)
    optimizer.step()
    return loss.detach()


def epsilon_at(step: int) -> float:
    """The share of random actions after `step` steps."""
    if step < LEARNING_STARTS:
        return 1.0
    return max(EPSILON, 1.0 - (1.0 - EPSILON) * step / EXPLORE_STEPS)


def greedy(network: nn.Module, obs: Any) -> int:
    with torch.no_grad():
        return int(network(torch.as_tensor(obs, dtype=torch.float32)).argmax())


def train(steps: int = 20_000, seed: int = 0, env_id: str = "CartPole-v1") -> nn.Module:
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    env: Any = gymnasium.make(env_id)
    obs_size, actions = env.observation_space.shape[0], int(env.action_space.n)
    network = q_network(obs_size, actions)
    target = copy.deepcopy(network)
    optimizer = torch.optim.Adam(network.parameters(), lr=LR)
    replay = Replay(BUFFER, obs_size, seed)
    updates = 0
    obs, _ = env.reset(seed=seed)
    for step in range(steps):
        random = rng.random() < epsilon_at(step)
        action = int(rng.integers(actions)) if random else greedy(network, obs)
        next_obs, reward, terminated, truncated, _ = env.step(action)
        replay.add(obs, action, float(reward), terminated, next_obs)  # `truncated` is not stored: see `target_of`
        obs = env.reset()[0] if terminated or truncated else next_obs
        if step >= LEARNING_STARTS and step % UPDATE_EVERY == 0:
            for group in optimizer.param_groups:
                group["lr"] = LR * (1 - step / steps)  # a falling rate keeps the last policy steady
            update(network, target, optimizer, replay.sample(BATCH))
            updates += 1
            if updates % TARGET_EVERY == 0:
                target.load_state_dict(network.state_dict())
    env.close()
    return network


def evaluate(network: nn.Module, games: int = 20, seed: int = 1_000, env_id: str = "CartPole-v1") -> float:
    """The mean return of whole games with the greedy policy."""
    env: Any = gymnasium.make(env_id)
    total = 0.0
    for game in range(games):
        (obs, _), done = env.reset(seed=seed + game), False
        while not done:
            obs, reward, terminated, truncated, _ = env.step(greedy(network, obs))
            total, done = total + float(reward), terminated or truncated
    env.close()
    return total / games


if __name__ == "__main__":
    arguments: list[Any] = [int(word) for word in sys.argv[1:]]
    print(f"mean return of 20 games: {evaluate(train(*arguments)):.1f}")
