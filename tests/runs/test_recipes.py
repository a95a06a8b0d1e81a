"""Every recipe that comes with the suite."""

from __future__ import annotations

import ast

import pytest

from envs.arcade import GAMES
from runs.listing import AIM, RECIPES, recipe_names
from runs.recipe import agent_name, resolve
from runs.record import RESULTS, fingerprint
from runs.settings import from_json, to_json


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_resolves_and_survives_its_run_json(name: str) -> None:
    run = resolve(name)
    assert from_json(type(run), to_json(run)) == run
    assert len(fingerprint(run)) == 12


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_without_a_recorded_result_says_that_it_claims_nothing(name: str) -> None:
    said = ast.get_docstring(ast.parse((RECIPES / f"{name}.py").read_text())) or ""
    recorded = any((RESULTS / name / fingerprint(resolve(name))).glob("seed-*.json"))  # a stale one is another recipe's
    assert (AIM in said) is not recorded


@pytest.mark.parametrize("game", GAMES)
def test_every_arcade_game_has_a_dqn_and_a_ppo_recipe(game: str) -> None:
    for agent in ("dqn", "ppo"):
        run = resolve(f"arcade_{GAMES[game]}_{agent}")
        assert (run.env, agent_name(run.agent)) == (f"Arcade/{game}-v1", agent)


def test_a_schedule_as_long_as_the_run_stays_so_when_the_budget_changes():
    agent = resolve("cartpole_ppo", steps=1_000_000).agent
    assert (agent.lr.steps, agent.clip.steps) == (1_000_000, 1_000_000)
    assert resolve("cartpole_ppo", settings=["steps=50_000"]).agent.lr.steps == 50_000
    assert resolve("cartpole_ppo", steps=1_000_000, settings=["lr=1e-3:0:7"]).agent.lr.steps == 7
    before = resolve("cartpole_dqn").agent.epsilon
    assert resolve("cartpole_dqn", steps=1_000_000).agent.epsilon == before  # it says 8,000 steps
    run = resolve("cartpole_ppo")
    assert resolve(run, steps=1_000_000).agent == run.agent  # what `rl resume --steps` does: the past is not rewritten
