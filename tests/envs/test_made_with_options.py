"""Environments that need options to be made, and wrappers whose state no checkpoint holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import pytest
from gymnasium.wrappers import NormalizeObservation, NormalizeReward, RecordEpisodeStatistics

import envs
from rl.errors import InputError
from runs.recipe import resolve
from runs.training.train import train


class Level(gymnasium.Wrapper):
    """CartPole with a constructor argument that has no default."""

    def __init__(self, level: int, **options: Any) -> None:
        super().__init__(gymnasium.make("CartPole-v1", **options))
        self.level = level


def level_three(**options: Any) -> gymnasium.Env:
    return Level(3, **options)


def normalised(render_mode: str | None = None) -> gymnasium.Env:
    return RecordEpisodeStatistics(NormalizeObservation(gymnasium.make("CartPole-v1", render_mode=render_mode)))


def scaled(render_mode: str | None = None) -> gymnasium.Env:
    return NormalizeReward(gymnasium.make("CartPole-v1", render_mode=render_mode))


@pytest.mark.parametrize("prefix", ["env.", "env_config."])
def test_an_environment_with_a_required_argument_is_made_with_the_option_that_was_given(
    prefix: str, tmp_path: Path
) -> None:
    words = [f"{prefix}options.level=3", "learning_starts=20", "eval_episodes=1"]
    run = resolve(f"{__name__}:Level", agent="dqn", steps=40, settings=words)
    assert run.env_config.options == {"level": 3}
    assert train(run, out=tmp_path)["steps"] == 40
    with pytest.raises(InputError, match="missing 1 required positional argument: 'level'"):
        resolve(f"{__name__}:Level", agent="dqn")


@pytest.mark.parametrize(("name", "field"), [("normalised", "normalize_obs"), ("scaled", "normalize_return")])
def test_a_wrapper_whose_statistics_are_not_saved_is_refused_with_the_field_that_does_it(name: str, field: str) -> None:
    with pytest.raises(InputError, match=f"statistics are not saved.*--set {field}=true$"):
        envs.make(f"{__name__}:{name}")


@pytest.mark.parametrize("environment", [Level, level_three])
def test_a_training_takes_a_class_or_a_function_instead_of_its_name(environment: Any, tmp_path: Path) -> None:
    settings = {"learning_starts": 20, "eval_episodes": 1, **({"env.options.level": 3} if environment is Level else {})}
    said = train(environment, agent="dqn", steps=40, settings=settings, out=tmp_path / "run")
    assert said["env"] == f"{__name__}:{environment.__name__}" and said["steps"] == 40


def test_a_class_inside_a_function_is_one_line() -> None:
    class Inner(gymnasium.Env):
        pass

    with pytest.raises(InputError, match="neither registers nor defines '.*<locals>.Inner'"):
        resolve(Inner, agent="dqn")
