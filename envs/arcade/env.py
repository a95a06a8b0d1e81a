"""The arcade games as Gymnasium environments, see `envs.shells`."""

from __future__ import annotations

from typing import Any

from gymnasium.vector import AutoresetMode

from envs.arcade.engine import Games
from envs.shells import CompiledEnv, CompiledVectorEnv, check_options
from rl.errors import InputError

OPTIONS = ("sticky_action_prob", "difficulty_ramping", "max_episode_steps", "render_mode")
MODES = ("rgb_array", "human")


class ArcadeEnv(CompiledEnv):
    """One game. Observation bool [10, 10, C]; `info["score"]` is the sum of rewards so far in the episode.

    sticky_action_prob: with this chance the last action is played again instead of the one given.
    difficulty_ramping: whether Asterix, Seaquest and Space Invaders become harder as they go on.
    max_episode_steps: truncates here; None for no limit (a good Seaquest player may never end).
    """

    def __init__(
        self,
        game: str,
        sticky_action_prob: float = 0.1,
        difficulty_ramping: bool = True,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        **others: Any,
    ) -> None:
        check_options(render_mode, MODES, others, OPTIONS)
        super().__init__(Games(game, 1, sticky_action_prob, difficulty_ramping, max_episode_steps), render_mode)


class ArcadeVectorEnv(CompiledVectorEnv):
    """N games in one compiled loop. Options as `ArcadeEnv`'s; observations bool [N, 10, 10, C]."""

    def __init__(
        self,
        game: str,
        num_envs: int = 1,
        sticky_action_prob: float = 0.1,
        difficulty_ramping: bool = True,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        **others: Any,
    ) -> None:
        check_options(render_mode, MODES, others, (*OPTIONS, "num_envs", "autoreset_mode"))
        if render_mode == "human":
            raise InputError("render_mode 'human' shows one game: use gymnasium.make, or 'rgb_array' here")
        games = Games(game, num_envs, sticky_action_prob, difficulty_ramping, max_episode_steps)
        super().__init__(games, render_mode, autoreset_mode)
