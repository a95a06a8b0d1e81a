"""The loss around the final weights, on a plane of filter-normalised directions (Li et al. 2018)."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor

from runs.explaining.subject import Subject

SIZE = 51
"""Points of the grid along each side."""
SECONDS = 10.0
"""Time for all points; a slow network gets fewer rows of the batch."""

Vector = list[Tensor]
"""One tensor for each parameter."""


def surface_panel(subject: Subject) -> dict[str, Any]:
    """Loss at `SIZE` x `SIZE` points and the checkpoints' places among them, as plain JSON."""
    if subject.batch is None:
        return {"why_not": subject.why_no_batch}
    agent = subject.agent
    parameters = [p for p in agent.network.parameters() if p.requires_grad]
    final = [p.detach().clone() for p in parameters]
    steps = subject.steps()[:-1]
    path = [
        [p.detach() - w for p, w in zip(_trained(subject, step), final, strict=True)] for step in steps
    ]  # of each checkpoint, from the final weights
    along = len(path) > 1
    first, second = (
        filter_normalised(d, final) for d in (principal(path) if along else random_directions(final, subject.run.seed))
    )
    places, captured = project(path, first, second)
    reach = max([1.0, *(1.15 * abs(c) for place in places for c in place)])
    axis = [reach * (2 * k / (SIZE - 1) - 1) for k in range(SIZE)]
    batch, weight = _affordable(subject)
    fixed = agent.regression_target(batch).detach() if hasattr(agent, "regression_target") else None
    if fixed is not None:
        agent.regression_target = lambda _: fixed  # type: ignore[attr-defined]
    losses = []
    try:
        with torch.no_grad():
            for b in axis:
                row = [w + b * d for w, d in zip(final, second, strict=True)]
                for a in axis:
                    for p, w, d in zip(parameters, row, first, strict=True):
                        torch.add(w, d, alpha=a, out=p.data)
                    losses.append(float(f"{float(agent.objective(batch, weight)):.4g}"))
    finally:
        if fixed is not None:
            del agent.regression_target  # type: ignore[attr-defined]
        with torch.no_grad():
            for p, w in zip(parameters, final, strict=True):
                p.copy_(w)
    return {
        "size": SIZE, "reach": reach, "loss": losses, "captured": captured, "rows": len(batch.action),
        "directions": "the two in which the checkpoints differ most" if along else "two drawn at random",
        "path": [{"step": s, "x": x, "y": y} for s, (x, y) in zip(steps, places, strict=True)]
        + [{"step": agent.step, "x": 0.0, "y": 0.0}],
    }  # fmt: skip


def _trained(subject: Subject, step: int) -> Vector:
    return [p for p in subject.at(step).network.parameters() if p.requires_grad]


def _affordable(subject: Subject) -> tuple[Any, Tensor | None]:
    """The batch and its weights, cut to as many rows as `SECONDS` allow."""
    batch, weight = subject.batch, subject.weight
    rows = len(batch.action)
    with torch.no_grad():
        begun = time.perf_counter()
        for _ in range(8):
            subject.agent.objective(batch, weight)
    seconds = (time.perf_counter() - begun) / 8 * SIZE * SIZE
    whole = seconds <= SECONDS or getattr(batch, "state", torch.zeros(0)).numel() > 0  # sequences are not cut
    keep = rows if whole else int(rows * SECONDS / seconds)

    def cut(x: Any) -> Any:
        if isinstance(x, dict):
            return {name: cut(leaf) for name, leaf in x.items()}
        return x[: max(4, keep)] if isinstance(x, Tensor) and len(x) == rows else x

    return batch._replace(**{name: cut(x) for name, x in batch._asdict().items()}), cut(weight)


def principal(path: list[Vector]) -> tuple[Vector, Vector]:
    """The two main directions of the path's vectors, by the eigenvectors of their inner products."""
    gram = torch.tensor([[inner(u, v) for v in path] for u in path], dtype=torch.float64)
    vectors = torch.linalg.eigh(gram).eigenvectors
    first, second = vectors[:, -1].tolist(), vectors[:, -2].tolist()
    return combined(path, first), combined(path, second)


def random_directions(like: Vector, seed: int) -> tuple[Vector, Vector]:
    generator = torch.Generator().manual_seed(seed)
    first, second = ([torch.randn(w.shape, generator=generator) for w in like] for _ in range(2))
    return first, second


def filter_normalised(direction: Vector, weights: Vector) -> Vector:
    """Each output filter of `direction` with the norm of the weights' own; biases and norms stay where they are."""
    found = []
    for d, w in zip(direction, weights, strict=True):
        if w.dim() < 2:
            found.append(torch.zeros_like(w))
            continue
        filters = (-1, *[1] * (w.dim() - 1))
        found.append(d * (w.flatten(1).norm(dim=1) / (d.flatten(1).norm(dim=1) + 1e-10)).view(filters))
    return found


def project(path: list[Vector], first: Vector, second: Vector) -> tuple[list[tuple[float, float]], float | None]:
    """Least-squares coordinates of each vector on the plane, and the share of their squared length that lies in it."""
    gram = torch.tensor([[inner(u, v) for v in (first, second)] for u in (first, second)], dtype=torch.float64)
    places, inside, whole = [], 0.0, 0.0
    for vector in path:
        onto = torch.tensor([inner(vector, first), inner(vector, second)], dtype=torch.float64)
        place = torch.linalg.lstsq(gram, onto.unsqueeze(1), driver="gelsd").solution.squeeze(1)
        places.append((float(place[0]), float(place[1])))
        inside += float(place @ gram @ place)
        whole += inner(vector, vector)
    return places, inside / whole if whole else None


def inner(u: Vector, v: Vector) -> float:
    return sum(float((a.double() * b).sum()) for a, b in zip(u, v, strict=True))


def combined(path: list[Vector], factors: list[float]) -> Vector:
    """The sum of the path's vectors, each times its factor."""
    return [torch.stack([f * x for f, x in zip(factors, xs, strict=True)]).sum(0) for xs in zip(*path, strict=True)]
