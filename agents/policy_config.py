"""The fields that all policy learners share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from rl.distributions import PolicyConfig
from rl.errors import InputError, unknown
from rl.networks import NetConfig
from rl.optim import OptimizerName
from rl.schedules import Ramp


@dataclass(frozen=True)
class PolicyLearnerConfig:
    """Fields that every policy learner honours, or refuses at construction."""

    net: NetConfig = field(default_factory=lambda: NetConfig(activation="tanh", orthogonal=True))
    """The shared network: encoder, layers, memory."""
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    """How features become actions."""
    critic: Literal["auto", "shared", "separate"] = "auto"
    """Whether policy and value share one network; auto shares convolutions and separates the rest."""
    stack: int = 1
    """Frames that make one observation."""
    gamma: float = 0.99
    """Discount of one step."""
    gae_lambda: float = 0.95
    """Lambda of the advantage estimate; 1 is the whole return."""
    rollout: int = 128
    """Rows of each environment in one update."""
    lr: float | Ramp = 3e-4
    """Learning rate, or its schedule over counted steps."""
    optimizer: OptimizerName = "adam"
    """Optimizer of the network."""
    adam_eps: float = 1e-5
    """Epsilon of the optimizer's denominator."""
    max_grad_norm: float | None = 0.5
    """Global norm the gradient is clipped to, or none."""
    entropy_cost: float | Ramp = 0.0
    """What the policy is paid for its entropy."""
    value_cost: float = 0.5
    """Weight of the value's squared error."""
    normalize_advantage: bool = True
    """Standardise advantages within each minibatch."""
    normalize_obs: bool = False
    """Standardise float observations by running moments, which are part of the agent."""
    normalize_return: bool = False
    """Divide rewards by the running deviation of the discounted return."""
    reward_clip: float | None = None
    """The learner sees rewards clipped to plus and minus this; scores stay raw."""
    noise_every: int = 4
    """Steps for which gSDE's noise is held."""
    store: Literal["auto", "raw", "compressed"] = "auto"
    """How the replay keeps image frames."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the update; auto takes bf16 where it is faster (convolutions)."""

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise unknown(name, str(getattr(self, name)), choices)
        for name in ("stack", "rollout", "noise_every"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("gamma", "gae_lambda"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} must lie in [0, 1], got {getattr(self, name)}")
        for name in ("reward_clip", "max_grad_norm"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                raise InputError(f"{name} must be above 0 or none, got {getattr(self, name)}")
        for name in ("lr", "entropy_cost"):
            check_schedule(name, getattr(self, name), above_0=name == "lr")
        if not 0 <= self.value_cost < float("inf"):
            raise InputError(f"value_cost must be 0 or more and finite, got {self.value_cost}")
        if not 0 < self.adam_eps < float("inf"):
            raise InputError(f"adam_eps must be above 0 and finite, got {self.adam_eps}")
        if self.noise_every != PolicyLearnerConfig.noise_every and self.policy.deviation != "gsde":
            raise InputError(f"noise_every={self.noise_every} is for policy.deviation='gsde': leave it out")


_CHOICES: dict[str, tuple[str, ...]] = {
    "critic": ("auto", "shared", "separate"),
    "optimizer": get_args(OptimizerName),
    "store": ("auto", "raw", "compressed"),
    "precision": ("auto", "fp32", "bf16"),
}


def check_schedule(name: str, value: float | Ramp, *, above_0: bool) -> None:
    """`InputError` where a number or schedule is negative or not finite, or 0 throughout where `above_0`."""
    ends = (value.start, value.end) if isinstance(value, Ramp) else (value, value)
    if not (min(ends) >= 0 and sum(ends) < float("inf")) or (above_0 and max(ends) == 0):
        raise InputError(f"{name} must be {'above 0' if above_0 else '0 or more'} and finite, got {value}")
