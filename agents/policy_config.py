"""The fields of all on-policy learners, and those that policy learners add."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from agents.learner_config import LearnerConfig
from rl.axes import Axis, choice, complement, left, rate, size
from rl.distributions import PolicyConfig
from rl.errors import InputError
from rl.fields import at_least, finite_cost, fraction
from rl.networks import NetConfig
from rl.schedules import Ramp


@dataclass(frozen=True)
class RolloutConfig(LearnerConfig):
    """Fields that every learner from its newest rows uses, or refuses at construction."""

    rollout: int = at_least(1, 128)
    """Rows of each environment in one update."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the update; auto uses bf16 if it is faster (convolutions)."""


@dataclass(frozen=True)
class PolicyLearnerConfig(RolloutConfig):
    """Fields that every policy learner uses, or refuses at construction."""

    SPACE: ClassVar[dict[str, Axis]] = {
        "lr": rate(3e-5, 1e-2),
        "lr.end": left(0.01),
        "gamma": complement(1e-3, 0.1),
        "gae_lambda": complement(0.01, 0.3),
        "rollout": size(8, 1_024),
        "entropy_cost": rate(1e-6, 0.1),
        "value_cost": rate(0.1, 1.0),
        "net.hidden": choice("64x64", "128x128", "256x256"),
        "net.activation": choice("tanh", "relu"),
    }
    """What `rl tune` searches."""

    net: NetConfig = field(default_factory=lambda: NetConfig(activation="tanh", orthogonal=True))
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    """How features become actions."""
    critic: Literal["auto", "shared", "separate"] = "auto"
    """Whether policy and value share one network; auto shares convolutions and separates the rest."""
    gae_lambda: float = fraction(0.95)
    """Lambda of the advantage estimate; 1 is the full return."""
    entropy_cost: float | Ramp = finite_cost(0.0)
    """Weight of the entropy bonus."""
    value_cost: float = finite_cost(0.5)
    """Weight of the value's squared error."""
    normalize_advantage: bool = True
    """Standardise advantages within each minibatch."""
    noise_every: int = at_least(1, 4)
    """Steps for which gSDE's noise is held."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.noise_every != PolicyLearnerConfig.noise_every and self.policy.deviation != "gsde":
            raise InputError(f"noise_every={self.noise_every} is for policy.deviation='gsde': leave it out")
