"""PettingZoo's two-player games that are played in turn, as Gymnasium environments for one agent.

`PettingZoo/tictactoe-v3` and its siblings are registered here. For another game, also your own, write a function that
returns `TwoPlayer(game)`, and train it as `module:function`. Needs the extra `pettingzoo`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, ClassVar

import gymnasium
import numpy as np

from rl.errors import InputError, unknown

GAMES = {"tictactoe-v3": "tictactoe_v3", "connect_four-v3": "connect_four_v3", "go-v5": "go_v5"}
"""Name in the id `PettingZoo/<name>` -> module in `pettingzoo.classic`."""

Policy = Callable[[np.ndarray, np.ndarray], Any]
"""(observations [1, ...], legal actions bool [1, A]) -> actions int [1], as for the board games."""


def register() -> None:
    """Registers the `GAMES` with Gymnasium; imports no PettingZoo."""
    for name in GAMES:
        if f"PettingZoo/{name}" not in gymnasium.registry:
            gymnasium.register(id=f"PettingZoo/{name}", entry_point="envs.two_player:classic", kwargs={"game": name})


def classic(game: str, opponent: str | Policy = "random", render_mode: str | None = None) -> TwoPlayer:
    """A game of `pettingzoo.classic` by its name in `GAMES`. Raises `InputError` if PettingZoo or a part is missing."""
    if game not in GAMES:
        raise unknown("PettingZoo game", game, GAMES)
    try:
        module = importlib.import_module(f"pettingzoo.classic.{GAMES[game]}")
    except ImportError as error:
        raise InputError(f'{game} needs {error.name}: pip install "ludo-rl[pettingzoo]" {error.name}') from error
    return TwoPlayer(module.env(render_mode=render_mode), opponent)


class TwoPlayer(gymnasium.Env[Any, Any]):
    """An AEC game of two players for one agent; the opponent is part of the environment.

    game: a PettingZoo `AECEnv` whose two agents have equal spaces and discrete actions. If its observations are
    {"observation", "action_mask"}, the mask becomes `info["action_mask"]`. opponent: "random" or a `Policy`.

    After a reset with an even seed the agent is the first of the game's agents, with an odd seed the second; without a
    seed they alternate. The reward is the game's own, summed over the agent's move and the replies to it.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 2}

    def __init__(self, game: Any, opponent: str | Policy = "random") -> None:
        agents = list(getattr(game, "possible_agents", ()))
        if len(agents) != 2:
            raise InputError(f"TwoPlayer takes an AEC game of two agents, this one has {len(agents)}")
        if not callable(opponent) and opponent != "random":
            raise unknown("opponent", str(opponent), ("random",))
        self.game, self.opponent, self._agents = game, opponent, agents
        self.render_mode = getattr(game, "render_mode", None)
        space, self.action_space = game.observation_space(agents[0]), game.action_space(agents[0])
        if (space, self.action_space) != (game.observation_space(agents[1]), game.action_space(agents[1])):
            raise InputError("TwoPlayer takes a game whose agents have equal spaces")
        if not isinstance(self.action_space, gymnasium.spaces.Discrete):
            raise InputError(f"TwoPlayer takes a game with discrete actions, not {type(self.action_space).__name__}")
        self._masked = isinstance(space, gymnasium.spaces.Dict) and "action_mask" in space.spaces
        inner = space["observation"] if self._masked else space
        bits = isinstance(inner, gymnasium.spaces.Box) and inner.dtype.kind in "iu" and not inner.low.any()
        self._bits = bits and bool((inner.high == 1).all())
        self.observation_space = gymnasium.spaces.Box(0, 1, inner.shape, np.bool_) if self._bits else inner
        self._seat = 1
        self._rng = np.random.default_rng()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._seat = 1 - self._seat if seed is None else seed % 2
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self.game.reset(seed=seed, options=options)
        shown, _, _, _, info = self._until_our_turn()
        return shown, info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.game.step(int(action))
        return self._until_our_turn()

    def _until_our_turn(self) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Plays the opponent's moves until the agent is to move or its game is over."""
        me = self._agents[self._seat]
        while self.game.agent_selection != me:
            observation, _, ended, cut, _ = self.game.last()
            self.game.step(None if ended or cut else self._reply(*self._split(observation)))
        observation, reward, ended, cut, _ = self.game.last()
        shown, legal = self._split(observation)
        info = {"seat": self._seat, **({"action_mask": legal} if self._masked else {})}
        return shown, float(reward), bool(ended), bool(cut and not ended), info  # an illegal action sets both

    def _split(self, observation: Any) -> tuple[Any, np.ndarray]:
        """The observation itself, as the space has it, and the legal actions, bool [A]."""
        count = int(self.action_space.n)
        legal = np.asarray(observation["action_mask"], bool) if self._masked else np.ones(count, bool)
        shown = observation["observation"] if self._masked else observation
        return (np.asarray(shown, bool) if self._bits else shown), legal

    def _reply(self, shown: Any, legal: np.ndarray) -> int:
        start = int(self.action_space.start)
        if callable(self.opponent):
            return int(np.asarray(self.opponent(np.asarray(shown)[None], legal[None]))[0])
        return start + int(self._rng.choice(np.flatnonzero(legal)))

    def render(self) -> Any:
        """The game's own picture, uint8 [H, W, 3]."""
        return self.game.render()

    def close(self) -> None:
        self.game.close()
