"""An agent that plays in separate environments: rows, network outputs and the trace of every game; draws nothing."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import agents
import envs
from agents.tabular.base import TabularAgent
from rl.errors import InputError
from rl.interface import TimeStep
from runs.training.evaluation import game_config
from runs.watching.camera import Camera

if TYPE_CHECKING:
    from agents.base import Agent
    from envs import EnvConfig
    from envs.controls import Controls
    from runs.recipe import Run
    from runs.watching.follow import Follower
    from runs.watching.saliency import Saliency
    from runs.watching.views import Thought, View


class Player:
    """Plays and keeps what a viewer shows.

    games: play the games 0 to games - 1 of an evaluation with this seed; None: one episode after the other, for ever.
    config: how the environment is made; None: as for the run's evaluations.
    folder: the run's folder, where screenshots and films go.
    """

    def __init__(
        self,
        agent: Agent,
        run: Run,
        *,
        seed: int = 0,
        num_envs: int = 1,
        sample: bool | None = None,
        games: int | None = None,
        stream: str = "watch",
        config: EnvConfig | None = None,
        follower: Follower | None = None,
        folder: Path = Path(),
    ) -> None:
        from envs.controls import action_names, controls, observed_area
        from runs.watching.views import Episode

        self.agent, self.run, self.follower, self.folder = agent, run, follower, folder
        if config is None:
            counts = games is not None or run.eval_max_steps is not None
            config = game_config(run, agent.spec) if counts else run.env_config
        self.env = envs.make(
            run.env, num_envs=num_envs, seed=seed, stream=stream, config=config, render=True, games=games
        )
        self.camera = Camera(self.env, run.env)
        self.pictures = self.camera.pictures
        self.num_envs = num_envs
        self.names = action_names(agent.spec)
        try:
            self.controls: Controls | None = controls(agent.spec)
        except InputError:
            self.controls = None
        height, width = self.pictures[0].shape[:2]
        self.heat_area = observed_area(agent.spec, width, height)
        self.stretch = 4 / 3 if agent.spec.protocol else None  # Atari's pixels are not square
        sampled = run.eval_sample if sample is None else sample
        self.actor = agent.actor(num_envs, seed, stream="evaluate", sample=sampled)
        self.heat: np.ndarray | None = None
        self.show_saliency = False
        self.show_table = True
        self._visited: list[list[int]] = [[] for _ in range(num_envs)]
        """Numbers of the states of each environment's episode, for agents with a table."""
        self._saliency: Saliency | None = None
        self.finished: dict[tuple[int, int], tuple[float, int]] = {}
        """Return and length of each finished game, by its number and environment."""
        gamma = float(getattr(agent.config, "gamma", 0.99))
        clip = getattr(agent.config, "reward_clip", None)
        # A value in the learner's own scale, or of a return with a bonus, has nothing here to be compared with.
        own = ("normalize_return", "rescale", "munchausen")
        comparable = not any(getattr(agent.config, name, False) for name in own)
        self.episodes = [Episode(gamma, clip, comparable) for _ in range(num_envs)]
        self.thoughts: list[Thought] = []
        self.human: int | np.ndarray | None = None
        """The action of the person who holds the controls; None: the agent plays."""
        self._take(self.env.reset())

    def can_show_saliency(self) -> bool:
        """Whether the agent's input can be placed on the picture. If so, maps can be made from the next row on."""
        if self._saliency is None:
            from runs.watching.saliency import Saliency

            self._saliency = Saliency(self.actor)
        return self._saliency.leaf is not None

    @property
    def sampled(self) -> bool:
        return self.actor.mode == "sample"

    @sampled.setter
    def sampled(self, wanted: bool) -> None:
        self.actor.mode = "sample" if wanted else "greedy"

    @property
    def results(self) -> dict[str, Any]:
        games = [self.finished[j] for j in sorted(self.finished)]
        return {"returns": [total for total, _ in games], "lengths": [length for _, length in games]}

    def step(self) -> TimeStep:
        """Plays one step in every environment: the person's action if there is one, else the agent's."""
        action = self._action
        if self.human is not None:
            action = np.array(action)
            action[:] = self.human
        self._take(self.env.step(action))
        return self.ts

    def restart(self) -> None:
        """Leaves the games that are being played and begins the next ones (with `games`, the list from its start)."""
        self._take(self.env.reset())

    def game(self, i: int) -> int:
        """Number of the game that environment i plays, -1 if none is left."""
        info = self.ts.info
        return int(info["game" if "game" in info else "episode"][i])

    def _take(self, ts: TimeStep) -> None:
        from runs.watching.thoughts import extremes, read_thoughts
        from runs.watching.views import Thought

        self.ts = ts
        seen = None if self._saliency is None else self._saliency.push(ts)
        if self._saliency is not None and seen is not None and self.show_saliency:
            self.heat = self._saliency.map(seen, ts)
        self._action = self.actor.act(ts)
        if isinstance(self.agent, TabularAgent):
            for i, state in enumerate(self.agent.states(ts.obs).tolist()):
                if self.game(i) >= 0:
                    self._visited[i] = [*([] if ts.first[i] else self._visited[i]), state]
        self.thoughts = read_thoughts(self.agent, self.actor.output, self._action, ts.mask)
        for i, (episode, thought) in enumerate(zip(self.episodes, self.thoughts, strict=True)):
            if self.game(i) < 0:
                continue
            if self.human is not None:
                thought.action, thought.chosen = self.human, (int(self.human),) if np.ndim(self.human) == 0 else ()
            over = bool(ts.last[i] and ts.discount[i] == 0)
            if over and ts.mask is not None:  # nothing is legal after the end, so that nothing is chosen
                self.thoughts[i] = thought = Thought(thought.action)
            value = math.nan if thought.value is None or over else thought.value
            row = float(ts.exact_reward[i]), float(ts.discount[i]), bool(ts.first[i]), bool(ts.last[i])
            episode.add(value, *row, *([] if thought.critics is None or over else [extremes(thought.critics)]))
            if thought.q_values is not None:
                episode.add_q_values(np.asarray(thought.q_values, float))
            if ts.last[i]:
                self.finished[self.game(i), i] = (episode.trace.returns[-1], len(episode.trace.returns) - 1)

    def view(self, i: int = 0) -> View:
        """The present content of a frame for environment i."""
        from runs.watching.table_grid import table_grid
        from runs.watching.views import View

        trace = self.episodes[i].trace
        game = self.game(i)
        left = game < 0  # none: the last one stays, as it ended
        if left:
            game = max((j for j, env in self.finished if env == i), default=0)
        step = self.agent.step
        steps = f"{step / 1e6:g}M" if step >= 1_000_000 else f"{step / 1e3:g}k" if step >= 1000 else str(step)
        return View(
            picture=self.pictures[i],
            title=self.run.env,
            subtitle=f"{agents.title(self.agent.config)} at {steps} steps",
            names=self.names,
            thought=self.thoughts[i],
            trace=trace,
            episode=game,
            step=max(0, len(trace.values) - 1),
            sampled=self.sampled,
            human=self.human is not None,
            over=left or bool(self.ts.last[i]),
            heat=self.heat if self.show_saliency and i == 0 else None,
            heat_area=self.heat_area,
            table=table_grid(self.agent, self.run.env, self._visited[i]) if self.show_table else None,
            curve=None if self.follower is None else self.follower.curve,
            note="" if self.follower is None else self.follower.note,
            stretch=self.stretch,
        )

    def fetch(self, part: float = 1.0) -> None:
        """Fetches the pictures of the newest row (see `Camera.fetch`), so that only frames that are shown cost time."""
        self.pictures = self.camera.fetch(self.ts, part)

    def refresh(self) -> bool:
        """Takes over a newer checkpoint of a training that is followed. True when the weights changed."""
        return self.follower is not None and self.follower.refresh(self.agent)

    def close(self) -> None:
        self.env.close()

    def __enter__(self) -> Player:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
