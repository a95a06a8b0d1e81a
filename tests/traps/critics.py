"""The traps of off-policy actor-critics: a claim about SAC or TD3, and the switch that puts the trap back."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import agents
import agents.sac
import agents.td3
import envs
from agents.critics import ActionBounds, CriticAgent
from agents.replay_agent import ReplayAgent
from agents.sac import SAC, SACConfig
from agents.td3 import TD3
from rl.distributions import Squashed
from rl.interface import ActionSpec, EnvSpec, ObsLeaf
from rl.loop import interact
from tests.agents.worlds import TABLE, TABLE_NET, row

Patch = pytest.MonkeyPatch
BOX = EnvSpec("Table-v0", TABLE.obs, ActionSpec("box", low=(-2.0,), high=(6.0,)))
BASE: dict[str, Any] = {"net": TABLE_NET, "gamma": 0.5, "learning_starts": 0, "batch_size": 2, "buffer_size": 64}


def made(kind: type[CriticAgent] = SAC, **fields: Any) -> Any:
    return kind(BOX, kind.Config(**BASE, **fields), num_envs=1, seed=0)


def batch_of(agent: Any) -> Any:
    start = row(0, first=True)._replace(action=np.zeros((1, 1), np.float32))
    after = row(1, reward=1.0)._replace(action=np.array([[4.0]], np.float32))
    for ts in (start, after):
        agent.observe(ts)
    return agent._batch(agent.replay.windows(np.array([0, 0])))


def an_entropy_below_its_target_raises_the_temperature() -> None:
    agent = made()
    before = agent.temperature.item()
    agent.learn_temperature(batch_of(agent), torch.tensor([-3.0, -2.0]))
    assert agent.temperature.item() > before


def temperature_of_the_wrong_sign(patch: Patch) -> None:
    right = SAC.learn_temperature
    patch.setattr(SAC, "learn_temperature", lambda self, batch, entropy: right(self, batch, -2.0 - entropy))


def the_target_is_the_lowest_critic() -> None:
    agent = made(TD3, target_noise=0.0)
    batch = batch_of(agent)
    with torch.no_grad():
        target = agent.targets["critics"].module
        for head, value in zip(target.heads, (3.0, 7.0), strict=True):
            head.weight.zero_()
            head.bias.fill_(value)
        for head in agent.network["critics"].heads:
            head.weight.zero_()
            head.bias.zero_()
    loss = agent.critic_loss(batch)[0]
    assert loss.tolist() == pytest.approx([(1 + 0.5 * 3) ** 2] * 2)


def target_of_the_mean(patch: Patch) -> None:
    patch.setattr(CriticAgent, "lowest", lambda self, values: values.mean(1))


def the_policy_step_sends_no_gradient_into_the_critics() -> None:
    for kind in (SAC, TD3):
        agent = made(kind)
        batch = batch_of(agent)
        agent.optimizers["critics"].grad.zero_()
        agent.learn_policy(batch)
        assert not agent.optimizers["critics"].grad.any()


def critics_are_not_frozen(patch: Patch) -> None:
    for module in (agents.sac, agents.td3):
        patch.setattr(module, "frozen", lambda critics: torch.enable_grad())


def actions_are_clipped_after_the_noise() -> None:
    agent = made(TD3, explore_noise=5.0)
    start = row(0, first=True)._replace(action=np.zeros((1, 1), np.float32))
    drawn = np.array([agent.act(start)[0, 0] for _ in range(50)])
    assert drawn.min() >= -2.0 and drawn.max() <= 6.0
    batch = batch_of(made(TD3))
    noisy = made(TD3, target_noise=50.0, target_noise_clip=9.0)
    found = torch.cat([noisy.next_policy(batch)[0] for _ in range(20)])
    assert found.abs().max() <= 1.0


def noise_after_the_clip(patch: Patch) -> None:
    patch.setattr(Tensor, "clamp", lambda self, *args, **kwargs: self)


def the_log_probability_counts_the_tanh() -> None:
    agent = made()
    dist = agent.network["policy"]({"obs": torch.zeros(4000, 1, dtype=torch.int64)})
    grid = torch.linspace(-8, 8, 4000)[:, None]  # the density of the action integrates to 1
    density = dist.log_prob(grid).exp()
    assert torch.trapezoid(density, dist.action(grid).squeeze(1)).item() == pytest.approx(1.0, abs=1e-3)


def log_probability_without_the_tanh(patch: Patch) -> None:
    patch.setattr(Squashed, "log_prob", lambda self, raw: self.base.log_prob(raw))


def critics_see_actions_in_the_unit_box() -> None:
    batch = batch_of(made())
    assert batch.action.tolist() == [[0.5], [0.5]]  # 4 between -2 and 6
    bounds = ActionBounds(BOX.action, "x", torch.device("cpu"))
    agent = made()
    start = row(0, first=True)._replace(action=np.zeros((1, 1), np.float32))
    greedy = torch.from_numpy(agent.actor(1, 0).act(start))
    mean = agent.network["policy"]({"obs": torch.zeros(1, 1, dtype=torch.int64)}).base.mean
    assert torch.allclose(bounds.inside(greedy), mean.tanh(), atol=1e-5)


def actions_scaled_twice(patch: Patch) -> None:
    once = ActionBounds.outside
    patch.setattr(ActionBounds, "outside", lambda self, unit: once(self, once(self, unit)))


def actions_never_scaled_back(patch: Patch) -> None:
    patch.setattr(ActionBounds, "inside", lambda self, action: action)


def a_time_limit_bootstraps() -> None:
    """One state that pays 1 for ever, cut every 10 steps: V = 1 / (1 - gamma) = 2."""
    config = SACConfig(**{**BASE, "batch_size": 32, "buffer_size": 400}, temperature=1e-6, lr=0.02, target_tau=0.3)
    world = envs.make("Probe/Constant-v0", num_envs=1, seed=0)
    agent = agents.build(config, world.spec, num_envs=1, seed=0)
    for _ in interact(world, agent, 300):
        pass
    world.close()
    with torch.no_grad():
        assert agent.network["critics"]({"obs": torch.zeros(1, 1)}).mean(1).max().item() == pytest.approx(2.0, abs=0.1)


def a_resume_continues_the_temperature() -> None:
    agent, again = made(), made()
    batch_of(agent)
    batch_of(again)
    for _ in range(3):
        agent.learn(agent.replay.windows(np.array([0, 0])))
    again.load_agent_state(copy.deepcopy(agent.agent_state()))
    again.load_learner_state(copy.deepcopy(agent.learner_state()))
    for one in (agent, again):
        one.learn(one.replay.windows(np.array([0, 0])))
    assert again.temperature.item() == agent.temperature.item()
    assert math.isfinite(agent.temperature.item())


def a_reload_forgets_the_temperature(patch: Patch) -> None:
    right = CriticAgent.load_learner_state

    def forget(self: Any, state: Any) -> None:
        right(self, {**state, "optimizer": {**state["optimizer"], "temperature": {}}})

    patch.setattr(CriticAgent, "load_learner_state", forget)


def old_rows_are_standardised_by_the_present_moments() -> None:
    """Acting, the loss, its target and the saved policy read one observation as the same numbers."""
    spec = EnvSpec("Vector-v0", {"obs": ObsLeaf((1,), "float32", "vector")}, BOX.action)
    agent: Any = SAC(spec, SACConfig(**{**BASE, "normalize_obs": True}), num_envs=1, seed=0)
    values = [0.0, 2.0, 100.0, 102.0]
    rows = [row(0, first=not i)._replace(obs={"obs": np.array([[x]], np.float32)}) for i, x in enumerate(values)]
    for ts in rows:
        agent.observe(ts._replace(action=np.zeros((1, 1), np.float32)))
    wanted = [[(x - np.mean(values)) / np.std(values)] for x in values]
    batch = agent._batch(agent.replay.windows(np.arange(3)))
    assert batch.obs["obs"].tolist() == [pytest.approx(x, abs=1e-5) for x in wanted[:3]]
    assert batch.next_obs["obs"].tolist() == [pytest.approx(x, abs=1e-5) for x in wanted[1:]]
    again: Any = SAC(spec, agent.config, num_envs=1, seed=1)
    again.load_agent_state(copy.deepcopy(agent.agent_state()))
    read = list[Any]()
    for one in (agent, again):
        one.network["policy"].register_forward_pre_hook(lambda _, args: read.append(args[0]["obs"].tolist()))
        actor = one.actor(1, 0)
        for ts in rows:
            actor.act(ts)
    assert read == [[pytest.approx(x, abs=1e-5)] for x in wanted * 2]


def rows_are_stored_standardised(patch: Patch) -> None:
    observe, batch = ReplayAgent.observe, ReplayAgent._batch

    def stale(self: Any, ts: Any) -> None:
        moments = self.network["normaliser"]
        moments.update({k: torch.from_numpy(v) for k, v in ts.obs.items()})
        self.__dict__["normalisers"] = []
        observe(self, ts._replace(obs={k: v.numpy() for k, v in moments({"obs": torch.tensor(ts.obs["obs"])}).items()}))

    def unchanged(self: Any, windows: Any) -> Any:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(type(self), "normalised", lambda self, obs: obs)
            return batch(self, windows)

    patch.setattr(ReplayAgent, "observe", stale)
    patch.setattr(ReplayAgent, "_batch", unchanged)


def acting_reads_raw_observations(patch: Patch) -> None:
    decide = SAC.decide
    patch.setattr(SAC, "decide", lambda self, actor, obs, mask: decide(self, actor, {"obs": obs["obs"] + 1.0}, mask))


def a_saved_policy_forgets_the_moments(patch: Patch) -> None:
    right = SAC.agent_state

    def forget(self: Any) -> Any:
        state = right(self)
        fresh = {k: torch.zeros_like(v) if "normaliser" in k else v for k, v in state["network"].items()}
        return {**state, "network": fresh}

    patch.setattr(SAC, "agent_state", forget)


TRAPS: dict[str, tuple[Callable[[], None], Callable[[Patch], None]]] = {
    "temperature sign": (an_entropy_below_its_target_raises_the_temperature, temperature_of_the_wrong_sign),
    "target of the mean": (the_target_is_the_lowest_critic, target_of_the_mean),
    "policy gradient in the critics": (
        the_policy_step_sends_no_gradient_into_the_critics,
        critics_are_not_frozen,
    ),
    "noise after the clip": (actions_are_clipped_after_the_noise, noise_after_the_clip),
    "log-probability without tanh": (the_log_probability_counts_the_tanh, log_probability_without_the_tanh),
    "actions scaled twice": (critics_see_actions_in_the_unit_box, actions_scaled_twice),
    "actions never scaled back": (critics_see_actions_in_the_unit_box, actions_never_scaled_back),
    "stale normaliser in the replay": (old_rows_are_standardised_by_the_present_moments, rows_are_stored_standardised),
    "stale normaliser in acting": (old_rows_are_standardised_by_the_present_moments, acting_reads_raw_observations),
    "stale normaliser in a saved policy": (
        old_rows_are_standardised_by_the_present_moments,
        a_saved_policy_forgets_the_moments,
    ),
    "temperature after a reload": (a_resume_continues_the_temperature, a_reload_forgets_the_temperature),
}
