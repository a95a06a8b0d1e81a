"""Each trap put back in: a function that patches the suite so that it makes the mistake again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import agents.dqn
import agents.policy
import envs.stream
import rl.replay
from agents.base import Agent
from agents.policy import PolicyAgent
from agents.value import ValueAgent
from envs.stream import Stream
from rl import returns
from rl.interface import TimeStep
from rl.networks.cores import Core
from rl.networks.encoders import Planes
from rl.normalise import ObservationNormaliser
from rl.replay import Replay
from rl.sumtree import SumTree
from runs.training.episodes import EpisodeRecord

Patch = pytest.MonkeyPatch


def _rows(patch: Patch, change: Callable[[TimeStep], TimeStep]) -> None:
    """Changes every row of every stream."""
    step = Stream.step
    patch.setattr(Stream, "step", lambda self, action: change(step(self, action)))


def death_at_time_limits(patch: Patch) -> None:
    _rows(patch, lambda ts: ts._replace(discount=np.where(ts.last, np.float32(0), ts.discount)))


def time_limits_win_over_death(patch: Patch) -> None:
    _rows(patch, lambda ts: ts._replace(discount=np.where(ts.last, np.float32(1), ts.discount)))


def reset_rows_as_transitions(patch: Patch) -> None:
    _rows(patch, lambda ts: ts._replace(first=np.zeros_like(ts.first)))


def reset_observation_for_the_final_one(patch: Patch) -> None:
    def change(ts: TimeStep) -> TimeStep:
        obs = ts.obs["obs"].copy()
        obs[ts.last, 0] += 1
        return ts._replace(obs={"obs": obs})

    _rows(patch, change)


def one_array_replay(patch: Patch) -> None:
    windows = Replay.windows

    def without_final(self: Replay, index: np.ndarray, n: int = 1) -> Any:
        w = windows(self, index, n)
        env, after = index % self.num_envs, np.minimum(index // self.num_envs + w.length + 1, self.count - 1)
        lost = self._first[after % self.slots, env]
        obs = self._read_obs(after, env)
        kept = {k: np.where(lost.reshape(-1, *[1] * (v.ndim - 1)), obs[k], v) for k, v in w.next_obs.items()}
        return w._replace(next_obs=kept)

    patch.setattr(Replay, "windows", without_final)


def head_is_crossed(patch: Patch) -> None:
    patch.setattr(
        Replay,
        "eligible",
        lambda self, index: ~self._first[(index // self.num_envs + 1) % self.slots, index % self.num_envs],
    )


def wrong_power_of_gamma(patch: Patch) -> None:
    right = returns.n_step

    def wrong(reward: Any, discount: Any, length: Any, gamma: float) -> Any:
        return right(reward, discount, length, gamma)[0], np.full(len(length), gamma ** len(reward), np.float32)

    patch.setattr(returns, "n_step", wrong)


def stack_across_episodes(patch: Patch) -> None:
    right = rl.replay.stack_times
    patch.setattr(
        rl.replay, "stack_times", lambda t, is_first, stack, oldest=0: right(t, lambda x: x < 0, stack, oldest)
    )


def stale_priorities_are_written(patch: Patch) -> None:
    patch.setattr(Replay, "set_priorities", lambda self, index, priority: self._tree.set(self._leaf(index), priority))


def maximum_for_ever(patch: Patch) -> None:
    setter, largest = SumTree.set, [0.0]

    def remember(self: SumTree, items: Any, priorities: Any) -> None:
        largest[0] = max(largest[0], float(np.max(priorities)))
        setter(self, items, priorities)

    patch.setattr(SumTree, "set", remember)
    patch.setattr(SumTree, "maximum", property(lambda self: largest[0]))


def nan_priorities_are_taken(patch: Patch) -> None:
    def take(self: SumTree, items: Any, priorities: Any) -> None:
        self._flat[items] = priorities
        self._refresh(items // self._width)

    patch.setattr(SumTree, "set", take)


def reload_resets_the_target_counter(patch: Patch) -> None:
    load = ValueAgent.load_agent_state
    patch.setattr(ValueAgent, "load_agent_state", lambda self, state: load(self, {**state, "updates": 0}))


def reload_restarts_epsilon(patch: Patch) -> None:
    load = ValueAgent.load_agent_state
    patch.setattr(ValueAgent, "load_agent_state", lambda self, state: load(self, {**state, "step": 0}))


def lost_life_ends_the_game(patch: Patch) -> None:
    _rows(patch, lambda ts: ts._replace(last=ts.last | ((ts.discount == 0) & ~ts.first)))
    add = EpisodeRecord.add

    def per_life(self: EpisodeRecord, ts: TimeStep) -> Any:
        lines = add(self, ts)
        self._return = [0.0 if last else total for last, total in zip(ts.last, self._return, strict=True)]
        return lines

    patch.setattr(EpisodeRecord, "add", per_life)


def clipped_scores(patch: Patch) -> None:
    _rows(
        patch, lambda ts: ts._replace(reward=np.sign(ts.reward), info={**ts.info, "exact_reward": np.sign(ts.reward)})
    )


def evaluation_updates_the_normaliser(patch: Patch) -> None:
    forward = ObservationNormaliser.forward

    def learning(self: ObservationNormaliser, obs: Any) -> Any:
        if torch.is_inference_mode_enabled():
            self.update({k: obs[k].reshape(-1, *m.mean.shape) for k, m in zip(self.names, self.moments, strict=True)})  # type: ignore[union-attr]
        return forward(self, obs)

    patch.setattr(ObservationNormaliser, "forward", learning)


def advantages_run_across_episodes(patch: Patch) -> None:
    right = returns.gae
    patch.setattr(
        returns,
        "gae",
        lambda reward, discount, first, *rest: right(reward, torch.ones_like(discount), torch.zeros_like(first), *rest),
    )


def memory_is_never_reset(patch: Patch) -> None:
    forward = Core.forward
    patch.setattr(Core, "forward", lambda self, x, state=None, first=None: forward(self, x, state, None))


def one_seed_for_all(patch: Patch) -> None:
    right = envs.stream.episode_seed
    patch.setattr(envs.stream, "episode_seed", lambda seed, stream, i, k, games: right(seed, stream, 0, k, games))


def one_seed_for_ever(patch: Patch) -> None:
    right = envs.stream.episode_seed
    patch.setattr(envs.stream, "episode_seed", lambda seed, stream, i, k, games: right(seed, stream, i, 0, games))


def evaluation_uses_the_training_stream(patch: Patch) -> None:
    actor = Agent.actor

    def shared(self: Agent, *args: Any, **kwargs: Any) -> Any:
        made = actor(self, *args, **kwargs)
        made.generator = self._stream.generator  # type: ignore[attr-defined]
        return made

    patch.setattr(Agent, "actor", shared)


def statistics_across_resets(patch: Patch) -> None:
    add = EpisodeRecord.add
    patch.setattr(EpisodeRecord, "add", lambda self, ts: add(self, ts._replace(first=np.zeros_like(ts.first))))


def nan_by_multiplication(patch: Patch) -> None:
    patch.setattr(agents.dqn, "bootstrap", lambda reward, discount, value: reward + discount * value)


def rows_share_one_array(patch: Patch) -> None:
    shared: dict[str, np.ndarray] = {}

    def change(ts: TimeStep) -> TimeStep:
        buffer = shared.setdefault("obs", np.zeros_like(ts.obs["obs"]))
        buffer[:] = ts.obs["obs"]
        return ts._replace(obs={"obs": buffer})

    _rows(patch, change)


def scaled_twice(patch: Patch) -> None:
    forward = Planes.forward
    patch.setattr(Planes, "forward", lambda self, x: forward(self, x) / 255.0)


def epsilon_in_evaluation(patch: Patch) -> None:
    epsilon = ValueAgent.epsilon
    patch.setattr(ValueAgent, "epsilon", lambda self, mode: epsilon(self, "explore"))


def log_probability_after_the_clip(patch: Patch) -> None:
    look = PolicyAgent.choose

    def late(self: PolicyAgent, actor: Any, obs: Any, ts: TimeStep) -> Any:
        choice = look(self, actor, obs, ts)
        clipped = torch.from_numpy(np.clip(choice.extra["raw"], -0.1, 0.1))
        log_prob = choice.output.dist.log_prob(clipped).numpy()
        return choice._replace(extra={**choice.extra, "log_prob": log_prob})

    patch.setattr(PolicyAgent, "choose", late)


def divided_by_the_spread_of_one(patch: Patch) -> None:
    def always(self: PolicyAgent, batch: Any) -> Any:
        valid = batch.advantage[batch.valid]
        return batch._replace(advantage=(batch.advantage - valid.mean()) / (valid.std() + 1e-8))

    patch.setattr(PolicyAgent, "prepared", always)


def counted_by_slots(patch: Patch) -> None:
    observe = ValueAgent.observe

    def by_slot(self: ValueAgent, ts: TimeStep) -> None:
        before = self.step
        observe(self, ts)
        self.step = before + int(not ts.first.all())

    patch.setattr(ValueAgent, "observe", by_slot)
