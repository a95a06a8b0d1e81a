import dataclasses
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

import agents
import envs
from agents.dqn import DQNConfig
from rl.errors import InputError
from rl.schedules import Ramp
from runs.cli import parser
from runs.comparing.plan import make_plan, slug
from runs.comparing.suites import SUITES, in_suite
from runs.folder.jsonl import read_jsonl
from runs.folder.places import RESULTS
from runs.recipe import Run
from runs.recipe import resolve as resolve_recipe
from runs.recording.results import fingerprint
from runs.settings.plain import from_json


def side(plan: Any, contender: str) -> Any:
    (found,) = (s for s in plan.sides if s.contender.text == contender)
    return found


def run_of(found: Any) -> Run:
    return from_json(Run, {**found.job["run"], "seed": 0})


def test_a_plain_agent_name_takes_the_tasks_recipe_and_default_does_not() -> None:
    plan = make_plan("CartPole-v1", "dqn,dqn@default", steps=3000)
    recipe = resolve_recipe("cartpole_dqn")
    assert side(plan, "dqn").note == "recipe cartpole_dqn"
    own = run_of(side(plan, "dqn")).agent
    assert (own.net, own.lr) == (recipe.agent.net, dataclasses.replace(recipe.agent.lr, steps=3000))
    assert side(plan, "dqn@default").note == "dqn's defaults"
    assert run_of(side(plan, "dqn@default")).agent == type(recipe.agent)()
    other = make_plan("Taxi-v4", "dqn", steps=3000)
    assert other.sides[0].note == "dqn's defaults: no recipe for dqn on Taxi-v4"


def test_a_preset_keeps_its_name_and_takes_its_own_recipe() -> None:
    plan = make_plan("CartPole-v1", "rainbow,c51,rainbow@default,drqn", steps=3000)
    assert [s.note for s in plan.sides] == [
        "recipe cartpole_rainbow",
        "recipe cartpole_c51",
        "rainbow's defaults",
        "drqn's defaults: no recipe for drqn on CartPole-v1",
    ]
    assert [s.config["name"] for s in plan.sides] == ["rainbow (c51)", "c51", "rainbow (c51)", "drqn (r2d2)"]
    assert run_of(side(plan, "rainbow")).agent.net == resolve_recipe("cartpole_rainbow").agent.net
    named = make_plan("cartpole_rainbow", "rainbow,c51", steps=3000)
    assert [s.note for s in named.sides] == ["recipe cartpole_rainbow"] * 2
    assert make_plan("cartpole_c51", "rainbow", steps=3000).sides[0].note == "recipe cartpole_rainbow"


def test_all_contenders_have_the_same_budget_threads_and_evaluations() -> None:
    plan = make_plan("CartPole-v1", "dqn,dqn@zoo,ppo@sb3,sb3:a2c,zoo:ppo", steps=4000)
    shared = [
        {k: s.job[k] for k in ("steps", "threads", "eval_every", "eval_episodes", "env_config")} for s in plan.sides
    ]
    assert all(x == shared[0] for x in shared) and shared[0]["eval_every"] == 200
    for s in plan.sides:
        if s.job["kind"] == "ours":
            run = run_of(s)
            assert (run.steps, run.eval_every, run.threads) == (4000, 200, 1)


def acting(found: Any) -> tuple[bool, float]:
    """Whether a side samples its actions in evaluation, and its share of random actions."""
    if found.job["kind"] != "ours":
        return found.job["eval_sample"], found.job["eval_epsilon"]
    run = run_of(found)
    return run.eval_sample, getattr(run.agent, "eval_epsilon", 0.0)


@pytest.mark.parametrize(
    ("recipe", "contenders", "expected", "words"),
    [
        ("arcade_space_invaders_ppo", "ppo,ppo@default,ppo@sb3,a2c,sb3:ppo,sb3:a2c", (True, 0.0), "sampled"),
        (
            "pong_dqn",
            "dqn,dqn@default,dqn@zoo,rainbow,sb3:dqn,zoo:qrdqn",
            (False, 0.01),
            "greedy with 0.01 of the actions random",
        ),
        ("CartPole-v1", "ppo,dqn,sb3:ppo,sb3:dqn", (False, 0.0), "greedy"),
        ("ALE/Seaquest-v5", "ppo,sb3:ppo,zoo:a2c", (True, 0.0), "sampled"),
        ("ALE/Seaquest-v5", "dqn,sb3:dqn", (False, 0.05), "greedy with 0.05 of the actions random"),
    ],
)
def test_both_sides_are_evaluated_the_same_way(
    recipe: str, contenders: str, expected: tuple[bool, float], words: str
) -> None:
    plan = make_plan(recipe, contenders, steps=150_000)
    assert {s.contender.text: acting(s) for s in plan.sides} == dict.fromkeys(contenders.split(","), expected)
    assert {s.config["evaluation"] for s in plan.sides} == {words}
    assert words in plan.tasks[0].evaluation


def test_policies_and_value_learners_are_each_evaluated_as_their_first_recipe_says() -> None:
    plan = make_plan("arcade_space_invaders_ppo", "dqn,ppo,sb3:dqn,sb3:ppo", steps=50_000)
    assert [acting(s) for s in plan.sides] == [(False, 0.0), (True, 0.0)] * 2
    plan = make_plan("pong_dqn", "dqn,ppo,sb3:ppo:n_steps=64", steps=50_000)
    assert [acting(s) for s in plan.sides] == [(False, 0.01), (True, 0.0), (True, 0.0)]


def test_the_final_epsilon_of_a_sampled_value_recipe_is_used_for_all() -> None:
    own = Run(env="CartPole-v1", agent=DQNConfig(epsilon=Ramp(1.0, 0.07, 100)), steps=2000, eval_sample=True)
    assert [acting(s) for s in make_plan(own, "dqn,sb3:dqn").sides] == [(False, 0.07)] * 2


def test_the_page_says_that_sb3_reads_boards_flat() -> None:
    plan = make_plan("arcade_space_invaders_ppo", "ppo,ppo@sb3,sb3:ppo", steps=50_000)
    assert ["flat vector" in s.note for s in plan.sides] == [False, True, True]
    assert not any("flat vector" in s.note for s in make_plan("CartPole-v1", "sb3:ppo,ppo@sb3", steps=5000).sides)


def test_continuous_lunarlander_takes_the_zoos_own_values() -> None:
    plan = make_plan("lunarlander_continuous_ppo", "zoo:a2c,a2c@zoo", steps=50_000)
    assert plan.sides[0].job["peer"]["settings"]["use_sde"] is True and plan.sides[0].job["peer"]["n_envs"] == 4
    assert run_of(plan.sides[1]).agent.policy.deviation == "gsde"
    discrete = make_plan("LunarLander-v3", "zoo:a2c", steps=50_000).sides[0]
    assert discrete.job["peer"]["n_envs"] == 8 and "use_sde" not in discrete.job["peer"]["settings"]


def test_an_environment_id_is_not_a_recipes_variant_of_it() -> None:
    plan = make_plan("LunarLander-v3", "ppo", steps=50_000)
    assert plan.sides[0].note == "recipe lunarlander_ppo" and plan.tasks[0].spec.action.kind == "discrete"
    assert make_plan("Memory/RememberCue-v0", "ppo", steps=50_000).sides[0].note.startswith("recipe remember_cue_ppo")


def test_ours_with_the_zoos_hyperparameters() -> None:
    found = side(make_plan("CartPole-v1", "dqn@zoo", steps=50_000), "dqn@zoo")
    agent = run_of(found).agent
    assert (agent.lr, agent.batch_size, agent.target_every, agent.net.hidden) == (2.3e-3, 64, 128, (256, 256))
    assert agent.epsilon == Ramp(1.0, 0.04, 8000) and run_of(found).num_envs == 1
    assert found.note == "the hyperparameters of zoo:dqn" and found.unmapped == []
    assert found.config["evaluation"] == "greedy" and found.config["lr"] == 2.3e-3


def test_variants_are_paired_only_with_their_own_agent() -> None:
    plan = make_plan("CartPole-v1", "dqn,dqn:double=true,ppo,sb3:dqn", steps=3000)
    assert plan.paired == [("dqn", "dqn:double=true")]
    assert run_of(side(plan, "dqn:double=true")).agent.double is True


def test_the_default_budget_is_the_recipes_else_the_zoos() -> None:
    assert make_plan("cartpole_dqn", "dqn").tasks[0].steps == resolve_recipe("cartpole_dqn").steps
    assert make_plan("MountainCarContinuous-v0", "zoo:ppo").tasks[0].steps == 20_000


def test_suites_expand_to_their_tasks() -> None:
    assert [len(SUITES[name]) for name in ("classic", "arcade", "mujoco", "atari5", "atari26")] == [4, 5, 5, 5, 26]
    assert len(set(SUITES["atari57"])) == 57 and set(SUITES["atari5"] + SUITES["atari26"]) < set(SUITES["atari57"])
    assert set(SUITES["atari57"]) <= set(envs.ids())
    assert "cartpole_dqn" in in_suite("classic") and "pong_ppo" in in_suite("atari26")
    assert all(resolve_recipe(name).env in SUITES["arcade"] for name in in_suite("arcade"))
    plan = make_plan(None, "sb3:ppo,random", tasks="classic,CartPole-v1", steps=3000)
    assert [t.env for t in plan.tasks] == list(SUITES["classic"])
    assert len(plan.sides) == 8
    with pytest.raises(InputError, match="did you mean 'classic'"):
        make_plan(None, "dqn", tasks="clasic")


def test_a_suite_of_continuous_tasks_makes_the_continuous_lunarlander() -> None:
    plan = make_plan(None, "ppo,zoo:sac,sac@zoo", tasks="box2d_continuous", steps=20_000)
    assert [t.spec.action.kind for t in plan.tasks] == ["box", "box"]
    assert plan.tasks[0].env_config.options == {"continuous": True}
    ours = run_of(plan.sides[2]).agent
    assert (ours.net.hidden, ours.target_tau, ours.learning_starts) == ((400, 300), 0.01, 10_000), "the Zoo's"


def test_a_task_may_be_a_recipe_and_have_its_own_budget() -> None:
    plan = make_plan(
        None, "ppo", tasks="cartpole_novelocity_ppo_stack@20000, runs/studies/space_invaders.py,Taxi-v4@900"
    )
    assert [(t.env, t.steps) for t in plan.tasks] == [
        ("CartPole-NoVelocity-v1", 20_000),
        ("Arcade/SpaceInvaders-v1", 100_000),
        ("Taxi-v4", 900),
    ]
    assert [run_of(s).agent.stack for s in plan.sides] == [4, 1, 1], "the recipe that is named, not the first one"
    assert plan.tasks[1].eval_every == 5_000
    assert make_plan("CartPole-v1", "ppo", evaluations=4, steps=1000).tasks[0].eval_every == 250


def test_schedules_over_the_whole_recipe_are_stretched_to_the_budget() -> None:
    plan = make_plan("CartPole-v1", "ppo,ppo:lr=1e-3:0:90000,ppo@zoo", steps=20_000)
    assert [run_of(s).agent.lr.steps for s in plan.sides] == [20_000, 90_000, 20_000]


def count(found: Any) -> int:
    """Parameters, counted without the code under test."""
    import envs

    run = run_of(found)
    network = agents.build(run.agent, envs.spec(run.env, run.env_config), num_envs=1, seed=0).network
    return sum(p.numel() for p in network.parameters())


def test_matched_networks_have_the_first_ones_number_of_parameters() -> None:
    names = (
        "random,wide=ppo:net.hidden=64x64,narrow=ppo:net.hidden=4,lstm=ppo:net.hidden=8:net.core=lstm:net.core_size=16"
    )
    plan = make_plan("CartPole-v1", names, steps=1000, match_parameters=True)
    wide, narrow, lstm = (side(plan, name) for name in ("wide", "narrow", "lstm"))
    counts = [count(s) for s in (wide, narrow, lstm)]
    assert [s.config["parameters"] for s in (wide, narrow, lstm)] == counts
    assert counts[0] == 2 * (4 * 64 + 64 + 64 * 64 + 64) + 64 * 3 + 3, "policy and value, with their heads"
    assert all(abs(n / counts[0] - 1) < 0.05 for n in counts)
    net = run_of(lstm).agent.net
    assert net.core_size == pytest.approx(2 * net.hidden[0], abs=1), "all widths by one factor"
    assert run_of(wide).agent.net.hidden == (64, 64)
    free = make_plan("CartPole-v1", names, steps=1000)
    assert side(free, "narrow").config["parameters"] == count(side(free, "narrow")) < 200


@pytest.mark.parametrize(
    ("agents", "words"),
    [
        ("ppo:net.hidden=8,ppo", "contender 'ppo': give its widths to match its parameters"),
        ("ppo:net.hidden=1,ppo:stack=99:net.hidden=2", "no width has about"),
    ],
)
def test_networks_that_cannot_be_matched_are_refused(agents: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        make_plan("CartPole-v1", agents, steps=1000, match_parameters=True)


@pytest.mark.parametrize(("study", "size"), [("networks", (4, 5, 3)), ("networks_six", (6, 6, 10))])
def test_the_network_studies_match_their_networks_to_the_first_within_three_percent(
    study: str, size: tuple[int, ...]
) -> None:
    args = parser.parse(["compare", f"@runs/studies/{study}.args"])
    plan = make_plan(None, args.agents, args.tasks, match_parameters=args.match_parameters)
    assert (len(plan.tasks), len(plan.contenders), args.seeds) == size
    for task in plan.tasks:
        counts = [s.config["parameters"] for s in plan.sides if s.task is task]
        assert all(abs(count / counts[0] - 1) < 0.03 for count in counts), (task.env, counts)


def test_the_continuous_study_compares_six_learners_on_two_tasks() -> None:
    args = parser.parse(["compare", "@runs/studies/continuous.args"])
    plan = make_plan(None, args.agents, args.tasks)
    assert (len(plan.tasks), len(plan.contenders), args.seeds) == (2, 6, 3)
    sides = [s for s in plan.sides if s.task is plan.tasks[1]]
    sac, td3, tqc, crossq, droq, simba = [s.config for s in sides]
    assert [c["quantiles"] for c in (sac, td3, tqc)] == [1, 1, 25] and td3["name"] == "td3"
    assert crossq["batch_renorm"] and droq["dropout"] == 0.01 and droq["replay_ratio"] == 20
    assert "net.encoder=simba" in sides[-1].note and simba["optimizer"] == "adamw"


def test_the_rainbow_study_removes_one_component_at_a_time() -> None:
    args = parser.parse(["compare", "@runs/studies/rainbow.args"])
    whole, *rest = make_plan(None, args.agents, args.tasks).sides
    assert "rainbow" in whole.note
    pieces = {
        "no multi-step returns": {"n_step"},
        "no priorities": {"prioritized"},
        "no noisy layers": {"noisy", "epsilon"},
        "no dueling": {"dueling"},
        "no double": {"double"},
        "no distribution": {"name", "atoms", "v_min", "v_max", "huber"},
        "support around 0": {"v_min"},
        "heaped up at 0": {"initial"},
    }
    assert [side.contender.text for side in rest] == [*pieces, "DQN"]
    agent = whole.job["run"]["agent"]
    for side in rest[:-1]:
        other = side.job["run"]["agent"]
        changed = {k for k in agent.keys() | other.keys() if agent.get(k) != other.get(k)}
        assert changed == pieces[side.contender.text]


def test_the_fingerprint_depends_on_the_training_and_not_on_the_order_of_contenders() -> None:
    a = make_plan("CartPole-v1", "dqn,sb3:dqn", steps=3000).sides
    b = make_plan("CartPole-v1", "sb3:dqn,dqn", steps=3000).sides
    assert a[0].fingerprint == b[1].fingerprint and a[1].fingerprint == b[0].fingerprint
    changed = make_plan("CartPole-v1", "dqn:lr=1e-4,sb3:dqn:gamma=0.9", steps=3000).sides
    longer = make_plan("CartPole-v1", "dqn,sb3:dqn", steps=4000).sides
    assert len({s.fingerprint for s in [*a, *changed, *longer]}) == 6


def test_snapshots_change_neither_the_fingerprint_of_a_recipe_nor_that_of_a_comparison() -> None:
    """They only keep more checkpoints for `rl explain`; a field that changes the learning does change both."""
    recipe = resolve_recipe("cartpole_dqn")
    (plain,) = make_plan("CartPole-v1", "dqn", steps=3000).sides
    for field, value, same in (("snapshots", 10, True), ("num_envs", 2, False)):
        other = dataclasses.replace(recipe, **{field: value})
        assert (fingerprint(other) == fingerprint(recipe)) is same, field
        job = {**plain.job, "run": {**plain.job["run"], field: value}}
        assert (dataclasses.replace(plain, job=job).fingerprint == plain.fingerprint) is same, field


def test_no_folder_is_named_like_a_device_of_windows() -> None:
    for name in ("con", "NUL", "aux.x", "com1"):
        assert re.fullmatch(rf"{re.escape(name)}-[0-9a-f]{{6}}", slug(name)), name
    assert slug("console") == "console" and slug("com") == "com"


def test_contenders_have_distinct_folder_names() -> None:
    assert slug("dqn") == "dqn"
    names = [slug(x) for x in ("sb3:dqn", "sb3-dqn", "dqn@zoo", "dqn:lr=1e-3", "module:Class")]
    assert len(set(names)) == 5 and all(
        set(n) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") for n in names
    )


def test_long_contenders_have_short_distinct_folder_names() -> None:
    settings = ":".join(f"field_{k}=0.001" for k in range(20))
    names = [slug(f"dqn:{settings}"), slug(f"dqn:{settings}1")]
    assert len(set(names)) == 2 and max(map(len, names)) <= 60


@pytest.mark.parametrize(
    ("recipe", "agents", "options", "words"),
    [
        ("CartPole-v1", "dqn,dqn", {}, "contender 'dqn' is named twice"),
        ("CartPole-v1", "dqm", {}, "unknown agent 'dqm': did you mean 'dqn'"),
        ("CartPole-v1", "dqn:lrr=3", {}, "contender 'dqn:lrr=3': unknown field 'lrr'"),
        (
            None,
            "dqn",
            {"tasks": "CartPole-v1@many"},
            "write the budget as a whole number of steps, such as CartPole-v1@50000",
        ),
        (None, "dqn", {"tasks": "cartpole_dqm"}, "did you mean 'cartpole_dqn'"),
        (None, "dqn", {"tasks": "nowhere.py"}, "there is no recipe file nowhere.py"),
        ("CartPole-v1", "dqn", {"steps": 200}, "learning_starts 1000 is not below the budget of 200"),
        ("CartPole-v1", "dqn@zo", {}, "unknown preset of dqn 'zo': did you mean 'zoo'"),
        ("CartPole-v1", "sb3:dqn:bufer_size=3", {}, "did you mean 'buffer_size'"),
        ("Pendulum-v1", "sb3:dqn", {}, "needs one discrete action"),
        ("Pendulum-v1", "dqn", {}, "contender 'dqn'"),
        ("Taxi-v4", "dqn@zoo", {}, "the RL Zoo has no dqn for Taxi-v4"),
        ("CartPole-v1", "reinforce@zoo", {}, "SB3 has no reinforce"),
        ("CartPole-v1", "zoo:ppo", {"steps": 4}, "8 environments are more than the 4 steps"),
        ("CartPole-v1", "run:/nowhere", {}, "nowhere"),
        (
            "CartPole-v1",
            "sb3:ppo",
            {"steps": 2000},
            "'sb3:ppo' learns nothing within 2,000 steps, its rollout takes 2,048",
        ),
        ("CartPole-v1", "ppo@default:rollout=999", {"steps": 900}, "its rollout takes 999: give more --steps"),
        ("CartPole-v1", "sb3:dqn", {"steps": 100}, "its first update is due at 104 \\(learning_starts 100, every 4\\)"),
        ("CartPole-v1", "dqn@zoo:learning_starts=0", {"steps": 200}, "its first update is due at 256"),
        ("ALE/Pong-v5", "dqn@zoo", {"steps": 50_000}, "'dqn@zoo': learning_starts 100000 is not below the budget"),
        ("CartPole-v9", "dqn", {}, "CartPole-v9"),
        (None, "dqn", {}, "name a recipe, an environment or --tasks"),
        ("CartPole-v1", "dqn@rainbow", {}, "rainbow is a preset of c51: name it rainbow"),
        ("CartPole-v1", "dqn:env=Acrobot-v1", {}, "env=Acrobot-v1 would make it another task"),
        ("CartPole-v1", "dqn@default:max_steps=10", {}, "max_steps=10 would make it another task"),
        ("ALE/Pong-v5", "ppo:protocol=dopamine", {}, "protocol=dopamine would make it another task"),
        ("CartPole-v1", "dqn:eval_episodes=1", {}, "eval_episodes=1 would make it another task"),
        ("CartPole-v1", "dqn:eval_epsilon=0.5", {}, "eval_epsilon=0.5 would make it another task"),
        ("CartPole-v1", "dqn:steps=60000", {}, "steps=60000 would make it another task"),
        ("CartPole-v1", "dqn:threads=2", {}, "threads=2 would make it another task"),
        ("CartPole-v1", "dqn:seed=7", {}, "seed=7 would make it another task"),
    ],
)
def test_invalid_comparisons_are_refused_in_one_line(
    recipe: Any, agents: str, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words) as caught:
        make_plan(recipe, agents, **options)
    assert "\n" not in str(caught.value)


def test_a_trained_run_is_evaluated_on_its_own_task(tmp_path: Path) -> None:
    from runs import train

    train("CartPole-v1", agent="dqn", steps=60, seed=5, settings=["learning_starts=20"], out=tmp_path / "run")
    found = side(make_plan("CartPole-v1", f"run:{tmp_path / 'run'}", steps=100), f"run:{tmp_path / 'run'}")
    assert found.seed == 5 and found.job["kind"] == "run"
    assert found.note == "trained before, 60 steps instead of 100; plays the start seeds of its own seed 5"
    with pytest.raises(InputError, match="was trained on CartPole-v1, this task is Acrobot-v1"):
        make_plan("Acrobot-v1", f"run:{tmp_path / 'run'}", steps=100)


def test_a_trained_run_is_evaluated_by_the_tasks_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from runs import train
    from runs.comparing import worker

    settings = ["learning_starts=20", "eval_epsilon=0.3", "eval_episodes=1"]
    train("CartPole-v1", agent="dqn", steps=60, settings=settings, out=tmp_path / "run")
    name = f"run:{tmp_path / 'run'}"
    assert acting(make_plan("CartPole-v1", f"{name},sb3:dqn", steps=200).sides[1]) == (False, 0.3), (
        "the run's own epsilon"
    )
    own = dataclasses.replace(resolve_recipe("cartpole_dqn"), eval_max_steps=7)
    found = side(make_plan(own, f"dqn,{name}"), name)
    assert acting(found) == (False, 0.0) and found.config["evaluation"] == "greedy"
    played: list[Any] = []

    def play_games(agent: Any, run: Run, **options: Any) -> Any:
        played.append((agent.draws(options["sample"]), options["sample"], run.eval_max_steps))
        return original(agent, run, **options)

    module = sys.modules["runs.training.evaluation"]
    original = module.play_games  # type: ignore[attr-defined]
    monkeypatch.setattr(module, "play_games", play_games)
    worker.work({**found.job, "contender": name, "seed": 0, "eval_episodes": 2})
    assert played == [(False, False, 7)]


def test_a_run_folder_that_is_trained_again_gets_another_fingerprint(tmp_path: Path) -> None:
    from runs import train

    marks = []
    for lr in ("5e-4", "5e-2"):
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        train("CartPole-v1", agent="dqn", steps=60, settings=["learning_starts=20", f"lr={lr}"], out=tmp_path / "run")
        plans = [make_plan("CartPole-v1", f"run:{tmp_path / 'run'}", steps=100) for _ in range(2)]
        assert plans[0].sides[0].fingerprint == plans[1].sides[0].fingerprint
        marks.append(plans[0].sides[0].fingerprint)
    assert marks[0] != marks[1]


def test_earlier_evaluations_of_a_run_count_only_if_it_played_the_tasks_number_of_games(tmp_path: Path) -> None:
    from runs import train
    from runs.comparing import worker

    settings = ["learning_starts=20", "eval_every=40", "eval_episodes=2"]
    train("CartPole-v1", agent="dqn", steps=100, settings=settings, out=tmp_path / "run")
    job = side(make_plan("CartPole-v1", name := f"run:{tmp_path / 'run'}", steps=100), name).job
    for games, steps in ((2, [40, 80, 100]), (3, [100])):
        found = worker.work({**job, "contender": name, "seed": 0, "eval_episodes": games})
        assert [point[0] for point in found["curve"]] == steps and len(found["returns"]) == games
        assert found["curve"][-1] == [100, None, found["score"]]


def test_a_trained_run_of_another_environment_config_is_refused(tmp_path: Path) -> None:
    from runs import train

    settings = ["learning_starts=20", "eval_episodes=1", "env.vector=sync"]
    train("CartPole-v1", agent="dqn", steps=60, settings=settings, out=tmp_path / "run")
    make_plan("CartPole-v1", f"run:{tmp_path / 'run'}", steps=100)
    path = tmp_path / "run" / "run.json"
    info = json.loads(path.read_text())
    info["recipe"]["env_config"]["max_steps"] = 30
    path.write_text(json.dumps(info))
    with pytest.raises(InputError, match="was trained with env_config.max_steps=30, this task has None"):
        make_plan("CartPole-v1", f"run:{tmp_path / 'run'}", steps=100)


def test_reinforce_may_have_a_rollout_longer_than_the_budget() -> None:
    assert run_of(make_plan("CartPole-v1", "reinforce@default", steps=900).sides[0]).agent.rollout > 900


def test_a_contenders_settings_may_move_its_first_update_into_the_budget() -> None:
    found = make_plan("ALE/Pong-v5", "dqn@zoo:learning_starts=100", steps=1000).sides[0]
    assert (run_of(found).steps, run_of(found).agent.learning_starts) == (1000, 100)


def test_a_task_has_one_budget_and_random_is_no_label() -> None:
    with pytest.raises(InputError, match="CartPole-v1 is a task already"):
        make_plan(None, "dqn", "CartPole-v1@3000,CartPole-v1@5000", None)
    assert len(make_plan(None, "dqn", "CartPole-v1@3000,CartPole-v1@3000", None).tasks) == 1
    for text in ("random=dqn", "chance=random"):
        with pytest.raises(InputError, match="random is the name of the random policy"):
            make_plan(None, text, "CartPole-v1@3000", None)


def test_steps_without_effect_are_refused() -> None:
    with pytest.raises(InputError, match=r"--steps 600 has no effect: every task names its own budget"):
        make_plan(None, "ppo", tasks=["CartPole-v1@50000", "Acrobot-v1@60000"], steps=600)
    plan = make_plan(None, "ppo", tasks=["CartPole-v1@50000", "Acrobot-v1"], steps=60_000)
    assert [t.steps for t in plan.tasks] == [50_000, 60_000]


def test_the_zoo_on_atari_names_the_protocol() -> None:
    note = make_plan("ALE/Pong-v5", "zoo:ppo", steps=2000).sides[0].note
    assert note.endswith("; Atari by protocol 'nature', not by the Zoo's own wrappers")
    assert "wrappers" not in make_plan("CartPole-v1", "zoo:ppo", steps=2000).sides[0].note


def test_rainbow_from_the_users_file_is_used(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from runs.recipe import resolve\n"
        "run = resolve('CartPole-v1', agent='rainbow', steps=3000, settings=['lr=0.0077', 'learning_starts=100'])\n"
    )
    assert run_of(make_plan(str(path), "rainbow", steps=3000).sides[0]).agent.lr == 0.0077
    path.write_text(path.read_text().replace("agent='rainbow'", "agent='c51'"))
    assert run_of(make_plan(str(path), "rainbow", steps=3000).sides[0]).agent.noisy  # this file has no Rainbow
    assert run_of(make_plan(str(path), "c51", steps=3000).sides[0]).agent.lr == 0.0077


def test_one_checkpoint_of_a_run_is_refused(tmp_path: Path) -> None:
    from runs import train

    train("CartPole-v1", agent="dqn", steps=60, settings=["learning_starts=20"], out=tmp_path / "run")
    with pytest.raises(InputError, match="name the run's folder, not one checkpoint"):
        make_plan("CartPole-v1", f"run:{tmp_path / 'run' / 'checkpoints' / 'step-000000060'}", steps=60)


def test_results_recorded_before_a_field_was_added_still_count() -> None:
    """Otherwise, continuing a comparison would train it again. Add the default of a new field to `plan.LATER`."""
    recorded = RESULTS / "compare" / "cartpole-dqn"
    plan = make_plan("cartpole_dqn", "dqn@zoo,zoo:dqn,sb3:dqn")
    for found in plan.sides:
        lines = read_jsonl(recorded / "results" / f"{slug(found.contender.text)}.jsonl")
        assert found.fingerprint in {line["fingerprint"] for line in lines}, found.contender.text
    other = make_plan("cartpole_dqn", "dqn@zoo:cuda_graph=off").sides[0]
    assert other.fingerprint != side(plan, "dqn@zoo").fingerprint


def test_the_page_says_whether_sb3_gets_the_action_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    masked = make_plan("Probe/MaskInfo-v0", "ppo,sb3:ppo,sb3:a2c", steps=4096)
    assert ["no action masks" in side.note for side in masked.sides] == [False, False, True]
    assert ["gets the same action masks" in side.note for side in masked.sides] == [False, True, False]
    assert "action masks" not in make_plan("CartPole-v1", "sb3:ppo", steps=4096).sides[0].note
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    without = make_plan("Probe/MaskInfo-v0", "sb3:ppo", steps=4096).sides[0]
    assert "no action masks" in without.note and without.fingerprint != masked.sides[1].fingerprint
