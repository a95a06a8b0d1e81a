"""Every recipe that comes with the suite."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import runs
from envs.arcade import GAMES
from rl.errors import InputError
from rl.schedules import Ramp
from runs.recipe import agent_name, recipe_names, resolve, settings_warning
from runs.recipes import shipped
from runs.recording.results import fingerprint, newest, read_results, recorded_line
from runs.settings.plain import from_json, to_json


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_resolves_and_survives_its_run_json(name: str) -> None:
    run = resolve(name)
    assert from_json(type(run), to_json(run)) == run
    assert len(fingerprint(run)) == 12


@pytest.mark.parametrize("name", recipe_names())
def test_the_results_recorded_last_are_those_of_the_present_recipe(name: str) -> None:
    """`rl list` shows the newest ones, since it imports no recipe."""
    assert {r["fingerprint"] for r in newest(read_results(recipe=name))} <= {fingerprint(resolve(name))}


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_has_a_claim_whose_first_line_is_a_sentence(name: str) -> None:
    claim = shipped()[name].claim
    assert claim.partition("\n")[0].endswith(".") and "Recorded with" not in claim


def test_the_recorded_line_names_each_score_up_to_five_seeds_and_failures() -> None:
    ok = {"status": "ok", "seconds": 90.0, "run": {"threads": 1}}
    results = [{**ok, "score": {"mean": score}} for score in (1.0, 2.04)]
    assert recorded_line(results) == "Recorded with 2 seeds: 1.0, 2.0; 1.5 minutes of one core."
    results += [{"status": "failed", "seconds": None, "run": {}}]
    assert recorded_line(results) == "Recorded with 3 seeds: 1.0, 2.0, 1 failed; 1.5 minutes of one core."
    many = [{**ok, "run": {"threads": None}, "score": {"mean": float(score)}} for score in range(12)]
    assert recorded_line(many) == "Recorded with 12 seeds: 0.0 to 11.0, median 5.5."
    assert recorded_line(results[2:]) == "Recorded with 1 seed: 1 failed."


RECIPES_OF_A_USER = """
from agents.dqn import DQNConfig
from runs.recipe import Run

slow = Run(env="CartPole-v1", agent=DQNConfig(), steps=2_000)
fast = Run(env="CartPole-v1", agent=DQNConfig(), steps=3_000)
"""


def test_a_users_file_may_hold_one_run_or_several_named_ones(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(RECIPES_OF_A_USER)
    assert [resolve(f"{file}:{name}").steps for name in ("slow", "fast")] == [2_000, 3_000]
    for text in (str(file), f"{file}:missing"):
        with pytest.raises(InputError, match=re.escape(f"write one of {file}:slow, {file}:fast")):
            resolve(text)
    file.write_text(RECIPES_OF_A_USER.replace("fast", "run"))
    assert resolve(file).steps == 3_000
    file.write_text(RECIPES_OF_A_USER.replace("fast", "_hidden"))
    assert resolve(file).steps == 2_000, "the only one"


def test_finding_one_recipe_imports_no_other_environments_file() -> None:
    code = "import sys; from runs.recipe import recipe_names, resolve; recipe_names(); resolve('cartpole_dqn');"
    code += "print([m for m in sys.modules if m.startswith('runs.recipes.') and m.count('.') == 3])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['runs.recipes.classic.cartpole']"


@pytest.mark.parametrize("game", GAMES)
def test_every_arcade_game_has_recipes_of_these_agents(game: str) -> None:
    for kind, agent in {"dqn": "dqn", "ppo": "ppo", "pqn": "pqn", "rainbow": "c51"}.items():
        run = resolve(f"arcade_{GAMES[game]}_{kind}")
        assert (run.env, agent_name(run.agent)) == (f"Arcade/{game}-v1", agent)


def test_a_schedule_as_long_as_the_run_stays_so_when_the_budget_changes() -> None:
    agent = resolve("cartpole_ppo", steps=1_000_000).agent
    assert (agent.lr.steps, agent.clip.steps) == (1_000_000, 1_000_000)
    assert resolve("cartpole_ppo", settings=["steps=50_000"]).agent.lr.steps == 50_000
    assert resolve("cartpole_ppo", steps=1_000_000, settings=["lr=1e-3:0:7"]).agent.lr.steps == 7
    before = resolve("cartpole_dqn").agent.epsilon
    assert resolve("cartpole_dqn", steps=1_000_000).agent.epsilon == before  # it says 8,000 steps
    run = resolve("cartpole_ppo")
    assert resolve(run, steps=1_000_000).agent == run.agent  # what `rl resume --steps` does: the past is not rewritten


LEARNERS_OF_VALUES = ["dqn", "c51", "qrdqn", "iqn", "rainbow", "r2d2", "drqn"]


@pytest.mark.parametrize("recipe", ["ALE/Pong-v5", "pong_dqn", "pong_ppo"])
@pytest.mark.parametrize("agent", LEARNERS_OF_VALUES)
def test_every_learner_of_values_sees_atari_in_four_frames_with_clipped_rewards(recipe: str, agent: str) -> None:
    run = resolve(recipe, agent=agent)
    assert (run.agent.stack, run.agent.reward_clip, run.eval_sample) == (4, 1.0, False)
    assert run.agent.eval_epsilon > 0 or (recipe == "pong_dqn" and agent == "dqn")


@pytest.mark.parametrize("recipe", ["ALE/Pong-v5", "pong_dqn"])
@pytest.mark.parametrize("agent", ["ppo", "a2c", "reinforce"])
def test_every_policy_sees_atari_in_four_frames_and_draws_its_actions(recipe: str, agent: str) -> None:
    run = resolve(recipe, agent=agent)
    assert (run.agent.stack, run.agent.reward_clip, run.eval_sample) == (4, 1.0, True)


def test_what_a_preset_chooses_itself_stays_on_atari_and_its_start_is_within_the_default_budget() -> None:
    run = resolve("ALE/Pong-v5", agent="btr_lite")
    assert (run.agent.eval_epsilon, run.agent.stack, run.steps) == (0.01, 4, 2_000_000)
    assert resolve("ALE/Pong-v5", agent="btr_lite", steps=300_000).steps == 300_000


def test_a_preset_s_fields_change_together_with_the_budget() -> None:
    run = resolve("CartPole-v1", agent="rainbow", steps=400, settings=["learning_starts=100"])
    assert (run.steps, run.agent.learning_starts, run.agent.noisy) == (400, 100, True)
    with pytest.raises(InputError, match="learning_starts 1000 is not below the budget of 400 steps"):
        resolve("CartPole-v1", agent="rainbow", steps=400)


def test_a_run_that_would_never_update_is_refused() -> None:
    with pytest.raises(InputError, match="replay_ratio 1e-06 makes no update in 2000 steps, of which the first 1000"):
        runs.train("Pendulum-v1", agent="sac", steps=2_000, settings=["replay_ratio=1e-6"])


@pytest.mark.parametrize(
    ("agent", "field", "switch"),
    [
        ("dqn", "priority_exponent=0.9", "prioritized"),
        ("c51", "importance=0.9", "prioritized"),
        ("qrdqn", "noisy_sigma=0.1", "noisy"),
        ("iqn", "munchausen_tau=0.3", "munchausen"),
        ("r2d2", "priority_mix=0.5", "prioritized"),
        ("r2d2", "munchausen_low=-2", "munchausen"),
        ("drqn", "rescale_eps=0.1", "rescale"),
        ("pqn", "net.core_size=64", "net.core"),
        ("ppo", "core_size=64", "net.core"),
    ],
)
def test_a_field_whose_switch_is_off_is_refused_and_honoured_with_it(agent: str, field: str, switch: str) -> None:
    with pytest.raises(InputError, match=rf"has no effect while agent\.{switch} is (false|none): set both"):
        resolve("CartPole-v1", agent=agent, settings=[field])
    on = {"net.core": "net.core=gru", "munchausen": "munchausen=true"}.get(switch, f"{switch}=true")
    rest = ["rescale=false"] if agent == "r2d2" and switch == "munchausen" else []
    assert resolve("CartPole-v1", agent=agent, settings=[field, on, *rest])


@pytest.mark.parametrize(
    ("agent", "field", "beside", "mend"),
    [
        ("sac", "dropped=3", "quantiles is 1: set both", "quantiles=25"),
        ("sac", "target_entropy=-3", "temperature is 0.1: leave one out", "temperature=none"),
        ("sac", "initial_temperature=0.5", "temperature is 0.1: leave one out", "temperature=none"),
        ("crossq", "target_tau=0.01", "batch_renorm is true: leave one out", "batch_renorm=false"),
    ],
)
def test_a_field_that_another_one_overrules_is_refused(agent: str, field: str, beside: str, mend: str) -> None:
    given = ["temperature=0.1", field] if "temperature" in beside else [field]
    with pytest.raises(InputError, match=f"agent.{field.partition('=')[0]} has no effect while agent.{beside}"):
        resolve("Pendulum-v1", agent=agent, settings=given)
    assert resolve("Pendulum-v1", agent=agent, settings=[*given, mend])


def test_switching_off_what_a_preset_has_leaves_its_other_fields_alone() -> None:
    run = resolve("CartPole-v1", agent="rainbow", settings=["prioritized=false", "priority_exponent=0.6"])
    assert run.agent.priority_exponent == 0.6  # the default: nothing is asked for


def test_a_value_learner_that_never_explores_is_warned_about() -> None:
    assert settings_warning(resolve("CartPole-v1", agent="rainbow", settings=["noisy=false"])).startswith(
        "epsilon 0 without noisy"
    )
    assert settings_warning(resolve("CartPole-v1", agent="dqn", settings=["epsilon=0:0:100"]))
    for agent in ("rainbow", "dqn", "pqn", "ppo"):
        assert settings_warning(resolve("CartPole-v1", agent=agent)) == ""


def test_the_field_of_another_agent_is_called_that() -> None:
    with pytest.raises(InputError, match="unknown field 'v_min' of this agent: it belongs to c51"):
        resolve("CartPole-v1", agent="dqn", settings=["v_min=-10"])
    with pytest.raises(InputError, match="fields stand apart from the name 'rainbow', as --set noisy=false"):
        resolve("CartPole-v1", agent="rainbow:noisy=false")


def test_a_budget_given_twice_is_one_line() -> None:
    with pytest.raises(InputError, match="^--num-envs and --set num_envs=2 set the same field twice: leave one out$"):
        resolve("CartPole-v1", num_envs=4, settings=["num_envs=2"])


@pytest.mark.parametrize(("env", "agent"), [("CartPole-v1", "dqn"), ("Pendulum-v1", "ppo"), ("Probe/Nested-v0", "ppo")])
def test_an_environment_without_a_named_agent_gets_one_that_can_act_in_it(env: str, agent: str) -> None:
    assert agent_name(resolve(env).agent) == agent


def test_settings_may_be_one_word_or_a_dict() -> None:
    plain = resolve("cartpole_dqn", settings=["lr=1e-4"])
    assert resolve("cartpole_dqn", settings="lr=1e-4") == plain == resolve("cartpole_dqn", settings={"lr": 1e-4})
    made = resolve("cartpole_dqn", settings={"agent.net.hidden": (32, 16), "double": True, "eval_max_steps": None})
    assert (made.agent.net.hidden, made.agent.double, made.eval_max_steps) == ((32, 16), True, None)
    typed = resolve("cartpole_dqn", settings={"lr": Ramp(1e-3, 0.0, 70), "env.options": {"sutton_barto_reward": True}})
    assert typed.agent.lr == Ramp(1e-3, 0.0, 70) and typed.env_config.options == {"sutton_barto_reward": True}
    assert resolve("cartpole_dqn", settings={"hidden": np.array([8, 9])}).agent.net.hidden == (8, 9)
