"""The quantile regression of QR-DQN and IQN by hand, and identities between the siblings."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from agents.dqn import DQN, DQNConfig
from agents.iqn import IQN, IQNConfig
from agents.qrdqn import QRDQN, QRDQNConfig
from agents.value import ValueAgent
from rl.errors import InputError
from rl.interface import EnvSpec
from rl.losses import huber, midpoints, quantile_huber
from tests.agents.worlds import ACTIONS, MASKED_TABLE, STATES, TABLE, TABLE_NET, row

BASE: dict[str, Any] = {"net": TABLE_NET, "gamma": 0.5, "learning_starts": 0, "batch_size": 2, "buffer_size": 64}
ONLINE = [[1.0, 2.0, 3.0], [4.0, 6.0, 5.0], [0.5, 0.25, 0.75], [9.0, 8.0, 7.0]]
TARGET = [[0.0, 0.1, 0.2], [10.0, 20.0, 30.0], [1.0, 2.0, 3.0], [5.0, 4.0, 3.0]]


def qrdqn(spec: EnvSpec = TABLE, **fields: Any) -> QRDQN:
    agent = QRDQN(spec, QRDQNConfig(**{**BASE, "quantiles": 2, **fields}), num_envs=1, seed=0)
    if not {"dueling", "noisy"} & fields.keys():
        set_quantiles(agent.network, spread(ONLINE, agent.outputs))
        set_quantiles(agent.target, spread(TARGET, agent.outputs))
    return agent


def iqn(spec: EnvSpec = TABLE, **fields: Any) -> IQN:
    return IQN(spec, IQNConfig(**{**BASE, **fields}), num_envs=1, seed=0)


def spread(values: list[list[float]], count: int) -> torch.Tensor:
    """Quantiles [S, A, count], one apart around `values`."""
    return torch.tensor(values).unsqueeze(-1) + torch.arange(count) - (count - 1) / 2


def set_quantiles(network: Any, quantiles: torch.Tensor) -> None:
    with torch.no_grad():
        network.head.advantage.weight.copy_(quantiles.reshape(STATES, -1).T)
        network.head.advantage.bias.zero_()


def play(agent: ValueAgent, *rows: Any) -> Any:
    for ts in rows:
        agent.observe(ts)
    return agent._batch(agent.replay.windows(np.array([0]), agent.config.n_step))


def by_hand(quantiles: list[float], targets: list[float], taus: list[float]) -> float:
    total = 0.0
    for tau, z in zip(taus, quantiles, strict=True):
        parts = []
        for t in targets:
            u = t - z
            h = 0.5 * u * u if abs(u) <= 1 else abs(u) - 0.5
            parts.append(abs(tau - (u < 0)) * h)
        total += sum(parts) / len(parts)
    return total


def loss(agent: ValueAgent, batch: Any) -> float:
    return agent.loss(batch).loss.item()


def test_quantile_huber_sums_over_quantiles_and_averages_over_targets() -> None:
    z, t, taus = [0.0, 2.0], [0.5, -3.0, 2.5], [0.25, 0.75]
    out = quantile_huber(torch.tensor([z]), torch.tensor(taus), torch.tensor([t]))
    assert out.tolist() == pytest.approx([by_hand(z, t, taus)])


def test_kappa_is_where_the_loss_becomes_linear() -> None:
    one, taus = torch.tensor([[0.0]]), torch.tensor([0.5])
    # .5 * (kappa (|u| - kappa / 2)) / kappa
    assert quantile_huber(one, taus, torch.tensor([[3.0]]), 2.0).item() == pytest.approx(0.5 * (3 - 1))
    assert quantile_huber(one, taus, torch.tensor([[1.0]]), 2.0).item() == pytest.approx(0.5 * 0.5 / 2)


@pytest.mark.parametrize("name", ["qrdqn", "iqn"])
def test_kappa_reaches_the_loss(name: str) -> None:
    losses = []
    for kappa in (100.0, 50.0):  # both above every error, where the loss is quadratic and divided by kappa
        agent = {"qrdqn": qrdqn, "iqn": iqn}[name](kappa=kappa)
        losses.append(loss(agent, play(agent, row(0, first=True), row(1, action=2, reward=1.0))))
    assert losses[1] == pytest.approx(2 * losses[0])


def test_one_quantile_is_half_of_huber_regression_and_of_dqn() -> None:
    u = torch.linspace(-3, 3, 13).unsqueeze(1)
    zero = torch.zeros_like(u)
    assert torch.allclose(quantile_huber(zero, midpoints(1), u), 0.5 * huber(u.squeeze(1)))
    one, dqn = qrdqn(quantiles=1), DQN(TABLE, DQNConfig(**BASE), num_envs=1, seed=0)
    set_quantiles(dqn.network, torch.tensor(ONLINE))
    set_quantiles(dqn.target, torch.tensor(TARGET))
    rows = row(0, first=True), row(1, action=2, reward=1.0)
    assert loss(one, play(one, *rows)) == pytest.approx(0.5 * loss(dqn, play(dqn, *rows)))


def test_minimising_the_loss_finds_the_quantiles_of_a_distribution() -> None:
    g = torch.Generator().manual_seed(0)
    sample = torch.randn(1, 4001, generator=g)
    z = torch.zeros(1, 4, requires_grad=True)
    optimizer = torch.optim.Adam([z], lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        quantile_huber(z, midpoints(4), sample, kappa=1e-3).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert torch.allclose(z[0].detach(), sample[0].quantile(midpoints(4)), atol=0.06)


def test_target_by_hand() -> None:
    agent = qrdqn()
    batch = play(agent, row(0, first=True), row(1, action=2, reward=1.0))
    # Z(0,2) = 2.5, 3.5; target 1 + .5 * (29.5, 30.5)
    assert loss(agent, batch) == pytest.approx(by_hand([2.5, 3.5], [15.75, 16.25], [0.25, 0.75]))


def test_double_mask_and_n_step_by_hand() -> None:
    agent = qrdqn(double=True)
    batch = play(agent, row(0, first=True), row(1, action=2, reward=1.0))
    assert loss(agent, batch) == pytest.approx(by_hand([2.5, 3.5], [10.75, 11.25], [0.25, 0.75]))  # online: action 1
    agent = qrdqn(MASKED_TABLE)
    every, only = [[True] * 3], [[True, False, False]]
    batch = play(agent, row(0, first=True, mask=every), row(1, action=2, reward=1.0, mask=only))
    assert loss(agent, batch) == pytest.approx(by_hand([2.5, 3.5], [5.75, 6.25], [0.25, 0.75]))
    agent = qrdqn(n_step=2)
    batch = play(agent, row(0, first=True), row(1, action=2, reward=1.0), row(2, reward=2.0))
    assert loss(agent, batch) == pytest.approx(by_hand([2.5, 3.5], [2.625, 2.875], [0.25, 0.75]))  # 2 + .25 * 2.5, 3.5


@pytest.mark.parametrize("make", [qrdqn, iqn])
def test_termination_silences_the_bootstrap_nan_included(make: Any) -> None:  # T1, T23
    agent = make(gamma=1.0)
    with torch.no_grad():
        agent.target.head.advantage.weight.fill_(float("nan"))
    batch = play(agent, row(0, first=True), row(1, action=2, reward=1.0, discount=0.0, last=True))
    assert math.isfinite(loss(agent, batch))


def test_munchausen_averages_quantiles_under_the_policy_and_adds_entropy() -> None:
    tau, alpha = 2.0, 0.5
    agent = qrdqn(munchausen=True, munchausen_tau=tau, munchausen_alpha=alpha)
    batch = play(agent, row(0, first=True), row(1, action=2, reward=1.0))
    now, after = np.array(TARGET[0]), np.array(TARGET[1])
    bonus = alpha * max(now[2] - tau * math.log(np.exp(now / tau).sum()), -1.0)
    policy = np.exp(after / tau) / np.exp(after / tau).sum()
    entropy = -(policy * np.log(policy)).sum()
    middle = (policy * after).sum() + tau * entropy
    targets = [1 + bonus + 0.5 * (middle + side) for side in (-0.5, 0.5)]
    assert loss(agent, batch) == pytest.approx(by_hand([2.5, 3.5], targets, [0.25, 0.75]), rel=1e-5)
    assert middle == pytest.approx(tau * math.log(np.exp(after / tau).sum()))  # DQN's soft value


def test_dueling_centres_each_quantile() -> None:
    agent = qrdqn(dueling=True)
    head: Any = agent.network.head
    with torch.no_grad():
        for p in head.parameters():
            p.zero_()
        head.value.bias.copy_(torch.tensor([10.0, 20.0]))
        head.advantage.bias.copy_(torch.tensor([3.0, 0, 0, 0, 0, 6.0]))
    out = agent.network({"obs": torch.tensor([[0]])})
    assert out.quantiles[0].tolist() == [[12.0, 18.0], [9.0, 18.0], [9.0, 24.0]]
    assert out.q_values[0].tolist() == [15.0, 13.5, 16.5]


def test_priorities_are_the_loss() -> None:
    agent = qrdqn(prioritized=True, priority_exponent=0.5)
    batch = play(agent, row(0, first=True), row(1, action=2, reward=1.0))
    before = loss(agent, batch)
    agent.learn(agent.replay.windows(np.array([0, 0])))
    leaf = agent.replay._tree.get(np.array([0]))  # type: ignore[union-attr]
    assert leaf[0] == pytest.approx((before + 1e-6) ** 0.5, rel=1e-5)


# IQN


def test_iqn_at_fixed_fractions_is_qrdqn() -> None:
    count = 5
    implicit = iqn(taus=count, next_taus=count, act_taus=count)
    explicit = qrdqn(quantiles=count)
    for ours, theirs in ((implicit.network, explicit.network), (implicit.target, explicit.target)):
        with torch.no_grad():
            for p in ours.parameters():
                p.copy_(torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
            table = ours({"obs": torch.arange(STATES).unsqueeze(1)}).quantiles
        set_quantiles(theirs, table)
    implicit.draw_taus = lambda size, n: midpoints(n).expand(size, n)  # type: ignore[method-assign]
    rows = row(0, first=True), row(1, action=2, reward=1.0), row(2, action=1, reward=-1.0)
    assert loss(implicit, play(implicit, *rows)) == pytest.approx(loss(explicit, play(explicit, *rows)), rel=1e-5)


def test_iqn_asks_as_many_quantiles_as_its_fields_say() -> None:
    agent = iqn(taus=3, next_taus=4, act_taus=6)
    asked = []
    original = agent.draw_taus
    agent.draw_taus = lambda size, n: (asked.append((size, n)), original(size, n))[1]  # type: ignore
    agent.loss(play(agent, row(0, first=True), row(1, action=2)))
    assert asked == [(1, 3), (1, 4)]
    out = agent.network({"obs": torch.tensor([[0], [1]])})
    assert out.quantiles.shape == (2, ACTIONS, 6) and torch.allclose(out.quantiles.mean(-1), out.q_values)
    out = agent.network({"obs": torch.tensor([[0], [1]])}, torch.rand(2, 9))
    assert out.quantiles.shape == (2, ACTIONS, 9) and out.taus.shape == (2, 9)


def test_iqn_draws_fractions_from_its_own_saved_generator() -> None:
    agent = iqn()
    batch = play(agent, row(0, first=True), row(1, action=2))
    state = torch.random.get_rng_state()
    saved = agent.learner_state()["taus"]
    first, second = loss(agent, batch), loss(agent, batch)
    assert first != second and torch.equal(state, torch.random.get_rng_state())
    agent._taus.set_state(saved)
    assert loss(agent, batch) == first
    before = agent._taus.get_state()
    agent.act(row(0, first=True))
    agent.actor(1, 3).act(row(0, first=True))
    assert torch.equal(before, agent._taus.get_state())  # acting draws nothing


def test_iqn_double_chooses_with_the_online_network() -> None:
    """The embedding switched off, an IQN is a table."""
    losses = []
    for double in (False, True):
        agent = iqn(double=double)
        for network, table in ((agent.network, ONLINE), (agent.target, TARGET)):
            with torch.no_grad():
                network.embedding.embed.weight.zero_()
                network.embedding.embed.bias.fill_(1.0)
            set_quantiles(network, torch.tensor(table))
        agent.draw_taus = lambda size, n: midpoints(n).expand(size, n)  # type: ignore[method-assign]
        losses.append(loss(agent, play(agent, row(0, first=True), row(1, action=2, reward=1.0))))
    taus = midpoints(32).tolist()
    assert losses[0] == pytest.approx(by_hand([3.0] * 32, [16.0], taus), rel=1e-5)
    assert losses[1] == pytest.approx(by_hand([3.0] * 32, [11.0], taus), rel=1e-5)


@pytest.mark.parametrize(
    ("config", "fields", "message"),
    [
        (QRDQNConfig, {"quantiles": 0}, "quantiles must be at least 1, got 0"),
        (QRDQNConfig, {"kappa": 0.0}, "kappa must be above 0"),
        (IQNConfig, {"taus": 0}, "taus must be at least 1, got 0"),
        (IQNConfig, {"kappa": -1.0}, "kappa must be above 0"),
        (IQNConfig, {"head_hidden": 0}, "head_hidden must be at least 1 or none, got 0"),
    ],
)
def test_bad_fields_are_refused(config: Any, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        config(**fields)
