"""Lab: CNN or MLP on pixels. Read cnn_or_mlp.md first, then repair `network` below.

python docs/labs/cnn_or_mlp.py        learns where the ball of Breakout flies, from pictures of the left half only
"""

from __future__ import annotations

from collections.abc import Callable

import gymnasium
import lab  # type: ignore[import-not-found]
import numpy as np
import torch
from torch import Tensor, nn

lab.need("envs")  # registers the arcade

MOST = 6_600  # parameters
UPDATES = 200
EVERY = 20
BATCH = 64
LR = 1e-2
SPLIT = 5  # the training has balls left of this column, the test the others
PADDLE, BALL, TRAIL = 0, 1, 2  # planes of the picture; the trail is where the ball was one step ago


def network() -> nn.Module:
    """Pictures [B, 4, 10, 10] to four scores [B, 4], with at most `MOST` parameters."""
    # HOLE: an MLP has weights of its own for every place. Give it layers that have the same weights everywhere.
    return nn.Sequential(nn.Flatten(), nn.Linear(400, 16), nn.ReLU(), nn.Linear(16, 4))


def pictures(steps: int = 600, games: int = 16) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures [B, 4, 10, 10], the ball's direction (0 to 3: left or right, up or down) and its column, [B].

    The player follows the ball three times of four, and else plays at random.
    """
    play = gymnasium.make_vec("Arcade/Breakout-v1", num_envs=games, sticky_action_prob=0.0)
    rng, frames = np.random.default_rng(0), []
    obs, _ = play.reset(seed=0)
    for _ in range(steps // 4):
        paddle, ball = obs[:, 9, :, PADDLE].argmax(1), obs[..., BALL].any(1).argmax(1)
        follow = np.where(ball < paddle, 1, np.where(ball > paddle, 2, 0))
        obs, *_ = play.step(np.where(rng.random(games) < 0.75, follow, rng.integers(3, size=games)))
        frames.append(obs.transpose(0, 3, 1, 2).copy())
    x = np.concatenate(frames).astype(np.float32)
    (row, column), (row_before, column_before) = (_place(x[:, plane]) for plane in (BALL, TRAIL))
    flies = (abs(row - row_before) == 1) & (abs(column - column_before) == 1)
    direction = 2 * (row > row_before) + (column > column_before)
    return torch.tensor(x[flies]), torch.tensor(direction[flies]), torch.tensor(column[flies])


def _place(plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.divmod(plane.reshape(len(plane), -1).argmax(1), 10)


def learn(network: Callable[[], nn.Module] = network) -> list[float]:
    """The share of right answers for balls in the right half, after every `EVERY` updates."""
    torch.manual_seed(0)
    x, y, column = pictures()
    left, curve = column < SPLIT, []
    x_train, y_train, x_test, y_test = x[left], y[left], x[~left], y[~left]
    net = network()
    size = sum(p.numel() for p in net.parameters())
    if size > MOST:
        raise SystemExit(f"the network has {size:,} parameters, at most {MOST:,} are allowed")
    optimizer = torch.optim.Adam(net.parameters(), LR)
    for update in range(1, UPDATES + 1):
        pick = torch.randint(len(x_train), (BATCH,))
        loss = nn.functional.cross_entropy(net(x_train[pick]), y_train[pick])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if update % EVERY == 0:
            with torch.no_grad():
                curve.append(float((net(x_test).argmax(1) == y_test).float().mean()))
    return curve


def check(curve: list[float]) -> str:
    """What is wrong with a curve, or "" if nothing is."""
    return "" if curve[-1] > 0.95 else f"{curve[-1]:.0%} of the balls in the right half are read correctly"


if __name__ == "__main__":
    lab.main(learn, check)
