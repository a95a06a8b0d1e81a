"""The agents with a table: updates by hand, exact values on tiny problems, refusals, and the contract."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import agents
import envs
from agents.tabular.base import TabularAgent
from agents.tabular.counted import CountedModel, Outcome
from rl.errors import InputError
from rl.interface import ActionSpec, EnvSpec, ObsLeaf, TimeStep
from rl.tables import StateIndex, TableModel
from runs.testing import check_agent

LEARNERS = ["q_learning", "double_q_learning", "sarsa", "expected_sarsa", "td_lambda", "monte_carlo", "dyna_q"]
NAMES = [*LEARNERS, "prioritized_sweeping", "value_iteration", "policy_iteration"]
FIELDS: dict[str, dict[str, Any]] = {
    "q_learning": {"n_step": 3, "lr_decay": 0.7},
    "sarsa": {"trace_lambda": 0.8},
    "td_lambda": {"watkins": True, "trace_kind": "accumulating"},
    "value_iteration": {"model": "counted", "plan_every": 5},
    "policy_iteration": {"clock": False, "evaluation_sweeps": 4},
}


def make(name: str, spec: EnvSpec | None = None, num_envs: int = 1, **fields: Any) -> Any:
    kind = agents.load(name)
    return agents.build(kind.Config(**fields), spec or tiny(), num_envs=num_envs, seed=3)


def tiny(states: int = 4, actions: int = 2, **more: Any) -> EnvSpec:
    leaf = ObsLeaf((1,), "int64", "index", nvec=(states,))
    return EnvSpec("Tiny", {"obs": leaf}, ActionSpec("discrete", (actions,)), **more)


def row(state: int, action: int = 0, reward: float = 0.0, discount: float = 1.0, first: bool = False) -> TimeStep:
    return TimeStep(
        {"obs": np.array([[state]])},
        None,
        np.array([action]),
        np.array([reward], np.float32),
        np.array([0.0 if first else discount], np.float32),
        np.array([first]),
        np.array([False]),
        {},
    )


def feed(agent: TabularAgent, *rows: TimeStep) -> None:
    for ts in rows:
        agent.observe(ts)
        agent.update()


FIRST = row(0, first=True)


@pytest.mark.parametrize(("name", "fields"), [*((n, {}) for n in NAMES), *FIELDS.items()])
def test_agents_keep_the_contract(name: str, fields: dict[str, Any]) -> None:
    check_agent(agents.load(name).Config(**fields), "FrozenLake-v1", steps=60)


@pytest.mark.parametrize(("name", "env"), [("sarsa", "Taxi-v4"), ("double_q_learning", "Blackjack-v1")])
def test_agents_keep_the_contract_with_masks_and_with_several_categories(name: str, env: str) -> None:
    check_agent(agents.config(name), env, num_envs=3, steps=60)


def test_q_learning_bootstraps_from_the_best_action() -> None:
    agent = make("q_learning", lr=0.5, gamma=0.9)
    agent.values[0, 1] = [2.0, 4.0]
    feed(agent, FIRST, row(1, action=1, reward=1.0))
    assert agent.values[0, 0].tolist() == pytest.approx([0, 0.5 * (1 + 0.9 * 4)])


def test_a_termination_takes_the_reward_alone_and_a_truncation_bootstraps() -> None:
    agent = make("q_learning", lr=0.5, gamma=0.9)
    agent.values[0, 1] = [2.0, 4.0]
    feed(agent, FIRST, row(1, reward=1.0, discount=0.0), FIRST)
    assert agent.values[0, 0, 0] == 0.5
    agent.values[0, 0, 0] = 0.0
    feed(agent, row(1, reward=1.0), FIRST)
    assert agent.values[0, 0, 0] == pytest.approx(0.5 * (1 + 0.9 * 4))


def test_no_update_crosses_a_first_row() -> None:
    agent = make("q_learning", lr=0.5, n_step=2)
    feed(agent, FIRST, row(1, reward=1.0, discount=0.0), FIRST)
    before = agent.values.copy()
    feed(agent, FIRST, FIRST)
    assert np.array_equal(before, agent.values)


def test_n_step_returns_discount_each_reward_and_are_shorter_at_the_end() -> None:
    agent = make("q_learning", lr=1.0, gamma=0.5, n_step=2)
    agent.values[0, 2] = [8.0, 0.0]
    feed(agent, FIRST, row(1, reward=1.0))
    assert not agent.values[0, :2].any()  # its second reward is still to come
    feed(agent, row(2, reward=2.0))
    assert agent.values[0, 0, 0] == 1 + 0.5 * 2 + 0.25 * 8
    feed(agent, row(3, reward=4.0, discount=0.0))
    assert agent.values[0, 1, 0] == 2 + 0.5 * 4 and agent.values[0, 2, 0] == 4.0


def test_a_time_limit_flushes_the_waiting_steps_with_the_final_states_value() -> None:
    agent = make("q_learning", lr=1.0, gamma=0.5, n_step=3)
    agent.values[0, 2] = [8.0, 0.0]
    feed(agent, FIRST, row(1, reward=1.0), row(2, reward=2.0), FIRST)
    assert agent.values[0, 1, 0] == 2 + 0.5 * 8 and agent.values[0, 0, 0] == 1 + 0.5 * 2 + 0.25 * 8


def test_sarsa_bootstraps_from_the_action_that_it_then_takes() -> None:
    for seed in range(5):
        agent = agents.build(agents.load("sarsa").Config(lr=1.0, gamma=0.5, epsilon=1.0), tiny(), num_envs=1, seed=seed)
        agent.values[0, 1] = [2.0, 4.0]
        ts = row(1, reward=1.0)
        feed(agent, FIRST, ts)
        taken = int(agent.act(ts)[0])
        assert agent.values[0, 0, 0] == 1 + 0.5 * [2.0, 4.0][taken]


def test_expected_sarsa_bootstraps_from_the_exploring_policys_mean() -> None:
    agent = make("expected_sarsa", lr=1.0, gamma=0.5, epsilon=0.4)
    agent.values[0, 1] = [2.0, 4.0]
    feed(agent, FIRST, row(1, reward=1.0))
    assert agent.values[0, 0, 0] == pytest.approx(1 + 0.5 * (0.6 * 4 + 0.4 * 3))


def test_double_q_learning_chooses_by_one_table_and_values_by_the_other() -> None:
    agent = make("double_q_learning", lr=1.0, gamma=0.5)
    agent.values[:, 1] = [[2.0, 4.0], [8.0, 1.0]]
    feed(agent, FIRST, row(1, reward=1.0))
    first, second = agent.values[:, 0, 0].tolist()
    assert (first, second) in ((1 + 0.5 * 1.0, 0.0), (0.0, 1 + 0.5 * 2.0))


def test_a_masked_action_is_no_target() -> None:
    agent = make("q_learning", tiny(masked=True), lr=1.0, gamma=0.5)
    agent.values[0, 1] = [2.0, 4.0]
    mask = np.array([[True, False]])
    feed(agent, FIRST._replace(mask=mask), row(1, reward=1.0)._replace(mask=mask))
    assert agent.values[0, 0, 0] == 2.0


def test_sarsa_lambda_moves_every_visited_pair_by_its_trace() -> None:
    agent = make("td_lambda", lr=0.5, gamma=0.5, trace_lambda=0.5, epsilon=0.0)
    feed(agent, FIRST, row(1), row(2, reward=4.0, discount=0.0))
    assert agent.values[0, 1, 0] == 2.0 and agent.values[0, 0, 0] == 0.25 * 2.0


@pytest.mark.parametrize(("kind", "moved"), [("replacing", 1.0), ("accumulating", 1.25)])
def test_a_second_visit_replaces_or_adds_to_the_trace(kind: str, moved: float) -> None:
    agent = make("td_lambda", lr=0.5, gamma=0.5, trace_lambda=0.5, epsilon=0.0, trace_kind=kind)
    feed(agent, FIRST, row(0), row(2, reward=2.0, discount=0.0))
    assert agent.values[0, 0, 0] == moved


def test_watkins_cuts_the_traces_when_an_action_explores() -> None:
    def first_pair(watkins: bool) -> float:
        agent = make("td_lambda", lr=0.5, gamma=0.5, trace_lambda=0.5, epsilon=0.0, watkins=watkins)
        agent.values[0, 1] = [-1.0, 0.0]
        ts = row(1)
        agent.observe(FIRST)
        agent.update()
        agent._stream.agent = agent
        agent._stream.act = lambda _: np.array([0])  # type: ignore[method-assign]
        feed(agent, ts, row(2, reward=4.0, discount=0.0))
        return float(agent.values[0, 0, 0])

    assert first_pair(True) == 0.0  # the worse action came next
    assert first_pair(False) > 0.0


def test_monte_carlo_averages_first_visit_returns() -> None:
    agent = make("monte_carlo", gamma=0.5)
    feed(agent, FIRST, row(0, reward=1.0), row(1, reward=2.0), row(2, reward=4.0, discount=0.0))
    assert agent.values[0, 0, 0] == 1 + 0.5 * 2 + 0.25 * 4 and agent.values[0, 1, 0] == 4.0
    feed(agent, FIRST, row(2, reward=5.0, discount=0.0))
    assert agent.values[0, 0, 0] == (3 + 5) / 2


def test_every_visit_counts_if_asked_for() -> None:
    agent = make("monte_carlo", gamma=0.5, first_visit=False)
    feed(agent, FIRST, row(0, reward=1.0), row(1, reward=2.0), row(2, reward=4.0, discount=0.0))
    assert agent.values[0, 0, 0] == (3 + 4) / 2


def test_a_decaying_step_size_averages_the_targets() -> None:
    agent = make("q_learning", lr=1.0, lr_decay=1.0)
    for reward in (3.0, 5.0, 10.0):
        feed(agent, FIRST, row(1, reward=reward, discount=0.0))
    assert agent.values[0, 0, 0] == 6.0


def test_dyna_spreads_a_reward_over_known_transitions() -> None:
    agent = make("dyna_q", lr=1.0, gamma=0.5, planning_steps=50)
    feed(agent, FIRST, row(1), row(2), row(3, reward=8.0, discount=0.0))
    assert agent.values[0, :3, 0].tolist() == [2.0, 4.0, 8.0]


def test_prioritized_sweeping_walks_back_from_a_reward_in_as_many_backups_as_there_are_states() -> None:
    agent = make("prioritized_sweeping", gamma=0.5, planning_steps=3)
    feed(agent, FIRST, row(1), row(2), row(3, reward=8.0, discount=0.0))
    assert agent.values[0, :3, 0].tolist() == [2.0, 4.0, 8.0]


def test_a_counted_model_draws_outcomes_in_proportion_and_survives_saving() -> None:
    model = CountedModel(3, 2)
    model.add(1, Outcome(2, 1.0, 1.0), 3)
    model.add(1, Outcome(0, 0.0, 0.0))
    rng = np.random.default_rng(0)
    drawn = [model.draw(rng)[1].after for _ in range(2000)]
    assert np.mean(np.array(drawn) == 2) == pytest.approx(0.75, abs=0.03)
    again = CountedModel(3, 2)
    again.load_state_dict(model.state_dict())
    assert again.counts == model.counts and again.before == model.before
    assert again.expected(1, np.array([5.0, 0.0, 2.0]), 0.5) == 0.75 * (1 + 0.5 * 2)


@st.composite
def problems(draw: Any) -> TableModel:
    """A random small problem in which every pair may end the episode."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    states, actions, branches = draw(st.integers(2, 5)), draw(st.integers(2, 3)), 3
    pairs = states * actions
    return TableModel(
        states,
        actions,
        np.repeat(np.arange(pairs), branches),
        rng.dirichlet(np.ones(branches), pairs).ravel(),
        rng.integers(states, size=pairs * branches),
        rng.normal(size=pairs * branches),
        (rng.random(pairs * branches) < 0.8).astype(float),
        np.full(states, 1 / states),
    )


def best_by_brute_force(model: TableModel, gamma: float) -> np.ndarray:
    """The best value of each state over all deterministic policies, each by a linear solve."""
    policies = np.stack(np.meshgrid(*[np.arange(model.actions)] * model.states, indexing="ij"), -1)
    return np.max([model.solve(policy, gamma) for policy in policies.reshape(-1, model.states)], 0)


class Known:
    def __init__(self, table: TableModel) -> None:
        self.table = table


@settings(max_examples=8, deadline=None)
@given(problems())
def test_both_planners_find_the_best_of_all_policies(model: TableModel) -> None:
    spec, best = tiny(model.states, model.actions, model=Known(model)), best_by_brute_force(model, 0.8)
    for name, fields in (
        ("value_iteration", {}),
        ("policy_iteration", {}),
        ("policy_iteration", {"evaluation_sweeps": 3}),
    ):
        agent = make(name, spec, gamma=0.8, **fields)
        feed(agent, FIRST, *[row(0)] * 100)
        assert agent.values[0].max(1) == pytest.approx(best, abs=1e-9), (name, fields)


@settings(max_examples=8, deadline=None)
@given(problems(), st.integers(1, 6))
def test_planning_with_the_clock_reaches_the_optimum_within_the_limit(model: TableModel, limit: int) -> None:
    spec = tiny(model.states, model.actions, max_episode_steps=limit, model=Known(model))
    best = np.zeros(model.states)
    for _ in range(limit):  # the slow oracle: one outcome after the other
        q = np.zeros((model.states, model.actions))
        for m in range(len(model.pair)):
            s, a = divmod(int(model.pair[m]), model.actions)
            q[s, a] += model.probability[m] * (model.reward[m] + model.discount[m] * best[model.next_state[m]])
        best = q.max(1)
    assert model.optimum(limit) == pytest.approx(float(best.mean()))
    for name in ("value_iteration", "policy_iteration"):
        agent = make(name, spec)
        feed(agent, FIRST, *[row(0)] * 20)
        policy = agent.values.argmax(2)
        assert model.expected_return(lambda t, policy=policy: policy[t], limit, timed=True) == pytest.approx(
            best.mean()
        )


def test_counted_models_and_learners_approach_the_values_of_the_model_that_was_played() -> None:
    counted, spec = CountedModel(3, 2), tiny(3)
    agents_ = [
        make("value_iteration", spec, gamma=0.6, model="counted", plan_every=10),
        make("prioritized_sweeping", spec, gamma=0.6),
        make("q_learning", spec, gamma=0.6, lr_decay=0.7, lr=1.0),
    ]
    state, rows, rng = 0, [FIRST], np.random.default_rng(0)
    for _ in range(1500):
        action, after = int(rng.integers(2)), int(rng.integers(3))
        reward, over = float(after == action), float(rng.random() < 0.2)
        counted.add(2 * state + action, Outcome(after, reward, 1.0 - over))
        rows.append(row(after, action, reward, 1.0 - over))
        state = after
        if over:
            state = int(rng.integers(3))
            rows.append(row(state, first=True))
    best = best_by_brute_force(counted.table(), 0.6)
    for agent, tolerance in zip(agents_, (1e-2, 1e-2, 0.15), strict=True):
        feed(agent, *rows)
        assert agent.values[0].max(1) == pytest.approx(best, abs=tolerance), agent.name


OPTIMA = {
    "FrozenLake-v1": 0.7442,
    "FrozenLake8x8-v1": 0.9132,
    "Taxi-v4": 7.93,
    "CliffWalking-v1": -13,
    "Blackjack-v1": -0.04656,
}


@pytest.mark.parametrize("env", OPTIMA)
def test_the_exact_optima_are_those_of_independent_dynamic_programming(env: str) -> None:
    spec = envs.spec(env, envs.EnvConfig(options={"sab": False} if "Black" in env else {}))
    assert spec.model.table.optimum(spec.max_episode_steps or 1000) == pytest.approx(OPTIMA[env], abs=5e-5)


def test_blackjacks_exact_model_is_what_is_played() -> None:
    spec = envs.spec("Blackjack-v1", envs.EnvConfig(options={"sab": False}))
    index, model = StateIndex(spec, "test"), spec.model.table
    env = gymnasium.make("Blackjack-v1", sab=False)
    total = np.bincount(model.pair, model.probability)
    assert total[total > 0] == pytest.approx(1.0)
    seen = CountedModel(model.states, model.actions)
    for seed in range(2500):
        obs, _ = env.reset(seed=seed)
        over = False
        while not over:
            s = int(index({str(k): np.array([[x]]) for k, x in enumerate(obs)})[0])
            action = int(obs[0] < 17)
            obs, reward, over, _, _ = env.step(action)
            seen.add(2 * s + action, Outcome(0, float(reward), 0.0 if over else 1.0))
    zero, checked = np.zeros(model.states), 0
    expected = model.backup(zero).ravel()
    for pair, found in seen.counts.items():
        n = sum(found.values())
        if n > 25:
            checked += 1
            assert seen.expected(pair, zero, 1.0) == pytest.approx(expected[pair], abs=4 / n**0.5)
    assert checked > 5


def test_states_are_numbered_by_mixed_radix_and_back() -> None:
    spec = envs.spec("Blackjack-v1")
    index = StateIndex(spec, "test")
    assert index({"0": np.array([[14]]), "1": np.array([[10]]), "2": np.array([[1]])}) == (14 * 11 + 10) * 2 + 1
    assert index(index.observations()).tolist() == list(range(32 * 11 * 2))
    multi = EnvSpec("M", {"obs": ObsLeaf((3,), "int64", "index", nvec=(2, 3, 4))}, ActionSpec("discrete", (2,)))
    assert StateIndex(multi, "test")({"obs": np.array([[1, 2, 3], [0, 1, 0]])}).tolist() == [23, 4]


@pytest.mark.parametrize(
    ("name", "spec", "words"),
    [
        ("q_learning", "CartPole-v1", "q_learning needs finitely many states .* is a vector of float32: try dqn"),
        ("sarsa", "vast", r"sarsa: Tiny has 1e\+40 states, its tables need about 1.6e\+32 GB \(1.6e\+41 bytes\)"),
        ("value_iteration", "tiny", "Tiny has no model to plan with.*: set model=counted, or use q_learning"),
        ("policy_iteration", "CliffWalking-v1", "set gamma below 1, or evaluation_sweeps to 1 or more"),
        ("q_learning", "box", "q_learning needs discrete actions, Tiny has box"),
    ],
)
def test_refusals_are_one_line(name: str, spec: str, words: str) -> None:
    made = {
        "tiny": tiny(),
        "vast": EnvSpec("Tiny", {"obs": ObsLeaf((40,), "int64", "index", nvec=(10,) * 40)}, tiny().action),
        "box": EnvSpec("Tiny", tiny().obs, ActionSpec("box", low=(0.0,), high=(1.0,))),
    }
    with pytest.raises(InputError, match=words) as error:
        make(name, made[spec] if spec in made else envs.spec(spec))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("q_learning", {"n_step": 3, "trace_lambda": 0.5}, "n_step=3 and trace_lambda=0.5: leave one of them out"),
        ("sarsa", {"lr_decay": 0.5, "trace_lambda": 0.5}, "lr_decay=0.5 needs trace_lambda=0"),
        ("td_lambda", {"trace_lambda": 0.0}, "td_lambda needs trace_lambda above 0"),
        ("q_learning", {"initial": float("inf")}, "initial must be finite"),
    ],
)
def test_fields_that_exclude_each_other_are_refused(name: str, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        agents.load(name).Config(**fields)


def test_a_changed_environment_has_no_exact_model() -> None:
    assert envs.spec("Blackjack-v1").model is None  # sab=True pays by the number of cards, which the state hides
    assert envs.spec("Taxi-v4", envs.EnvConfig(options={"fickle_passenger": True})).model is None
    assert envs.spec("CartPole-v1").model is None
    assert envs.spec("tests.agents.test_tabular:scaled").model is None


def scaled() -> gymnasium.Env[Any, Any]:
    return gymnasium.wrappers.TransformReward(gymnasium.make("FrozenLake-v1"), lambda r: 2 * r)


def test_several_environments_learn_one_after_the_other() -> None:
    agent = make("q_learning", num_envs=2, lr=0.5)
    two = {"obs": np.array([[0], [0]])}
    zeros, ones = np.zeros(2, np.float32), np.ones(2, np.float32)
    feed(
        agent,
        TimeStep(two, None, np.zeros(2, np.int64), zeros, zeros, np.ones(2, bool), np.zeros(2, bool), {}),
        TimeStep(two, None, np.zeros(2, np.int64), ones, zeros, np.zeros(2, bool), np.zeros(2, bool), {}),
    )
    assert agent.values[0, 0, 0] == 0.75  # half of the way, twice
