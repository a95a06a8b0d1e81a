"""Running means and variances of observations and returns."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from rl.errors import InputError
from rl.interface import EnvSpec


class RunningMoments(nn.Module):
    """Mean and variance of all rows so far, merged batch by batch (Chan et al. 1979); buffers of the module, so saved.

    Args:
        shape: of one observation.
    """

    mean: Tensor
    var: Tensor
    count: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("var", torch.ones(shape, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    @torch.no_grad()
    def update(self, x: Tensor) -> None:
        """Adds a batch [B, *shape]; an empty batch changes nothing."""
        if not len(x):
            return
        x = x.double()
        mean, var, n = x.mean(0), x.var(0, unbiased=False), len(x)
        total = self.count + n
        delta = mean - self.mean
        merged = self.var * self.count + var * n + delta.square() * self.count * n / total
        self.mean += delta * n / total
        self.var.copy_(merged / total)
        self.count.copy_(total)

    def forward(self, x: Tensor, limit: float = 10.0) -> Tensor:
        """x standardised and clipped to [-limit, limit], float32; only clipped before the first update."""
        scale = (self.var + 1e-8).rsqrt()
        return ((x - self.mean.float()) * scale.float()).clamp(-limit, limit)


class ReturnMoments(RunningMoments):
    """Moments of the discounted return of N environments; rewards are divided by its deviation, as in VecNormalize.

    `state_dict` has the moments alone: whoever saves a training also saves `running`.
    """

    running: Tensor
    """The discounted return so far, float32 [N]."""

    def __init__(self, num_envs: int) -> None:
        super().__init__(())
        self.register_buffer("running", torch.zeros(num_envs), persistent=False)

    def follow(self, reward: Tensor, discount: Tensor, ended: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
        """The running return sum_k gamma^k r_{t-k} after each transition, [T, N], and its start at the next row, [N].

        It restarts after a discount of 0 and with each episode.

        Args:
            reward, discount: [T, N], of the rows that the transitions lead to.
            ended: bool [T, N]: that row is the first of an episode, so that there is no transition.
        """
        reward = torch.where(ended, 0.0, reward)
        decay = gamma * torch.where(ended, 0.0, discount)
        every, carried = torch.empty_like(reward), self.running
        for t in range(len(reward)):
            every[t] = carried + reward[t]
            carried = decay[t] * every[t]
        return every, carried

    def add(self, reward: Tensor, discount: Tensor, ended: Tensor, gamma: float) -> None:
        """Adds the running returns of new transitions, as in `follow`."""
        every, self.running = self.follow(reward, discount, ended, gamma)
        self.update(every[~ended])

    def scaled(self, reward: Tensor, variance: Tensor | None = None) -> Tensor:
        """Rewards divided by the deviation, by default the present one, and clipped to [-10, 10]; float32."""
        variance = self.var if variance is None else variance
        return (reward * (variance + 1e-8).rsqrt().float()).clamp(-10.0, 10.0)


class ObservationNormaliser(nn.Module):
    """Standardises the float leaves of an observation; images, boards and categories stay unchanged."""

    def __init__(self, shapes: dict[str, tuple[int, ...]]) -> None:
        super().__init__()
        self.names = tuple(shapes)
        self.moments = nn.ModuleList(RunningMoments(shape) for shape in shapes.values())

    @classmethod
    def of(cls, spec: EnvSpec, wanted: bool) -> ObservationNormaliser | None:
        """The normaliser of `normalize_obs`, None unless `wanted`. Raises `InputError` without float leaves."""
        floats = {name: leaf.shape for name, leaf in spec.obs.items() if leaf.kind == "vector"}
        if wanted and not floats:
            raise InputError(f"normalize_obs is for vectors of floats, and {spec.id} has none: leave it out")
        return cls(floats) if wanted else None

    def forward(self, obs: dict[str, Tensor]) -> dict[str, Tensor]:
        return {**obs, **{name: moments(obs[name]) for name, moments in self._leaves()}}

    def update(self, obs: dict[str, Tensor]) -> None:
        """Adds rows [B, *shape] of each leaf, one frame each; leaves without statistics are ignored."""
        for name, moments in self._leaves():
            moments.update(obs[name])

    def _leaves(self) -> Iterator[tuple[str, RunningMoments]]:
        for name, moments in zip(self.names, self.moments, strict=True):
            assert isinstance(moments, RunningMoments)
            yield name, moments
