"""The panel on one real update: the loss as a graph, each gradient by our chain rule, and one weight's step."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor

from agents.base import Agent
from rl.optim import BETA2
from rl.schedules import value_at
from runs.explaining.subject import Subject, doubled, in_double
from runs.explaining.tape import RULES, TOLERANCE, Operation, Tape, chain_rule, check, difference

SHOWN = 6  # elements of a tensor


def update_panel(subject: Subject) -> dict[str, Any]:
    """The next gradient update of the run, as plain JSON; {"why_not": ...} if it cannot be shown."""
    if subject.batch is None:
        return {"why_not": subject.why_no_batch}
    agent, batch = in_double(subject.agent), subject.batch
    with Tape() as tape:
        loss = agent.objective(doubled(batch), doubled(subject.weight))
    operations = _needed(tape.operations, loss)
    ours = chain_rule(operations)
    weights = dict(agent.network.named_parameters())
    gradient = {name: ours[id(p)] for name, p in weights.items() if p.requires_grad and id(p) in ours}
    worst, theirs = check(operations), torch.autograd.grad(loss, [weights[name] for name in gradient])
    shown: list[dict[str, Any]] = [
        {"name": name, "shape": list(g.shape), "norm": float(g.norm()), "difference": difference(g, true)}
        for (name, g), true in zip(gradient.items(), theirs, strict=True)
    ]
    worst = max(worst, *(weight["difference"] for weight in shown))
    return {
        "loss": float(loss.detach()), "rows": int((batch.reward if hasattr(batch, "reward") else batch.target).numel()),
        "nodes": _nodes(operations, {id(p): name for name, p in weights.items()}),
        "difference": worst, "tolerance": TOLERANCE, "agrees": worst <= TOLERANCE,
        "weights": shown, "without_rule": sorted({op.name for op in operations if not op.own}),
        "step": _step(subject.agent, gradient),
    }  # fmt: skip


def _needed(operations: list[Operation], loss: Tensor) -> list[Operation]:
    """The operations that the loss depends on, in order."""
    needed, kept = {id(loss)}, []
    for op in reversed(operations):
        if id(op.out) in needed:
            kept.append(op)
            needed |= {id(x) for x in op.wanted.values()}
    return kept[::-1]


def _nodes(operations: list[Operation], names: dict[int, str]) -> list[dict[str, Any]]:
    """What the page shows of each operation; `names` are those of the weights by id."""
    place = {id(op.out): k for k, op in enumerate(operations)}
    called = {id(op.out): f"#{k} {op.name}" for k, op in enumerate(operations)} | names
    found: list[dict[str, Any]] = []
    for op in operations:
        before = sorted({place[id(x)] for x in op.inputs if id(x) in place})
        weights = [{"name": names[id(x)], **preview(x)} for x in op.inputs if id(x) in names]
        alike = [k for k, x in enumerate(op.inputs) if id(x) in place and x.shape == op.out.shape]
        found.append({
            "name": op.name, "label": weights[0]["name"].rpartition(".")[0] if weights else "",
            "rank": 1 + max((found[k]["rank"] for k in before), default=-1), "before": before,
            "shape": list(op.out.shape), "value": preview(op.out), "arrives": preview(op.arrives), "weights": weights,
            "formula": RULES[op.name].formula if op.own else "PyTorch's own: the table has no rule for it",
            "local": preview(op.by_rule(torch.ones_like(op.arrives)).get(alike[0])) if alike else None,
            "passes": [{"to": called.get(id(op.inputs[k]), "input"), **preview(d)} for k, d in op.passes.items()],
            "constants": [preview(x) for k, x in enumerate(op.inputs) if isinstance(x, Tensor) and k not in op.wanted],
            "rule": op.rule_gap, "chain": op.chain_gap, "own": op.own,
            "rule_ok": op.rule_gap <= TOLERANCE, "ok": max(op.rule_gap, op.chain_gap) <= TOLERANCE,
        })  # fmt: skip
    return found


def preview(x: Tensor | None) -> dict[str, Any]:
    """Shape, range and the first elements of a tensor; {} if it has none."""
    if x is None or not x.numel():
        return {}
    x = x.detach().double()
    least, mean, most = float(x.min()), float(x.mean()), float(x.max())
    return {"shape": list(x.shape), "first": x.flatten()[:SHOWN].tolist(), "least": least, "mean": mean, "most": most}


def _step(agent: Agent, gradient: dict[str, Tensor]) -> dict[str, Any]:
    """The optimizer's step on the weight of the largest gradient, by hand and by the optimizer itself."""
    part, optimizer = "", getattr(agent, "optimizer", None)
    if hasattr(agent, "optimizers"):  # the step of the critics, which comes first
        part, optimizer = "critics.", agent.optimizers["critics"]
        gradient = {n.removeprefix(part): g for n, g in gradient.items() if n.startswith(part)}
    if optimizer is None or optimizer.name not in ("adam", "adamw", "rmsprop"):
        return {"why_not": f"the step of {getattr(optimizer, 'name', 'this optimizer')} is not written out here"}
    name = max((n for n in gradient if gradient[n].dim() > 1), key=lambda n: float(gradient[n].abs().max()))
    index = tuple(int(k) for k in torch.unravel_index(gradient[name].abs().argmax(), gradient[name].shape))
    flat = int(dict(optimizer.module.named_parameters())[name].detach()[index].storage_offset())
    norm, limit = math.sqrt(sum(float(g.square().sum()) for g in gradient.values())), optimizer.max_grad_norm
    scale = limit / (norm + 1e-6) if limit is not None and norm > limit else 1.0
    lr = float(value_at(getattr(agent.config, "lr", 0.0), agent.step))
    state = {k: float(v if v.dim() == 0 else v[flat]) for k, v in optimizer.state.items()}
    weight, t = float(optimizer.flat[flat]), state.get("step", 0.0) + 1
    g = float(gradient[name][index]) * scale
    rms = optimizer.name == "rmsprop"  # it has no mean gradient and corrects no bias
    beta1, beta2 = (0.0, 0.99) if rms else (optimizer.beta1, BETA2)
    m_before, v_before = state.get("exp_avg", 0.0), state.get("square_avg" if rms else "exp_avg_sq", 0.0)
    m, v = beta1 * m_before + (1 - beta1) * g, beta2 * v_before + (1 - beta2) * g * g
    m_hat, v_hat = (m, v) if rms else (m / (1 - beta1**t), v / (1 - beta2**t))
    decayed = weight * (1 - lr * optimizer.weight_decay) if optimizer.name == "adamw" else weight
    after = decayed - lr * m_hat / (math.sqrt(v_hat) + optimizer.eps)
    other = copy.deepcopy(optimizer, {id(agent): agent})
    for key, p in other.module.named_parameters():
        p.grad.copy_(gradient.get(key, torch.zeros(())))
    other.apply(torch.zeros(()), lr)
    theirs = float(other.flat[flat])
    return {
        "optimizer": optimizer.name, "name": part + name, "index": list(index), "weight": weight, "gradient": g / scale,
        "norm": norm, "limit": limit, "scale": scale, "clipped": g, "lr": lr, "t": t, "beta1": beta1, "beta2": beta2,
        "eps": optimizer.eps, "m_before": m_before, "v_before": v_before, "m": m, "v": v, "m_hat": m_hat,
        "v_hat": v_hat, "after": after, "theirs": theirs,
        "ok": abs(after - theirs) <= 1e-3 * abs(theirs - weight) + 2e-7 * max(1.0, abs(weight)),
    }  # fmt: skip
