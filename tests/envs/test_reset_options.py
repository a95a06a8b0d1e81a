"""What every reset gets, and entries of the observation that are left out."""

from __future__ import annotations

import json
from typing import Any

import gymnasium
import numpy as np
import pytest

import envs
from envs.config import EnvConfig
from rl.errors import InputError
from runs import evaluate, resume, train
from tests.envs.faulty import Game, Lengths

HERE = __name__
SPACES = gymnasium.spaces
WAYS = pytest.mark.parametrize("vector", ["sync", "async"])


class Level(Game):
    """Shows the level that its reset was given, and cannot be reset without one."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        self.level = options["level"]
        super().reset(seed=seed)
        return self._observation(), {}

    def step(self, action):
        return self._observation(), *super().step(action)[1:]

    def _observation(self):
        return np.full(2, self.level, np.float32)


class Levels(Lengths):
    """A vector environment that adds its level to what it shows."""

    def __init__(self, num_envs: int) -> None:
        super().__init__(num_envs, "visible")

    def reset(self, *, seed=None, options=None):
        self.level = options["level"]
        return super().reset(seed=seed, options=options)

    def _observation(self):
        return super()._observation() + self.level


class Mission(Game):
    """As MiniGrid: numbers and a text."""

    observation_space = SPACES.Dict({"view": Game.observation_space, "mission": SPACES.Text(20)})

    def reset(self, **kwargs):
        view, info = super().reset(**kwargs)
        return {"view": view, "mission": "go to the door"}, info

    def step(self, action):
        view, *others = super().step(action)
        return {"view": view, "mission": "go to the door"}, *others


def shown(id, num_envs=2, steps=8, **config):
    with envs.make(f"{HERE}:{id}", num_envs=num_envs, config=EnvConfig(**config)) as env:
        return [env.reset(), *(env.step(np.zeros(num_envs, np.int64)) for _ in range(steps))]


@WAYS
def test_every_reset_gets_the_reset_options(vector):
    rows = shown("Level", vector=vector, reset_options={"level": 0.5})
    assert sum(row.first.all() for row in rows) == 2 and all((row.obs["obs"] == 0.5).all() for row in rows)


def test_a_vector_environment_of_its_own_gets_them_too():
    rows = shown("Levels", reset_options={"level": 50})
    assert all((row.obs["obs"] >= 50).all() for row in rows)


def test_training_evaluation_and_resume_use_them_and_run_json_holds_them(tmp_path):
    out, settings = tmp_path / "run", ["rollout=20", "eval_episodes=1", "env.reset_options.level=0.25"]
    train(f"{HERE}:Level", agent="ppo", steps=40, settings=settings, out=out)
    assert json.loads((out / "run.json").read_text())["recipe"]["env_config"]["reset_options"] == {"level": 0.25}
    assert evaluate(out, episodes=2)["returns"] == [5.0, 5.0]
    assert resume(out, steps=60)["steps"] == 60


def test_a_run_is_not_resumed_with_other_reset_options(tmp_path):
    out, settings = tmp_path / "run", ["rollout=20", "eval_episodes=1", 'env.reset_options={"level": 0.25}']
    train(f"{HERE}:Level", agent="ppo", steps=40, settings=settings, out=out)
    changed = (out / "run.json").read_text().replace('"level": 0.25', '"level": 0.5')
    (out / "run.json").write_text(changed)
    with pytest.raises(InputError, match="env_config.reset_options"):
        resume(out, steps=60, trust=True)


def test_a_text_is_refused_with_the_setting_that_leaves_it_out():
    said = r"Mission: the observation space Text of leaf 'mission' is not supported: .*; --set env.drop=mission leaves"
    with pytest.raises(InputError, match=said):
        shown("Mission")


@WAYS
def test_a_dropped_entry_is_no_leaf(vector):
    assert all(list(row.obs) == ["view"] for row in shown("Mission", vector=vector, drop=("mission",)))


def test_a_run_without_its_text_is_trained_and_evaluated(tmp_path):
    out, settings = tmp_path / "run", ["rollout=20", "eval_episodes=1", "env.drop=mission"]
    train(f"{HERE}:Mission", agent="ppo", steps=40, settings=settings, out=out)
    assert evaluate(out, episodes=1)["returns"] == [5.0]


@pytest.mark.parametrize(
    ("id", "drop", "said"),
    [
        ("Mission", ("mision",), "unknown entry of the observation of .*:Mission 'mision': did you mean 'mission'"),
        ("Mission", ("mission", "view"), "Mission: drop leaves nothing of the observation, its entries are"),
        ("Level", ("obs",), "Level: drop leaves out entries of a Dict observation, this one is a Box"),
        ("Levels", ("obs",), "Levels: drop is for single environments, set vector='sync'"),
    ],
)
def test_what_cannot_be_dropped_is_one_line(id, drop, said):
    with pytest.raises(InputError, match=said):
        shown(id, drop=drop, reset_options={"level": 0})


@pytest.mark.parametrize("field", ["reset_options", "drop"])
def test_atari_refuses_both_in_one_line(field):
    value = {"level": 1} if field == "reset_options" else ("ram",)
    with pytest.raises(InputError, match=f"{field} is not for Atari games: leave it empty"):
        envs.make("ALE/Pong-v5", config=EnvConfig(**{field: value}))
