"""Lab: truncation as death. Read truncation_as_death.md first, then repair `target` below.

python docs/labs/truncation_as_death.py        trains for a second on each of two problems and checks the values
"""

from __future__ import annotations

from typing import Any

import lab  # type: ignore[import-not-found]

Constant, OneStep = (getattr(lab.need("envs.probes"), name) for name in ("Constant", "OneStep"))

GAMMA = 0.9
LR = 0.05
STEPS = 2_000
EVERY = 100


def target(reward: float, terminated: bool, truncated: bool, next_value: float) -> float:
    """The value's target for one transition.

    terminated: the problem itself ended, so there is no future. truncated: the simulator stopped here.
    """
    # HOLE: this line is wrong for one of the two endings. Repair it.
    return reward if terminated or truncated else reward + GAMMA * next_value


def learn(env: Any, target: Any = target) -> list[float]:
    """TD(0) on a problem with a single state. Returns the value after every `EVERY` steps."""
    value, curve = 0.0, []
    env.reset(seed=0)
    for step in range(1, STEPS + 1):
        _, reward, terminated, truncated, _ = env.step(0)
        value += LR * (target(reward, terminated, truncated, value) - value)
        if terminated or truncated:
            env.reset()
        if step % EVERY == 0:
            curve.append(round(value, 4))
    return curve


def check(target: Any = target) -> list[str]:
    """What is wrong with the learned values; an empty list if nothing is."""
    wrong = []
    forever, once = learn(Constant(limit=10), target)[-1], learn(OneStep(), target)[-1]
    if abs(forever - 1 / (1 - GAMMA)) > 0.1:
        wrong.append(f"reward 1 for ever is worth {1 / (1 - GAMMA):.1f}, you learned {forever:.2f}")
    if abs(once - 1.0) > 0.1:
        wrong.append(f"reward 1 and then the end is worth 1.0, you learned {once:.2f}")
    return wrong


if __name__ == "__main__":
    lab.main(lambda: learn(Constant(limit=10)), lambda curve: "; ".join(check()))
