"""Four figures of Sutton and Barto (2018) with the agents of this suite.

`python -m runs.comparing.studies.sutton_barto OUT` writes OUT/sutton_barto.json with every curve, and
OUT/sutton_barto.html, which draws them beside the book's values.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

import agents
import envs
from agents.tabular.bandit import BanditConfig
from agents.tabular.dyna_q import DynaQConfig
from agents.tabular.q_learning import QLearningConfig
from agents.tabular.sarsa import SarsaConfig
from agents.tabular.td_lambda import TDLambdaConfig
from envs import EnvConfig
from rl.interface import TimeStep
from rl.loop import interact


def ten_arms(problems: int = 2000, pulls: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Section 2.3 and 2.6: epsilon-greedy and UCB on 10 arms, reward and share of best pulls at every pull."""
    rng = np.random.default_rng(seed)
    spec = envs.spec("Bandit/Stationary-v1")
    means = rng.normal(size=(problems, 10))
    noise = rng.normal(size=(pulls, problems))
    rules: dict[str, dict[str, Any]] = {
        "greedy": {"rule": "epsilon_greedy", "epsilon": 0.0},
        "epsilon 0.01": {"rule": "epsilon_greedy", "epsilon": 0.01},
        "epsilon 0.1": {"rule": "epsilon_greedy", "epsilon": 0.1},
        "UCB, width 2": {"rule": "ucb1"},
        "gradient, step 0.1": {"rule": "gradient"},
        "Thompson": {"rule": "thompson"},
    }
    found: dict[str, Any] = {}
    each, best = np.arange(problems), means.argmax(1)
    for name, fields in rules.items():
        actor = agents.build(BanditConfig(**fields), spec, num_envs=1, seed=seed).actor(problems, seed)
        action, reward = np.zeros(problems, np.int64), np.zeros(problems)
        rewards, optimal = [], []
        for t in range(pulls):
            action = actor.act(_row(action, reward, first=t == 0))
            reward = means[each, action] + noise[t]
            rewards.append(float(reward.mean()))
            optimal.append(float((action == best).mean()))
        found[name] = {"reward": rewards, "optimal": optimal}
    return found


def _row(action: np.ndarray, reward: np.ndarray, first: bool) -> TimeStep:
    n = len(action)
    flags = np.full(n, first)
    discount = np.where(flags, 0.0, 1.0).astype(np.float32)
    obs = {"obs": np.zeros((n, 1), np.int64)}
    return TimeStep(obs, None, action, reward.astype(np.float32), discount, flags, np.zeros(n, bool), {})


def cliff(runs: int = 10, episodes: int = 500) -> dict[str, Any]:
    """Example 6.6: the return of each training episode, epsilon 0.1 and step size 0.5, mean over runs."""
    found = {}
    for name, config in (("SARSA", SarsaConfig), ("Q-learning", QLearningConfig)):
        settings = config(lr=0.5, gamma=1.0, epsilon=0.1)
        returns = [_episodes("CliffWalking-v1", settings, seed, episodes)[0] for seed in range(runs)]
        found[name] = np.mean(returns, 0).tolist()
    return found


def dyna(runs: int = 10, episodes: int = 30) -> dict[str, Any]:
    """Figure 8.2: steps of each episode in the Dyna maze with 0, 5 and 50 planning steps; the shortest way takes 14."""
    found = {}
    for planning in (0, 5, 50):
        config = DynaQConfig(lr=0.1, gamma=0.95, epsilon=0.1, planning_steps=planning)
        place = f"{__name__ if __name__ != '__main__' else 'runs.comparing.studies.sutton_barto'}:DynaMaze"
        lengths = [_episodes(place, config, seed, episodes)[1] for seed in range(runs)]
        found[f"{planning} planning steps"] = np.mean(lengths, 0).tolist()
    return found


def _episodes(env: str, config: Any, seed: int, episodes: int) -> tuple[list[float], list[int]]:
    """Return and length of each training episode."""
    world = envs.make(env, seed=seed, config=EnvConfig(vector="sync"))
    agent = agents.build(config, world.spec, num_envs=1, seed=seed)
    returns, lengths, total, steps = list[float](), list[int](), 0.0, 0
    for slot in interact(world, agent, 10**9):
        if slot.ts.first[0]:
            total, steps = 0.0, 0
            continue
        total, steps = total + float(slot.ts.reward[0]), steps + 1
        if slot.ts.last[0]:
            returns.append(total)
            lengths.append(steps)
            if len(returns) == episodes:
                break
    world.close()
    return returns, lengths


class DynaMaze(gymnasium.Env[np.int64, np.int64]):
    """Example 8.1: a maze of 6 x 9 cells, reward 1 at the goal."""

    MAZE = (".......#G", "..#....#.", "S.#....#.", "..#......", ".....#...", ".........")
    observation_space = spaces.Discrete(54)
    action_space = spaces.Discrete(4)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.int64, dict[str, Any]]:
        super().reset(seed=seed)
        self.place = (2, 0)
        return self._state(), {}

    def step(self, action: Any) -> tuple[np.int64, float, bool, bool, dict[str, Any]]:
        dr, dc = ((-1, 0), (1, 0), (0, -1), (0, 1))[int(action)]
        row, column = self.place[0] + dr, self.place[1] + dc
        if 0 <= row < 6 and 0 <= column < 9 and self.MAZE[row][column] != "#":
            self.place = (row, column)
        over = self.MAZE[self.place[0]][self.place[1]] == "G"
        return self._state(), float(over), over, False, {}

    def _state(self) -> np.int64:
        return np.int64(self.place[0] * 9 + self.place[1])


LAMBDAS, STEPS = (0.0, 0.4, 0.8, 0.9, 0.95, 1.0), (0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
TRUE = np.arange(-18, 20, 2) / 20
"""Values of the 19 states of the random walk."""


def random_walk(runs: int = 25, episodes: int = 10) -> dict[str, Any]:
    """Figure 12.6: TD(lambda) on the 19-state walk; root mean squared error over states, episodes and runs.

    The walk has one action, so that SARSA(lambda) is TD(lambda). Lambda 0 is written as `sarsa` without traces.
    """
    walks = [_walk(np.random.default_rng(seed), episodes) for seed in range(runs)]
    found: dict[str, Any] = {"step sizes": list(STEPS)}
    for lam in LAMBDAS:
        found[f"lambda {lam:g}"] = [float(np.mean([_error(lam, lr, walk) for walk in walks])) for lr in STEPS]
    return found


def _walk(rng: np.random.Generator, episodes: int) -> list[list[tuple[int, float]]]:
    """Episodes as lists of (state entered, reward); the walk ends left of state 0 with -1 and right of 18 with 1."""
    found = []
    for _ in range(episodes):
        state, rows = 9, []
        while 0 <= state < 19:
            state += 1 if rng.random() < 0.5 else -1
            rows.append((state, float(state == 19) - float(state == -1)))
        found.append(rows)
    return found


def _error(lam: float, lr: float, walk: list[list[tuple[int, float]]]) -> float:
    from rl.interface import ActionSpec, EnvSpec, ObsLeaf

    spec = EnvSpec("Walk", {"obs": ObsLeaf((1,), "int64", "index", nvec=(19,))}, ActionSpec("discrete", (1,)))
    fields: dict[str, Any] = {"lr": lr, "gamma": 1.0, "epsilon": 0.0}
    accumulating: dict[str, Any] = {"trace_kind": "accumulating"}
    config: Any = TDLambdaConfig(**fields, **accumulating, trace_lambda=lam) if lam else SarsaConfig(**fields)
    agent = agents.build(config, spec, num_envs=1, seed=0)
    errors = []
    for rows in walk:
        before = 9
        for state, reward in rows:
            over = not 0 <= state < 19
            with np.errstate(all="ignore"):  # large steps with long traces diverge, as in the book
                agent.learn(0, before, 0, reward, 0.0 if over else 1.0, before if over else state, 0, None)
            before = state
        with np.errstate(all="ignore"):
            errors.append(np.sqrt(np.mean((agent.values[0, :, 0] - TRUE) ** 2)))
    error = float(np.mean(errors))
    return min(error, 10.0) if np.isfinite(error) else 10.0


BOOK = {
    "testbed": "Figure 2.2: at 1,000 pulls epsilon 0.1 earns about 1.4 and pulls the best arm in about 80%.",
    "cliff": "Example 6.6: SARSA's episodes return about -25 online, Q-learning's about -50.",
    "dyna": "Figure 8.2: 14 steps are best; with 50 planning steps they are reached after about 3 episodes.",
    "random walk": "Figure 12.6: the least error, below 0.3, at a lambda between 0.4 and 0.9; lambda 1 is far worse.",
}


def main(out: str) -> int:
    """Runs the four studies and writes them to the folder `out`."""
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {}
    for name, study in (("testbed", ten_arms), ("cliff", cliff), ("dyna", dyna), ("random walk", random_walk)):
        found[name] = {"book": BOOK[name], "found": study()}  # type: ignore[operator]
        print(name, "done", flush=True)
    (folder / "sutton_barto.json").write_text(json.dumps(_rounded(found)) + "\n")
    (folder / "sutton_barto.html").write_text(page(found), encoding="utf-8")
    return 0


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_rounded(v) for v in value]
    return round(value, 4) if isinstance(value, float) else value


def page(found: dict[str, Any]) -> str:
    """The curves as one HTML page."""
    from runs.reporting.charts import line_chart

    parts = ["<meta charset=utf-8><title>Sutton and Barto</title><h1>Figures of Sutton and Barto (2018)</h1>"]
    bed = found["testbed"]["found"]
    charts = [
        ("testbed", "mean reward", {k: v["reward"] for k, v in bed.items()}, "pull"),
        ("testbed", "share of best pulls", {k: v["optimal"] for k, v in bed.items()}, "pull"),
        ("cliff", "return of the episode", found["cliff"]["found"], "episode"),
        ("dyna", "steps of the episode", found["dyna"]["found"], "episode"),
    ]
    for name, label, curves, axis in charts:
        series = [
            {"name": key, "colour": k, "x": list(range(1, len(y) + 1)), "middle": y}
            for k, (key, y) in enumerate(curves.items())
        ]
        parts += [f"<h2>{name}: {label}</h2><p>{found[name]['book']}</p>", line_chart(label, series, axis, label)]
    walk = dict(found["random walk"]["found"])
    steps = walk.pop("step sizes")
    series = [{"name": k, "colour": i, "x": steps, "middle": y} for i, (k, y) in enumerate(walk.items())]
    parts += [f"<h2>random walk</h2><p>{found['random walk']['book']}</p>"]
    parts += [line_chart("walk", series, "step size", "RMS error")]
    return "\n".join(parts)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
