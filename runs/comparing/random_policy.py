"""The random policy, the reference of every comparison."""

from __future__ import annotations

import numpy as np

from rl.interface import EnvSpec, TimeStep


class Random:
    """The uniformly random policy, as the evaluator knows agents."""

    name, step = "random", 0

    def __init__(self, spec: EnvSpec) -> None:
        self.spec = spec

    def draws(self, sample: bool) -> bool:
        return True

    def actor(self, num_envs: int, seed: int, *, stream: str = "evaluate", sample: bool = False) -> RandomActor:
        return RandomActor(self.spec, num_envs, seed)


class RandomActor:
    def __init__(self, spec: EnvSpec, num_envs: int, seed: int) -> None:
        from rl.seeding import generator

        self.spec, self.num_envs, self.rng = spec, num_envs, generator(seed, "random", "actor")

    def act(self, ts: TimeStep) -> np.ndarray:
        a, n = self.spec.action, self.num_envs
        if a.kind == "box":
            low, high = (np.nan_to_num(np.array(side), posinf=1.0, neginf=-1.0) for side in (a.low, a.high))
            return self.rng.uniform(low, high, (n, a.size)).astype(np.float32)
        chance, out = self.rng.random((n, a.logits)), []
        if ts.mask is not None:
            chance = np.where(ts.mask, chance, -1.0)
        start = 0
        for choices in a.nvec:
            out.append(chance[:, start : start + choices].argmax(1))
            start += choices
        action = np.stack(out, axis=1)
        return action[:, 0] if a.kind == "discrete" else action
