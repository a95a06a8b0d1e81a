"""The network of policy learners: an encoder with a policy head and a value head."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from agents.policy_config import PolicyLearnerConfig
from rl.device import has_convolutions
from rl.distributions import Distribution, policy_head
from rl.interface import EnvSpec
from rl.networks.init import orthogonal_
from rl.networks.torso import build_torso
from rl.normalise import ObservationNormaliser


class Policy(NamedTuple):
    """An actor-critic network's output."""

    dist: Distribution  # over actions, [...]
    value: Tensor  # [...]
    state: Tensor  # [B, state_size], after the last row
    critics: Tensor | None = None  # [B, E]: each critic's value, of agents with an ensemble


class ActorCritic(nn.Module):
    """A policy head and a value head on one torso, or on two whose recurrent states are concatenated.

    If `bf16`, the torsos compute in bfloat16 while acting and while learning, so that an unchanged policy gives the
    same probabilities in both. The heads always compute in float32.
    """

    def __init__(self, spec: EnvSpec, config: PolicyLearnerConfig) -> None:
        super().__init__()
        self.normaliser = ObservationNormaliser.of(spec, config.normalize_obs)
        self.torso = build_torso(spec, config.net, config.stack)
        shared = config.critic == "shared" or (config.critic == "auto" and has_convolutions(self.torso))
        self.critic_torso = None if shared else build_torso(spec, config.net, config.stack)
        self.policy = policy_head(spec.action, self.torso.out_features, config.policy)
        self.value = nn.Linear(self.torso.out_features, 1)
        if config.net.orthogonal:
            orthogonal_(self.value, 1.0)
        self.state_size = self.torso.state_size * (1 if shared else 2)
        self.bf16 = False

    def forward(
        self,
        obs: dict[str, Tensor],
        state: Tensor | None = None,
        first: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Policy:
        """Policy and value of rows with any leading dimensions.

        With a recurrent core, the rows are [T, B] with `first` [T, B], which restarts the core, or one row [B] with
        `first` [B]. `state` [B, state_size] is the state before them; None stands for zeros.
        """
        if self.normaliser is not None:
            obs = self.normaliser(obs)
        row = self.state_size > 0 and first is not None and first.dim() == 1
        if row:
            assert first is not None
            obs, first = {k: v.unsqueeze(0) for k, v in obs.items()}, first.unsqueeze(0)
        if state is None:
            some = next(iter(obs.values()))
            state = torch.zeros(some.shape[1 if self.state_size else 0], self.state_size, device=some.device)
        if self.bf16:
            with torch.autocast(state.device.type, torch.bfloat16):
                actor, critic, state = self._features(obs, state, first)
            actor, critic, state = actor.float(), critic.float(), state.float()
        else:
            actor, critic, state = self._features(obs, state, first)
        if row:
            actor, critic = actor[0], critic[0]
        return Policy(self.policy(actor, mask), self.value(critic).squeeze(-1), state)

    def _features(self, obs: dict[str, Tensor], state: Tensor, first: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """The features of the policy, those of the value, and the state after the last row."""
        if self.critic_torso is None:
            features, after = self.torso(obs, state, first)
            return features, features, after
        if self.state_size == 0:
            return self.torso(obs)[0], self.critic_torso(obs)[0], state
        own, others = state.chunk(2, -1)
        actor, after = self.torso(obs, own, first)
        critic, critic_after = self.critic_torso(obs, others, first)
        return actor, critic, torch.cat([after, critic_after], -1)
