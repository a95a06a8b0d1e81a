"""The repaired hole of every lab, and `python -m tests.runs.lab_answers [LAB...]`, which records the curves.

It writes docs/labs/LAB.json and the numbers in the table of docs/labs/LAB.md.
"""

from __future__ import annotations

import importlib.util
import json
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

LABS = Path(__file__).parents[2] / "docs" / "labs"
TABLE = re.compile(r"^\| (\d+) \| (\S+) \| (\S+) \|$", re.MULTILINE)
"""A row of the table on a lab's page: x, wrong, right."""


def load(name: str) -> Any:
    """The starting file of a lab, as a module."""
    if str(LABS) not in sys.path:
        sys.path.append(str(LABS))
    spec = importlib.util.spec_from_file_location(f"lab_{name}", LABS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def truncation_as_death(lab: Any) -> Any:
    return lambda reward, terminated, truncated, next_value: reward + (0 if terminated else lab.GAMMA * next_value)


def no_target_network(lab: Any) -> Any:
    def after_update(updates: int, network: nn.Module, target: nn.Module) -> None:
        if updates % lab.TARGET_EVERY == 0:
            target.load_state_dict(network.state_dict())

    return after_update


def backpropagation(lab: Any) -> Any:
    def add_gradient(node: Any, gradient: Any) -> None:
        node.grad = node.grad + gradient

    return add_gradient


def dead_relu(lab: Any) -> Any:
    return lambda network: torch.optim.SGD(network.parameters(), lr=1e-3)


def exploding_gradients(lab: Any) -> Any:
    return lambda parameters: nn.utils.clip_grad_norm_(parameters, lab.MOST)


def cnn_or_mlp(lab: Any) -> Any:
    def network() -> nn.Module:
        pool = nn.AdaptiveMaxPool2d(1)
        return nn.Sequential(nn.Conv2d(4, 32, 3, padding=1), nn.ReLU(), pool, nn.Flatten(), nn.Linear(32, 4))

    return network


def state_not_reset(lab: Any) -> Any:
    return lambda state, first: tuple(part * ~first.unsqueeze(-1) for part in state)


def maximisation_bias(lab: Any) -> Any:
    return lambda own, other: other[range(len(own)), own.argmax(1)]


def greedy_bandit(lab: Any) -> Any:
    def choose(mean: Any, count: Any, t: int, rng: Any) -> Any:
        bonus = (2 * math.log(t + 1) / count.clip(1)) ** 0.5
        return (mean + bonus + 1e9 * (count == 0)).argmax(1)

    return choose


def ppo_without_clipping(lab: Any) -> Any:
    def surrogate(log_prob: torch.Tensor, old_log_prob: torch.Tensor, advantage: torch.Tensor) -> torch.Tensor:
        ratio = (log_prob - old_log_prob).exp()
        return torch.min(ratio * advantage, ratio.clamp(1 - lab.CLIP, 1 + lab.CLIP) * advantage)

    return surrogate


def search(lab: Any) -> Any:
    def backup(path: list[Any], result: float) -> None:
        for node in reversed(path):
            node.visits += 1
            node.total += result
            result = -result

    return backup


ANSWERS: dict[str, Callable[[Any], Any]] = {
    answer.__name__: answer
    for answer in (
        *(backpropagation, dead_relu, exploding_gradients, cnn_or_mlp, state_not_reset, truncation_as_death),
        *(maximisation_bias, greedy_bandit, no_target_network, ppo_without_clipping, search),
    )
}
"""Lab -> a function from its module to what stands in the hole of a repaired file."""
X = {"maximisation_bias": "episodes", "greedy_bandit": "pulls", "search": "simulations", "state_not_reset": "game"}
"""What the curve's points are counted in; updates if it is not here."""
X |= {"truncation_as_death": "steps"}


def curves(name: str) -> tuple[list[float], list[float]]:
    """The curve of the starting file, and of a repaired one."""
    lab = load(name)
    start = (lab.Constant(limit=10),) if name == "truncation_as_death" else ()
    return list(lab.learn(*start)), list(lab.learn(*start, ANSWERS[name](lab)))


def record(name: str) -> None:
    """Writes both curves into the lab's json, and the rows of its page's table."""
    wrong, right = (
        [float(f"{value:.5g}") if math.isfinite(value) else None for value in curve] for curve in curves(name)
    )
    every = load(name).EVERY
    found = {"x": X.get(name, "updates"), "every": every, "wrong": wrong, "right": right}
    (LABS / f"{name}.json").write_text(json.dumps(found) + "\n")

    def row(match: re.Match[str]) -> str:
        i = int(match[1]) // every - 1
        cells = (shown(curve[i]) if i < len(curve) else "-" for curve in (wrong, right))
        return f"| {match[1]} | {' | '.join(cells)} |"

    page = LABS / f"{name}.md"
    page.write_text(TABLE.sub(row, page.read_text()))


def shown(value: float | None) -> str:
    """A number of the table."""
    return "NaN" if value is None else f"{value:.3g}"


if __name__ == "__main__":
    for lab in sys.argv[1:] or ANSWERS:
        record(lab)
        print(lab)
