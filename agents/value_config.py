"""The fields of all learners that sample from the replay, and those that value learners add."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from agents.learner_config import LearnerConfig
from rl.axes import Axis, choice, complement, left, number, rate, share, size
from rl.errors import InputError
from rl.fields import at_least, fraction, not_negative, positive, within
from rl.schedules import Ramp


@dataclass(frozen=True)
class ReplayConfig(LearnerConfig):
    """Fields that every learner from sampled windows uses, or refuses at construction."""

    SWITCHES: ClassVar[dict[str, str]] = {"priority_exponent": "prioritized", "importance": "prioritized"}
    """Fields that have an effect only while another one is on."""
    SPACE: ClassVar[dict[str, Axis]] = {
        "lr": rate(3e-5, 3e-3),
        "lr.end": left(0.01),
        "gamma": complement(1e-3, 0.1),
        "batch_size": size(16, 256),
        "replay_ratio": rate(0.0625, 2.0),
        "learning_starts": share(0.005, 0.1),
        "n_step": size(1, 5),
        "net.hidden": choice("64x64", "128x128", "256x256"),
    }
    """What `rl tune` searches."""

    lr: float | Ramp = 5e-4
    adam_eps: float = 1e-8
    max_grad_norm: float | None = 10.0
    weight_decay: float = 0.0
    """Decoupled weight decay; adamw only."""
    batch_size: int = at_least(1, 32)
    """Windows in one gradient update."""
    buffer_size: int = at_least(1, 50_000)
    """Rows the replay keeps, over all environments."""
    learning_starts: int = not_negative(1_000)
    """Counted steps of uniformly random play before the first update."""
    replay_ratio: float = positive(0.25)
    """Gradient updates for each counted step."""
    update_every: int = at_least(1, 4)
    """Counted steps between bursts of updates, each `replay_ratio` times as many updates."""
    target_tau: float = within(1.0, lambda x: 0 < x <= 1, "lie in (0, 1]", why=": the target would never move")
    """How far the target network moves: 1 copies, less than 1 is a moving average."""
    n_step: int = at_least(1, 1)
    """Longest window of rewards before the bootstrap."""
    prioritized: bool = False
    """Sample in proportion to the loss's priority (Schaul et al. 2016)."""
    priority_exponent: float = not_negative(0.6)
    """Alpha: 0 would be uniform."""
    importance: float | Ramp = fraction(Ramp(0.4, 1.0, 1_000_000))
    """Beta of the importance weights."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_size > self.buffer_size:
            raise InputError(f"batch_size {self.batch_size} is larger than buffer_size {self.buffer_size}")
        if self.stack + self.n_step > self.buffer_size:
            raise InputError(
                f"buffer_size {self.buffer_size} holds no window of n_step {self.n_step} after a stack of {self.stack}"
            )
        if self.weight_decay and self.optimizer != "adamw":
            raise InputError(f"weight_decay {self.weight_decay} needs optimizer=adamw, got {self.optimizer}")


@dataclass(frozen=True)
class ValueConfig(ReplayConfig):
    """Fields that every value learner uses, or refuses at construction."""

    SWITCHES: ClassVar[dict[str, str]] = {
        **ReplayConfig.SWITCHES,
        "noisy_sigma": "noisy",
        "double": "not munchausen",
        "munchausen_alpha": "munchausen",
        "munchausen_tau": "munchausen",
        "munchausen_low": "munchausen",
    }
    SPACE: ClassVar[dict[str, Axis]] = {
        **ReplayConfig.SPACE,
        "target_every": size(10, 2_000),
        "epsilon.steps": share(0.02, 0.6),
        "epsilon.end": number(0.0, 0.2),
        "net.layer_norm": choice("false", "true"),
        "double": choice("false", "true"),
    }

    target_every: int = at_least(1, 500)
    """Gradient updates between updates of the target network."""
    double: bool = False
    """Choose the next action with the online network (van Hasselt et al. 2016)."""
    dueling: bool = False
    """Separate streams for value and advantage (Wang et al. 2016)."""
    noisy: bool = False
    """Explore by noisy linear layers (Fortunato et al. 2018)."""
    noisy_sigma: float = not_negative(0.5)
    """Initial scale of their noise."""
    head_hidden: int | None = at_least(1, None)
    """Units of a hidden layer in each stream of the head, noisy if `noisy` is; none is a linear head."""
    munchausen: bool = False
    """Add the clipped scaled log-policy to the reward and bootstrap softly (Vieillard et al. 2020)."""
    munchausen_alpha: float = fraction(0.9)
    """Scale of the added log-policy."""
    munchausen_tau: float = positive(0.03)
    """Temperature of the policy."""
    munchausen_low: float = within(-1.0, lambda x: x <= 0, "not be above 0")
    """Lowest added log-policy."""
    epsilon: float | Ramp = fraction(Ramp(1.0, 0.05, 10_000))
    """Share of random actions in training, by counted step."""
    eval_epsilon: float = fraction(0.0)
    """Share of random actions in evaluation."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the update; auto uses bf16 if it is faster (convolutions, batch of 32 or more)."""
    cuda_graph: Literal["auto", "off"] = "auto"
    """How a GPU launches an update's kernels: auto as one CUDA graph (DQN, C51, QR-DQN, IQN), off separately."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.munchausen and self.double:
            raise InputError("munchausen bootstraps over all actions, double chooses one: switch one of them off")
