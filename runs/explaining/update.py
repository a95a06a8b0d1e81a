"""The panel on one real update: the loss as a graph, each gradient by our chain rule, and one weight's step."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor

from rl.optim import BETA2
from rl.schedules import value_at
from runs.explaining.subject import Subject, doubled, in_double
from runs.explaining.tape import RULES, TOLERANCE, Check, Operation, Tape, chain_rule, check, difference

SHOWN = 6
"""Elements of a tensor that the page shows."""


def update_panel(subject: Subject) -> dict[str, Any]:
    """The next gradient update of the run, as plain JSON; {"why_not": ...} if it cannot be shown."""
    if subject.batch is None:
        return {"why_not": subject.why_no_batch}
    agent = subject.agent
    with in_double(agent):
        tape = Tape()
        with tape:
            loss = agent.objective(doubled(subject.batch), doubled(subject.weight))
        names = {id(p): name for name, p in agent.network.named_parameters()}
        operations = _needed(tape.operations, loss)
        ours, passed = chain_rule(operations)
        checks = check(operations, ours, passed)
        parameters = {n: p for n, p in agent.network.named_parameters() if p.requires_grad and id(p) in ours}
        theirs = torch.autograd.grad(loss, list(parameters.values()), retain_graph=True)
        differences = {
            name: difference(ours.get(id(p)), g) for (name, p), g in zip(parameters.items(), theirs, strict=True)
        }
        worst = max([*differences.values(), *(max(c) for c in checks)])
        gradient = {name: ours[id(p)] for name, p in parameters.items()}
        nodes = _nodes(operations, checks, ours, passed, names)
    return {
        "loss": float(loss.detach()),
        "rows": _rows(subject.batch),
        "nodes": nodes,
        "weights": [
            {"name": name, "shape": list(g.shape), "norm": float(g.norm()), "difference": differences[name]}
            for name, g in gradient.items()
        ],
        "difference": worst,
        "tolerance": TOLERANCE,
        "agrees": worst <= TOLERANCE,
        "without_rule": sorted({op.name for op in operations if not op.own}),
        "step": _step(subject, gradient),
    }


def _rows(batch: Any) -> int:
    """Transitions in the batch."""
    return int(batch.reward.numel()) if hasattr(batch, "reward") else int(batch.target.numel())


def _needed(operations: list[Operation], loss: Tensor) -> list[Operation]:
    """The operations that the loss depends on, in order."""
    needed, kept = {id(loss)}, []
    for op in reversed(operations):
        if id(op.out) in needed:
            kept.append(op)
            needed |= {id(x) for x, wanted in zip(op.inputs, op.wanted, strict=True) if wanted}
    return kept[::-1]


def _nodes(
    operations: list[Operation],
    checks: list[Check],
    ours: dict[int, Tensor],
    passed: list[list[Tensor | None]],
    names: dict[int, str],
) -> list[dict[str, Any]]:
    place = {id(op.out): k for k, op in enumerate(operations)}
    rank: list[int] = []
    found = []
    for op, checked, passes in zip(operations, checks, passed, strict=True):
        before = [place[id(x)] for x in op.inputs if id(x) in place]
        rank.append(1 + max((rank[k] for k in before), default=-1))
        g = ours[id(op.out)]
        weights = [(names[id(x)], x) for x in op.inputs if id(x) in names]
        alike = [k for k, x in enumerate(op.inputs) if id(x) in place and x.shape == op.out.shape]
        found.append(
            {
                "name": op.name,
                "label": weights[0][0].rpartition(".")[0] if weights else "",
                "rank": rank[-1],
                "before": sorted(set(before)),
                "shape": list(op.out.shape),
                "formula": RULES[op.name].formula if op.own else "PyTorch's own: the table has no rule for it",
                "value": preview(op.out),
                "arrives": preview(g),
                "local": preview(op.by_rule(torch.ones_like(g))[alike[0]]) if alike else None,
                "passes": [
                    {"to": _called(x, place, names, operations), **(preview(d) or {})}
                    for x, d in zip(op.inputs, passes, strict=True)
                    if d is not None
                ],
                "weights": [{"name": name, **(preview(x) or {})} for name, x in weights],
                "constants": [
                    preview(x) for x, w in zip(op.inputs, op.wanted, strict=True) if isinstance(x, Tensor) and not w
                ],
                "rule": checked.rule,
                "chain": checked.chain,
                "ok": max(checked) <= TOLERANCE,
                "rule_ok": checked.rule <= TOLERANCE,
                "own": op.own,
            }
        )
    return found


def _called(x: Tensor, place: dict[int, int], names: dict[int, str], operations: list[Operation]) -> str:
    if id(x) in names:
        return names[id(x)]
    return f"#{place[id(x)]} {operations[place[id(x)]].name}" if id(x) in place else "input"


def preview(x: Tensor | None) -> dict[str, Any] | None:
    """Shape, range and the first elements of a tensor."""
    if x is None or not x.numel():
        return None
    x = x.detach().double()
    return {
        "shape": list(x.shape),
        "first": [float(v) for v in x.flatten()[:SHOWN]],
        "least": float(x.min()),
        "mean": float(x.mean()),
        "most": float(x.max()),
    }


def _step(subject: Subject, gradient: dict[str, Tensor]) -> dict[str, Any]:
    """The optimizer's step on the weight of the largest gradient, by hand and by the optimizer itself."""
    agent = subject.agent
    part, optimizer = "", getattr(agent, "optimizer", None)
    if hasattr(agent, "optimizers"):  # the step of the critics, which comes first
        part, optimizer = "critics.", agent.optimizers["critics"]
        gradient = {n.removeprefix(part): g for n, g in gradient.items() if n.startswith(part)}
    if optimizer is None or optimizer.name not in ("adam", "adamw", "rmsprop"):
        return {"why_not": f"the step of {getattr(optimizer, 'name', 'this optimizer')} is not written out here"}
    name = max((n for n in gradient if gradient[n].dim() > 1), key=lambda n: float(gradient[n].abs().max()))
    index = tuple(int(k) for k in torch.unravel_index(gradient[name].abs().argmax(), gradient[name].shape))
    flat = int(dict(optimizer.module.named_parameters())[name].detach()[index].storage_offset())
    norm = math.sqrt(sum(float(g.square().sum()) for g in gradient.values()))
    limit = optimizer.max_grad_norm
    scale = limit / (norm + 1e-6) if limit is not None and norm > limit else 1.0
    lr = float(value_at(getattr(agent.config, "lr", 0.0), agent.step))
    state = {k: float(v if v.dim() == 0 else v[flat]) for k, v in optimizer.state.items()}
    state = state or {"step": 0.0, "exp_avg": 0.0, "exp_avg_sq": 0.0, "square_avg": 0.0}
    g, weight, t = float(gradient[name][index]) * scale, float(optimizer.flat[flat]), state["step"] + 1
    if optimizer.name == "rmsprop":
        m, m_hat, v = g, g, 0.99 * state["square_avg"] + 0.01 * g * g
        v_hat = v
    else:
        m = optimizer.beta1 * state["exp_avg"] + (1 - optimizer.beta1) * g
        v = BETA2 * state["exp_avg_sq"] + (1 - BETA2) * g * g
        m_hat, v_hat = m / (1 - optimizer.beta1**t), v / (1 - BETA2**t)
    decayed = weight * (1 - lr * optimizer.weight_decay) if optimizer.name == "adamw" else weight
    after = decayed - lr * m_hat / (math.sqrt(v_hat) + optimizer.eps)
    other = copy.deepcopy(optimizer, {id(agent): agent})
    with torch.no_grad():
        other.grad.zero_()
        for key, p in other.module.named_parameters():
            if key in gradient:
                p.grad.copy_(gradient[key])
    other.apply(torch.zeros(()), lr)
    theirs = float(other.flat[flat])
    moved = abs(theirs - weight)
    return {
        "optimizer": optimizer.name, "name": part + name, "index": list(index), "weight": weight, "gradient": g / scale,
        "norm": norm, "limit": limit, "scale": scale, "clipped": g, "lr": lr, "t": t, "beta1": optimizer.beta1,
        "beta2": BETA2, "eps": optimizer.eps, "m_before": state.get("exp_avg"),
        "v_before": state.get("exp_avg_sq", state.get("square_avg")), "m": m, "v": v, "m_hat": m_hat, "v_hat": v_hat,
        "after": after, "theirs": theirs, "ok": abs(after - theirs) <= 1e-3 * moved + 2e-7 * max(1.0, abs(weight)),
    }  # fmt: skip
