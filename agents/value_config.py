"""The fields that all value learners share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from rl.errors import InputError
from rl.networks import NetConfig
from rl.optim import OptimizerName
from rl.schedules import Ramp


@dataclass(frozen=True)
class ValueConfig:
    """Fields that every value learner honours, or refuses at construction."""

    SWITCHES: ClassVar[dict[str, str]] = {
        "noisy_sigma": "noisy",
        "priority_exponent": "prioritized",
        "importance": "prioritized",
        "munchausen_alpha": "munchausen",
        "munchausen_tau": "munchausen",
        "munchausen_low": "munchausen",
    }
    """Fields that mean something only while another one is on."""

    net: NetConfig = field(default_factory=NetConfig)
    """The shared network: encoder, layers, LayerNorm."""
    stack: int = 1
    """Frames that make one observation."""
    gamma: float = 0.99
    """Discount of one step."""
    lr: float | Ramp = 5e-4
    """Learning rate, or its schedule over counted steps."""
    optimizer: OptimizerName = "adam"
    """Optimizer of the online network."""
    adam_eps: float = 1e-8
    """Epsilon of the optimizer's denominator; distributional agents want about 0.01 / batch_size."""
    weight_decay: float = 0.0
    """Decoupled weight decay; adamw only."""
    max_grad_norm: float | None = 10.0
    """Global norm the gradient is clipped to, or none."""
    batch_size: int = 32
    """Windows in one gradient update."""
    buffer_size: int = 50_000
    """Rows the replay keeps, over all environments."""
    learning_starts: int = 1_000
    """Counted steps of uniformly random play before the first update."""
    replay_ratio: float = 0.25
    """Gradient updates for each counted step."""
    update_every: int = 4
    """Counted steps between bursts of updates, each `replay_ratio` times as many updates."""
    target_every: int = 500
    """Gradient updates between updates of the target network."""
    target_tau: float = 1.0
    """How far the target network moves then: 1 copies, less than 1 is a moving average."""
    n_step: int = 1
    """Longest window of rewards before the bootstrap."""
    double: bool = False
    """Choose the next action with the online network (van Hasselt et al. 2016)."""
    dueling: bool = False
    """Separate streams for value and advantage (Wang et al. 2016)."""
    noisy: bool = False
    """Explore by noisy linear layers (Fortunato et al. 2018)."""
    noisy_sigma: float = 0.5
    """Initial scale of their noise."""
    head_hidden: int | None = None
    """Units of a hidden layer in each stream of the head, noisy if `noisy` is; none is a linear head."""
    prioritized: bool = False
    """Sample in proportion to the loss's priority (Schaul et al. 2016)."""
    priority_exponent: float = 0.6
    """Alpha: 0 would be uniform."""
    importance: float | Ramp = Ramp(0.4, 1.0, 1_000_000)
    """Beta of the importance weights."""
    munchausen: bool = False
    """Add the clipped scaled log-policy to the reward and bootstrap softly (Vieillard et al. 2020)."""
    munchausen_alpha: float = 0.9
    """Scale of the added log-policy."""
    munchausen_tau: float = 0.03
    """Temperature of the policy."""
    munchausen_low: float = -1.0
    """Lowest added log-policy."""
    epsilon: float | Ramp = Ramp(1.0, 0.05, 10_000)
    """Share of random actions in training, by counted step."""
    eval_epsilon: float = 0.0
    """Share of random actions in evaluation."""
    reward_clip: float | None = None
    """The learner sees rewards clipped to plus and minus this; scores stay raw."""
    store: Literal["auto", "raw", "compressed"] = "auto"
    """How the replay keeps image frames."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the update; auto takes bf16 where it is faster (convolutions, batch of 32 or more)."""
    cuda_graph: Literal["auto", "off"] = "auto"
    """How a GPU gets an update's kernels: auto as one recorded graph (DQN, C51, QR-DQN, IQN), off one by one."""

    def __post_init__(self) -> None:
        at_least_one = ("stack", "batch_size", "buffer_size", "update_every", "target_every", "n_step")
        for name in at_least_one:
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("gamma", "eval_epsilon", "munchausen_alpha"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} must lie in [0, 1], got {getattr(self, name)}")
        for name in ("replay_ratio", "adam_eps", "munchausen_tau"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be above 0, got {getattr(self, name)}")
        for name in ("noisy_sigma", "priority_exponent"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} must not be negative, got {getattr(self, name)}")
        if not 0 < self.target_tau <= 1:
            raise InputError(f"target_tau must lie in (0, 1], got {self.target_tau}: the target would never move")
        if self.munchausen_low > 0:
            raise InputError(f"munchausen_low must not be above 0, got {self.munchausen_low}")
        for name in ("reward_clip", "max_grad_norm"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                raise InputError(f"{name} must be above 0 or none, got {getattr(self, name)}")
        for name in ("lr", "epsilon", "importance"):
            value = getattr(self, name)
            low, high = (value.start, value.end) if isinstance(value, Ramp) else (value, value)
            if min(low, high) < 0 or (name != "lr" and max(low, high) > 1) or (name == "lr" and max(low, high) <= 0):
                raise InputError(f"{name} must lie in {'[0, 1]' if name != 'lr' else '(0, inf)'}, got {value}")
        if self.learning_starts < 0:
            raise InputError(f"learning_starts must not be negative, got {self.learning_starts}")
        if self.batch_size > self.buffer_size:
            raise InputError(f"batch_size {self.batch_size} is larger than buffer_size {self.buffer_size}")
        if self.stack + self.n_step > self.buffer_size:
            raise InputError(
                f"buffer_size {self.buffer_size} holds no window of n_step {self.n_step} after a stack of {self.stack}"
            )
        if self.weight_decay and self.optimizer != "adamw":
            raise InputError(f"weight_decay {self.weight_decay} needs optimizer=adamw, got {self.optimizer}")
        if self.head_hidden is not None and self.head_hidden < 1:
            raise InputError(f"head_hidden must be at least 1 or none, got {self.head_hidden}")
        if self.munchausen and self.double:
            raise InputError("munchausen bootstraps over all actions, double chooses one: switch one of them off")
