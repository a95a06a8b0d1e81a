"""The loss around the final weights, on a plane of filter-normalised directions (Li et al. 2018)."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from agents.base import Agent
from runs.explaining.subject import Subject, copied

SIZE = 51  # points along each side of the finest grid


def surface_panel(subject: Subject) -> dict[str, Any]:
    """Loss on the finest grid that the time allows, and the checkpoints' places on it, as plain JSON."""
    if subject.batch is None:
        return {"why_not": subject.why_no_batch}
    agent, steps = copied(subject.agent), subject.steps()[:-1]
    weights, final = trained(agent)
    path = torch.stack([trained(subject.at(step))[1] - final for step in steps])  # [checkpoints, weights]
    along = len(path) > 1
    random = torch.randn(2, len(final), generator=torch.Generator().manual_seed(subject.run.seed))
    plane = torch.linalg.svd(path, full_matrices=False).Vh[:2] if along else random
    plane = torch.stack([filter_normalised(direction, weights) for direction in plane])
    places, captured = project(path, plane)
    reach = max(1.0, 1.15 * float(places.abs().max()))
    if hasattr(agent, "regression_target"):
        fixed = agent.regression_target(subject.batch).detach()
        agent.regression_target = lambda _: fixed

    def loss(x: float, y: float) -> float:
        vector_to_parameters(final + x * plane[0] + y * plane[1], weights)
        return float(f"{float(agent.objective(subject.batch, subject.weight)):.4g}")

    with torch.no_grad():
        lattice, losses = refined(loss, reach, subject.until)
    return {
        "size": len(lattice), "finest": SIZE, "reach": lattice[-1], "loss": losses, "captured": captured,
        "rows": len(subject.batch.action),
        "directions": "the two in which the checkpoints differ most" if along else "two drawn at random",
        "path": [{"step": s, "x": x, "y": y} for s, (x, y) in zip(steps, places.tolist(), strict=True)]
        + [{"step": agent.step, "x": 0.0, "y": 0.0}],
    }  # fmt: skip


def refined(loss: Any, reach: float, until: float) -> tuple[list[float], list[float]]:
    """The finest of four grids that is complete at the time `until`, each of which has the middle: axis and losses.

    A finer grid keeps the points of the coarser ones. The coarsest is always complete.
    """
    axis = [reach * (2 * k / (SIZE - 1) - 1) for k in range(SIZE)]
    middle = SIZE // 2
    grids = [range(middle % stride, SIZE, stride) for stride in (middle, max(1, middle // 5), 2, 1)]
    known: dict[tuple[int, int], float] = {}
    for grid in grids:
        for y, x in itertools.product(grid, grid):
            if (y, x) not in known and (grid is grids[0] or time.monotonic() <= until):
                known[y, x] = loss(axis[x], axis[y])
    done = next(grid for grid in reversed(grids) if all(place in known for place in itertools.product(grid, grid)))
    return [axis[k] for k in done], [known[place] for place in itertools.product(done, done)]


def trained(agent: Agent) -> tuple[list[Parameter], Tensor]:
    """The weights that learn, and a flat copy of them."""
    weights = [p for p in agent.network.parameters() if p.requires_grad]
    return weights, parameters_to_vector(weights).detach()


def filter_normalised(direction: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """Each output filter of a direction [weights] with the norm of the weights' own; biases and norms stay at 0."""
    found = torch.zeros_like(direction)
    parts = [x.split([w.numel() for w in weights]) for x in (found, direction)]
    for out, part, w in zip(*parts, weights, strict=True):
        if w.dim() > 1:
            filters, own = part.view(len(w), -1), w.detach().flatten(1).norm(dim=1, keepdim=True)
            out.copy_((filters * own / (filters.norm(dim=1, keepdim=True) + 1e-10)).flatten())
    return found


def project(path: Tensor, plane: Tensor) -> tuple[Tensor, float | None]:
    """Least-squares coordinates [checkpoints, 2] on the plane [2, weights], and the share of squared length in it."""
    places = torch.linalg.lstsq(plane.double().T, path.double().T, driver="gelsd").solution.T
    whole = float(path.double().square().sum())
    return places, float((places @ plane.double()).square().sum()) / whole if whole else None
