"""Lab: a recurrent state that is not reset. Read state_not_reset.md first, then repair `before_step` below.

python docs/labs/state_not_reset.py        trains an LSTM to remember a cue, and plays one game after another
"""

from __future__ import annotations

from collections.abc import Callable

import lab  # type: ignore[import-not-found]
import numpy as np
import torch
from torch import Tensor, nn

RememberCue = lab.need("envs.partial").RememberCue

DELAY = 8  # steps between the cue and the question
UPDATES = 150
BATCH = 32
PLAYERS = 64  # games side by side
GAMES = 10  # that each player plays, one after another
EVERY = 1
State = tuple[Tensor, Tensor]  # of the LSTM, [1, players, hidden] each
Before = Callable[[State, Tensor], State]


def before_step(state: State, first: Tensor) -> State:
    """Called before each step of play. `first` [players] marks the players whose game begins with this step."""
    # HOLE: a game begins with what the last game left in the state.
    return state


class Memory(nn.Module):
    """Observations [T, B, 3] and a state to scores of the two answers [T, B, 2] and the next state."""

    def __init__(self, hidden: int = 16) -> None:
        super().__init__()
        self.lstm, self.head, self.hidden = nn.LSTM(3, hidden), nn.Linear(hidden, 2), hidden

    def forward(self, obs: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        out, state = self.lstm(obs, state)
        return self.head(out), state

    def start(self, players: int) -> State:
        return torch.zeros(1, players, self.hidden), torch.zeros(1, players, self.hidden)


def trained() -> Memory:
    """An LSTM that has learned whole games, each from an empty state."""
    torch.manual_seed(0)
    net = Memory()
    optimizer = torch.optim.Adam(net.parameters(), 0.02)
    for _ in range(UPDATES):
        cue = torch.randint(2, (BATCH,))
        obs = torch.zeros(DELAY + 1, BATCH, 3)
        obs[0, torch.arange(BATCH), cue] = 1.0
        obs[-1, :, 2] = 1.0
        loss = nn.functional.cross_entropy(net(obs)[0][-1], cue)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net


def learn(before_step: Before = before_step) -> list[float]:
    """The share of players who are right in their first game, in their second, and so on."""
    net, envs = trained(), [RememberCue(delay=DELAY) for _ in range(PLAYERS)]
    obs = [env.reset(seed=i)[0] for i, env in enumerate(envs)]
    state, first, curve = net.start(PLAYERS), torch.ones(PLAYERS, dtype=torch.bool), []
    while len(curve) < GAMES:
        with torch.no_grad():
            scores, state = net(torch.tensor(np.array(obs)).unsqueeze(0), before_step(state, first))
        came = [env.step(np.int64(a)) for env, a in zip(envs, scores[0].argmax(1).tolist(), strict=True)]
        first[:] = over = came[0][2]  # all games are equally long
        obs = [env.reset()[0] for env in envs] if over else [step[0] for step in came]
        if over:
            curve.append(float(np.mean([step[1] for step in came])))
    return curve


def check(curve: list[float]) -> str:
    """What is wrong with a curve, or "" if nothing is."""
    if curve[0] < 0.95:
        return f"{curve[0]:.0%} are right in the first game: the LSTM has lost what it learned"
    if min(curve) < 0.95:
        game = curve.index(min(curve)) + 1
        return f"{curve[0]:.0%} are right in the first game, {min(curve):.0%} in game {game}"
    return ""


if __name__ == "__main__":
    lab.main(learn, check)
