"""The board games as PettingZoo AEC environments: two agents that move in turn. Needs the extra `pettingzoo`."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium
import numpy as np

from envs.boards.game import Game
from envs.boards.view import View
from rl.errors import InputError

try:
    from pettingzoo import AECEnv
except ImportError as error:
    raise InputError('PettingZoo is not installed: pip install "ludo-rl[pettingzoo]"') from error

AGENTS = ("player_0", "player_1")


class BoardAEC(AECEnv):
    """One game for two agents, `player_0` moves first.

    Observations as in PettingZoo's classic games: {"observation": bool [H, W, 2], "action_mask": int8 [A]}, plane 0 has
    the stones of the agent that observes. The mask is empty unless it is the agent's turn. The rewards of a finished
    game are 1 and -1, or 0 after a draw. An illegal action loses the game.
    """

    metadata: ClassVar[dict[str, Any]] = {
        "render_modes": ["rgb_array", "ansi"],
        "name": "ludo_boards_v1",
        "is_parallelizable": False,
        "render_fps": 2,
    }

    def __init__(self, game: str, render_mode: str | None = None) -> None:
        super().__init__()
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise InputError(f"render_mode must be None, 'rgb_array' or 'ansi', got {render_mode!r}")
        self.game, self.render_mode = Game(game), render_mode
        self.possible_agents: list[str] = list(AGENTS)
        self.agents: list[str] = []
        boards = gymnasium.spaces.Box(0, 1, self.game.shape, np.bool_)
        masks = gymnasium.spaces.Box(0, 1, (self.game.num_actions,), np.int8)
        space = gymnasium.spaces.Dict({"observation": boards, "action_mask": masks})
        self.observation_spaces = dict.fromkeys(AGENTS, space)
        self.action_spaces = {agent: gymnasium.spaces.Discrete(self.game.num_actions) for agent in AGENTS}
        self._view: View | None = None

    def observation_space(self, agent: str) -> gymnasium.Space:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> gymnasium.Space:
        return self.action_spaces[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        self.game.reset()
        self.agents = list(AGENTS)
        self.rewards = dict.fromkeys(AGENTS, 0.0)
        self._cumulative_rewards = dict.fromkeys(AGENTS, 0.0)
        self.terminations, self.truncations = dict.fromkeys(AGENTS, False), dict.fromkeys(AGENTS, False)
        self.infos: dict[str, dict[str, Any]] = {agent: {} for agent in AGENTS}
        self.agent_selection = AGENTS[0]

    def observe(self, agent: str) -> dict[str, np.ndarray]:
        board, legal = self.game.observe()
        mine = AGENTS[int(self.game.player[0])] == agent
        mask = legal[0] if mine else np.zeros_like(legal[0])
        return {"observation": board[0] if mine else board[0][..., ::-1].copy(), "action_mask": mask.astype(np.int8)}

    def step(self, action: Any) -> None:
        agent = self.agent_selection
        if self.terminations[agent] or self.truncations[agent]:
            self._was_dead_step(action)
            return
        self._cumulative_rewards[agent] = 0.0
        winner, ended = 1 - AGENTS.index(agent), True
        if 0 <= int(action) < self.game.num_actions and self.game.legal()[0, int(action)]:
            self.game.play(int(action))
            winner, ended = int(self.game.winner[0]), bool(self.game.ended[0])
        self.rewards = dict.fromkeys(AGENTS, 0.0)
        if ended:
            self.terminations = dict.fromkeys(AGENTS, True)
            if winner >= 0:
                self.rewards = {name: 1.0 if k == winner else -1.0 for k, name in enumerate(AGENTS)}
        self.agent_selection = AGENTS[1 - AGENTS.index(agent)]
        self._accumulate_rewards()

    def render(self) -> Any:
        """`rgb_array`: uint8 [H, W, 3]. `ansi`: the position as text."""
        if self.render_mode == "ansi":
            return self.game.text()
        if self.render_mode == "rgb_array":
            self._view = self._view or View(self.game.name)
            return self._view.picture(self.game.rows[0])
        return None

    def close(self) -> None:
        self._view = None
