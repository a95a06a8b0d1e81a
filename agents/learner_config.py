"""The fields of all learners."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from rl.errors import InputError
from rl.fields import at_least, check_fields, fraction, positive, positive_or_none
from rl.networks import NetConfig
from rl.optim import OptimizerName
from rl.schedules import Ramp


@dataclass(frozen=True)
class LearnerConfig:
    """Fields that every learner uses, or refuses at construction."""

    net: NetConfig = field(default_factory=NetConfig)
    """The shared network: encoder, layers, LayerNorm, recurrent core."""
    stack: int = at_least(1, 1)
    """Frames that make one observation."""
    gamma: float = fraction(0.99)
    """Discount of one step."""
    lr: float | Ramp = positive(3e-4)
    """Learning rate, or its schedule over counted steps."""
    optimizer: OptimizerName = "adam"
    """Optimizer of the network."""
    adam_eps: float = positive(1e-5)
    """Epsilon of the optimizer's denominator; distributional agents need about 0.01 / batch_size."""
    max_grad_norm: float | None = positive_or_none(0.5)
    """Global norm the gradient is clipped to, or none."""
    reward_clip: float | None = positive_or_none(None)
    """The learner clips rewards to plus and minus this; scores stay raw."""
    normalize_obs: bool = False
    """Standardise float observations by running moments, which are part of the agent."""
    normalize_return: bool = False
    """Divide rewards by the running deviation of the discounted return."""
    store: Literal["auto", "raw", "compressed"] = "auto"
    """How the replay keeps image frames."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.normalize_obs and self.net.encoder == "simba":
            raise InputError("encoder 'simba' standardises observations itself: leave normalize_obs out")
