"""C51's projection and loss by hand, and identities with cross-entropy and DQN."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from agents.c51 import C51, C51Config
from rl.errors import InputError
from rl.interface import EnvSpec
from rl.losses import project, spread
from tests.agents.worlds import ACTIONS, MASKED_TABLE, STATES, TABLE, TABLE_NET, row

ATOMS = 5  # at -2, -1, 0, 1, 2
SUPPORT = torch.linspace(-2.0, 2.0, ATOMS)


def make(spec: EnvSpec = TABLE, **fields: Any) -> C51:
    base = {"net": TABLE_NET, "gamma": 0.5, "learning_starts": 0, "batch_size": 2, "buffer_size": 64}
    config = C51Config(**{**base, "atoms": ATOMS, "v_min": -2.0, "v_max": 2.0, **fields})
    return C51(spec, config, num_envs=1, seed=0)


def set_atoms(network: Any, atoms: list[list[int]]) -> None:
    """Makes the network all but certain of the atom `atoms[state][action]`."""
    chosen = F.one_hot(torch.tensor(atoms), ATOMS).float() * 50  # [S, A, Z]
    with torch.no_grad():
        network.head.advantage.weight.copy_(chosen.reshape(STATES, -1).T)
        network.head.advantage.bias.zero_()


def play(agent: C51, *rows: Any) -> Any:
    for ts in rows:
        agent.observe(ts)
    return agent._batch(agent.replay.windows(np.array([0]), agent.config.n_step))


def target(agent: C51, batch: Any) -> list[float]:
    with torch.no_grad():
        return agent._target(batch)[0].tolist()  # type: ignore[no-any-return]


def test_an_atom_between_two_is_shared_by_nearness() -> None:
    atoms = torch.tensor([[-9.0, -1.75, 0.25, 2.0, 9.0]])
    mass = torch.tensor([[0.1, 0.2, 0.3, 0.15, 0.25]])
    # -9 -> -2;  -1.75 -> 3/4 to -2, 1/4 to -1;  .25 -> 3/4 to 0, 1/4 to 1;  2 and 9 -> 2
    assert project(SUPPORT, atoms, mass)[0].tolist() == pytest.approx([0.25, 0.05, 0.225, 0.075, 0.4])


def test_projection_keeps_mass_and_inside_the_support_the_mean() -> None:
    g = torch.Generator().manual_seed(0)
    mass = torch.rand(64, ATOMS, generator=g).softmax(-1)
    atoms = torch.rand(64, ATOMS, generator=g) * 4 - 2
    out = project(SUPPORT, atoms, mass)
    assert torch.allclose(out.sum(-1), torch.ones(64)) and (out >= 0).all()
    assert torch.allclose(out @ SUPPORT, (mass * atoms).sum(-1), atol=1e-6)
    assert torch.allclose(project(SUPPORT, SUPPORT.expand(64, -1), mass), mass, atol=1e-6)


def test_target_is_the_greedy_distribution_shrunk_and_moved() -> None:
    agent = make()
    set_atoms(agent.target, [[2, 2, 2], [0, 3, 4], [2, 2, 2], [2, 2, 2]])
    batch = play(agent, row(0, first=True), row(1, action=2, reward=0.5))
    # greedy in state 1 is action 2, atom 2: .5 + .5 * 2 = 1.5, half to 1 and half to 2
    assert target(agent, batch) == pytest.approx([0, 0, 0, 0.5, 0.5], abs=1e-6)


def test_double_chooses_with_the_online_network() -> None:
    agent = make(double=True)
    set_atoms(agent.target, [[2, 2, 2], [0, 3, 4], [2, 2, 2], [2, 2, 2]])
    set_atoms(agent.network, [[2, 2, 2], [4, 1, 1], [2, 2, 2], [2, 2, 2]])
    batch = play(agent, row(0, first=True), row(1, action=2, reward=0.0))
    assert target(agent, batch) == pytest.approx([0, 1, 0, 0, 0], abs=1e-6)  # action 0, atom -2: 0 + .5 * -2


def test_the_mask_keeps_forbidden_actions_out() -> None:
    agent = make(MASKED_TABLE)
    set_atoms(agent.target, [[2, 2, 2], [0, 3, 4], [2, 2, 2], [2, 2, 2]])
    batch = play(
        agent,
        row(0, first=True, mask=[[True] * 3]),
        row(1, action=2, reward=0.0, mask=[[True, False, False]]),
    )
    assert target(agent, batch) == pytest.approx([0, 1, 0, 0, 0], abs=1e-6)


def test_termination_leaves_the_reward_alone_whatever_the_network_says() -> None:  # T1, T23
    agent = make()
    with torch.no_grad():
        agent.target.head.advantage.weight.fill_(float("nan"))  # type: ignore[union-attr]
    batch = play(agent, row(0, first=True), row(1, action=2, reward=1.0, discount=0.0, last=True))
    assert target(agent, batch) == pytest.approx([0, 0, 0, 1, 0], abs=1e-6)


def test_truncation_bootstraps() -> None:  # T2
    agent = make(n_step=3)
    set_atoms(agent.target, [[2, 2, 2], [4, 4, 4], [2, 2, 2], [2, 2, 2]])
    batch = play(agent, row(0, first=True), row(1, action=2, reward=1.0, last=True), row(3, first=True))
    assert target(agent, batch) == pytest.approx([0, 0, 0, 0, 1], abs=1e-6)  # 1 + .5 * 2


def test_n_step_moves_by_the_return_and_shrinks_by_its_discount() -> None:
    agent = make(n_step=2)
    set_atoms(agent.target, [[2, 2, 2], [2, 2, 2], [2, 2, 2], [4, 4, 4]])
    batch = play(agent, row(0, first=True), row(1, action=2, reward=1.0), row(3, action=0, reward=-1.0))
    assert target(agent, batch) == pytest.approx([0, 0, 0, 1, 0], abs=1e-6)  # 1 - .5 + .25 * 2


def test_loss_against_a_one_hot_target_is_cross_entropy() -> None:
    agent = make(net=TABLE_NET)
    batch = play(agent, row(0, first=True), row(1, action=2, reward=1.0, discount=0.0, last=True))
    logits = agent.network(batch.obs).logits[:, 2]
    out = agent.loss(batch)
    assert out.loss.item() == pytest.approx(F.cross_entropy(logits, torch.tensor([3])).item(), rel=1e-6)
    assert out.priority.item() == pytest.approx(out.loss.item(), rel=1e-6)  # a certain target has no entropy


def test_priority_is_the_divergence_zero_where_nothing_is_left_to_learn() -> None:
    agent = make(gamma=1.0)
    batch = play(agent, row(0, first=True), row(0, action=1, reward=0.0))
    with torch.no_grad():
        for network in (agent.network, agent.target):  # every state and action the same spread distribution
            network.head.advantage.weight.zero_()  # type: ignore[union-attr]
            network.head.advantage.bias.copy_(torch.arange(ATOMS).float().repeat(ACTIONS))  # type: ignore[union-attr]
    out = agent.loss(batch)
    assert out.loss.item() > 0.9 and out.priority.item() == pytest.approx(0.0, abs=1e-6)


def test_munchausen_moves_the_mixture_by_bonus_and_entropy() -> None:
    tau, alpha = 1.0, 0.5
    agent = make(munchausen=True, munchausen_tau=tau, munchausen_alpha=alpha, v_min=-8.0, v_max=8.0, atoms=ATOMS)
    atoms = [[2, 2, 3], [2, 3, 2], [2, 2, 2], [2, 2, 2]]  # at -8, -4, 0, 4, 8
    set_atoms(agent.target, atoms)
    batch = play(agent, row(0, first=True), row(1, action=2, reward=1.0))
    now, after = np.array([0.0, 0.0, 4.0]), np.array([0.0, 4.0, 0.0])
    bonus = alpha * max(tau * (now[2] - math.log(np.exp(now).sum())), -1.0)
    mean = sum(v * z for v, z in zip(target(agent, batch), [-8, -4, 0, 4, 8], strict=True))
    # the mean is the soft value of Munchausen DQN: tau logsumexp(q / tau)
    assert mean == pytest.approx(1 + bonus + 0.5 * tau * math.log(np.exp(after / tau).sum()), rel=1e-5)
    plain = make(v_min=-8.0, v_max=8.0)
    set_atoms(plain.target, atoms)
    batch = play(plain, row(0, first=True), row(1, action=2, reward=1.0))
    mean = sum(v * z for v, z in zip(target(plain, batch), [-8, -4, 0, 4, 8], strict=True))
    assert mean == pytest.approx(1 + 0.5 * 4)


def test_values_are_means_and_dueling_centres_each_atom() -> None:
    agent = make(dueling=True)
    head = agent.network.head
    with torch.no_grad():
        for p in head.parameters():
            p.zero_()
        head.value.bias.copy_(torch.tensor([0.0, 0.0, 0.0, 0.0, 3.0]))  # type: ignore[union-attr]
        head.advantage.bias[0] = 3.0  # type: ignore[union-attr, index]
    out = agent.network({"obs": torch.tensor([[0]])})
    assert out.logits[0].tolist() == [[2.0, 0, 0, 0, 3.0], [-1.0, 0, 0, 0, 3.0], [-1.0, 0, 0, 0, 3.0]]
    assert torch.allclose(out.q_values[0], out.logits[0].softmax(-1) @ SUPPORT)


def test_priorities_follow_the_divergence() -> None:
    agent = make(prioritized=True, priority_exponent=0.5)
    batch = play(agent, row(0, first=True), row(1, action=2, reward=1.0))
    divergence = agent.loss(batch).priority.item()
    agent.learn(agent.replay.windows(np.array([0, 0])))
    leaf = agent.replay._tree.get(np.array([0]))  # type: ignore[union-attr]
    assert leaf[0] == pytest.approx((divergence + 1e-6) ** 0.5, rel=1e-4)


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"atoms": 1}, "atoms must be at least 2, got 1"), ({"v_min": 3.0, "v_max": 1.0}, "v_min must be below v_max")],
)
def test_bad_fields_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        C51Config(**fields)


@pytest.mark.parametrize("initial", [None, 1.0])
def test_an_untrained_network_expects_the_initial_return_and_bootstraps_from_it(initial: float | None) -> None:
    mean = 0.0  # an even distribution's
    if initial is not None:  # 20 nats down to -2, the atom farthest from 1
        mass = [math.exp(-20 * abs(atom - initial) / 3) for atom in SUPPORT.tolist()]
        mean = float(np.dot(mass, SUPPORT.tolist()) / sum(mass))
        assert mean == pytest.approx(1.0, abs=1e-4)
    agent = make(initial=initial)
    for network in (agent.network, agent.target):
        set_atoms(network, [[0] * ACTIONS] * STATES)
        with torch.no_grad():
            network.head.advantage.weight.zero_()
    q = agent.network({"obs": torch.arange(STATES)}).q_values
    assert torch.allclose(q, torch.full_like(q, mean), atol=1e-5)
    batch = play(agent, row(0, first=True), row(1, action=1, reward=0.0))
    assert np.dot(target(agent, batch), SUPPORT.tolist()) == pytest.approx(mean / 2, abs=1e-5), "gamma is a half"


@pytest.mark.parametrize("initial", [-2.1, 3.0])
def test_an_initial_return_outside_of_the_support_is_refused(initial: float) -> None:
    with pytest.raises(InputError, match="initial must lie between v_min and v_max"):
        C51Config(v_min=-2.0, v_max=2.0, initial=initial)


def test_spreading_is_the_scatter_without_one() -> None:
    """What a GPU does, held to what a CPU does; atoms far beyond both ends, on atoms and between them."""
    support, generator = torch.linspace(-10.0, 40.0, 51), torch.Generator().manual_seed(2)
    atoms = 40 * torch.randn(64, 1, generator=generator) + 0.97 * support
    atoms[0] = support
    atoms[1] = 7.25
    probabilities = torch.rand(64, 51, generator=generator).softmax(-1)
    place = (atoms.clamp(-10.0, 40.0) + 10.0) * (50 / 50.0)
    assert torch.allclose(spread(place, probabilities), project(support, atoms, probabilities), atol=1e-6)
