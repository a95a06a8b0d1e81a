"""The loss around the final weights, on a plane of filter-normalised directions (Li et al. 2018)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from runs.explaining.subject import Subject

SIZE = 51
"""Points along each side of the finest grid."""


def surface_panel(subject: Subject) -> dict[str, Any]:
    """Loss on the finest grid that the time allows, and the checkpoints' places on it, as plain JSON."""
    if subject.batch is None:
        return {"why_not": subject.why_no_batch}
    agent = subject.agent
    weights = [p for p in agent.network.parameters() if p.requires_grad]
    final = parameters_to_vector(weights).detach()
    steps = subject.steps()[:-1]
    path = torch.stack([_trained(subject, step) - final for step in steps])  # [checkpoints, weights]
    along = len(path) > 1
    plane = torch.linalg.svd(path, full_matrices=False).Vh[:2] if along else _random(final, subject.run.seed)
    plane = torch.stack([filter_normalised(direction, weights) for direction in plane])
    places, captured = project(path, plane)
    reach = max(1.0, 1.15 * float(places.abs().max()))
    fixed = agent.regression_target(subject.batch).detach() if hasattr(agent, "regression_target") else None
    if fixed is not None:
        agent.regression_target = lambda _: fixed  # type: ignore[attr-defined]

    def loss(x: float, y: float) -> float:
        put(weights, final + x * plane[0] + y * plane[1])
        return float(f"{float(agent.objective(subject.batch, subject.weight)):.4g}")

    try:
        with torch.no_grad():
            lattice, losses = refined(loss, reach, subject.until)
    finally:
        put(weights, final)
        if fixed is not None:
            del agent.regression_target  # type: ignore[attr-defined]
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
    known: dict[tuple[int, int], float] = {}
    done: Sequence[int] = ()
    for stride in (middle, max(1, middle // 5), 2, 1):
        grid = range(middle % stride, SIZE, stride)
        for y, x in ((y, x) for y in grid for x in grid if (y, x) not in known):
            if done and time.monotonic() > until:
                return [axis[k] for k in done], [known[y, x] for y in done for x in done]
            known[y, x] = loss(axis[x], axis[y])
        done = grid
    return [axis[k] for k in done], [known[y, x] for y in done for x in done]


def put(weights: Sequence[Tensor], vector: Tensor) -> None:
    """Writes a flat vector into the weights, in their own memory."""
    with torch.no_grad():
        for p, part in zip(weights, vector.split([p.numel() for p in weights]), strict=True):
            p.copy_(part.view_as(p))


def _trained(subject: Subject, step: int) -> Tensor:
    return parameters_to_vector(p for p in subject.at(step).network.parameters() if p.requires_grad).detach()


def _random(like: Tensor, seed: int) -> Tensor:
    return torch.randn(2, len(like), generator=torch.Generator().manual_seed(seed))


def filter_normalised(direction: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """Each output filter of a direction [weights] with the norm of the weights' own; biases and norms stay at 0."""
    parts = direction.split([w.numel() for w in weights])
    return torch.cat([_scaled(d.view_as(w), w.detach()).flatten() for d, w in zip(parts, weights, strict=True)])


def _scaled(direction: Tensor, weight: Tensor) -> Tensor:
    if weight.dim() < 2:
        return torch.zeros_like(weight)
    norms = [x.flatten(1).norm(dim=1).view(-1, *[1] * (x.dim() - 1)) for x in (weight, direction)]
    return direction * norms[0] / (norms[1] + 1e-10)


def project(path: Tensor, plane: Tensor) -> tuple[Tensor, float | None]:
    """Least-squares coordinates [checkpoints, 2] on the plane [2, weights], and the share of squared length in it."""
    places = torch.linalg.lstsq(plane.double().T, path.double().T, driver="gelsd").solution.T
    whole = float(path.double().square().sum())
    return places, float((places @ plane.double()).square().sum()) / whole if whole else None
