"""The panel on the training: each checkpoint measured on the same batch and states."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from agents.base import Agent
from runs.explaining.sight import States, activations, outputs, play
from runs.explaining.subject import Subject, targets
from runs.reporting.charts import line_chart

DORMANT = 0.1  # tau of Sokar et al. (2023): a dormant unit's mean activation is at most this share of its layer's


def history_panel(subject: Subject) -> dict[str, Any]:
    """One row of numbers for each checkpoint that the time allows, as plain JSON."""
    states, rows, before = subject.known_states(), list[dict[str, Any]](), None
    comparable = not any(getattr(subject.run.agent, n, False) for n in ("normalize_return", "rescale", "munchausen"))
    seconds = 0.5 * (subject.until - time.monotonic())
    for agent in subject.through_training(seconds):
        output = outputs(agent, states.obs)
        row = {"step": agent.step, **_weights(agent, subject), **_units(agent, states), **_policy(output, before)}
        before = output
        if comparable:
            row |= _values(play(subject.run, agent, seconds / 20))
        rows.append(row)
    flow = rows[-1].get("flow", {})
    order = sorted(flow, key=flow.__getitem__)
    return {
        "rows": rows, "checkpoints": len(subject.checkpoints), "states": len(states.value), "tau": DORMANT,
        "slowest": order[0] if order else None, "fastest": order[-1] if order else None,
        "copied": "drift" in rows[-1] and not any(gap for row in rows for gap in row["drift"].values()),
    }  # fmt: skip


def _weights(agent: Agent, subject: Subject) -> dict[str, Any]:
    """Norms of each weight and of its gradient on the batch, and the distance of each target network."""
    named = {n: p for n, p in agent.network.named_parameters() if p.dim() > 1 and p.requires_grad}
    found: dict[str, Any] = {"weight": {n: float(p.detach().norm()) for n, p in named.items()}}
    if subject.batch is not None:
        loss = agent.objective(subject.batch, subject.weight)
        gradients = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
        found["gradient"] = {n: 0.0 if g is None else float(g.norm()) for n, g in zip(named, gradients, strict=True)}
        found["flow"] = {n: g / max(found["weight"][n], 1e-12) for n, g in found["gradient"].items()}
    for part, target in targets(agent).items():
        online = parameters_to_vector(agent.network.get_submodule(part).parameters())
        gap = (online - parameters_to_vector(target.parameters())).detach().norm() / online.detach().norm()
        found.setdefault("drift", {})[f"{part} share of the weights' norm".strip()] = float(gap)
    return found


def _units(agent: Agent, states: States) -> dict[str, Any]:
    """Shares of dead and dormant units by layer, and the effective rank of the last layer's features."""
    layers = activations(agent, states.obs)
    dead, dormant = {}, {}
    for k, op in enumerate(layers):
        size = op.out.detach().abs()
        unit = size.mean([d for d in range(size.dim()) if d != 1])  # [units]
        name = f"{op.name} {k + 1} of {len(layers)}, {len(unit)} units"
        dead[name] = float((unit == 0).double().mean())
        dormant[name] = float((unit <= DORMANT * unit.mean()).double().mean())
    last = [op.out.detach().flatten(1) for op in layers[-1:]]
    return {"dead": dead, "dormant": dormant, "rank": {f"of {x.shape[1]} features": effective_rank(x) for x in last}}


def effective_rank(features: Tensor) -> int:
    """The least k whose singular values sum to 99 % of all of them (Kumar et al. 2021), of features [M, F]."""
    total = torch.linalg.svdvals(features.double()).cumsum(0)
    return int((total < 0.99 * total[-1]).sum()) + 1 if float(total[-1]) > 0 else 0


@torch.no_grad()
def _policy(output: Any, before: Any) -> dict[str, Any]:
    """Entropy and KL divergence of a policy; of action values the share of states with another best action."""
    found: dict[str, Any] = {}
    dist: Any = getattr(output, "dist", None)
    if dist is not None:
        found["entropy"] = {"entropy, in nats": float(dist.entropy().mean())}
    elif before is not None and hasattr(output, "q_values"):
        changed = (output.q_values.argmax(-1) != before.q_values.argmax(-1)).double().mean()
        found["changed"] = {"other best action than a checkpoint before": float(changed)}
    if before is not None and hasattr(dist, "log_probs"):
        p, q = before.dist.log_probs, dist.log_probs
        found["kl"] = {"KL from the checkpoint before, in nats": float((p.exp() * (p - q)).sum(-1).mean())}
    return found


def _values(states: States) -> dict[str, Any]:
    known = ~np.isnan(states.followed)
    if not known.any():
        return {}
    value, followed = float(states.value[known].mean()), float(states.followed[known].mean())
    return {"values": {"estimated value": value, "return that followed": followed}}


def charts(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The curves of the numbers in `rows`, by their key: names of the lines, and the drawing."""
    found = {}
    for key in {key: None for row in rows for key in row if key != "step"}:
        lines: dict[str, dict[str, Any]] = {}
        for step, name, y in ((row["step"], name, y) for row in rows for name, y in row.get(key, {}).items()):
            line = lines.setdefault(name, {"name": name, "colour": len(lines), "x": [], "middle": []})
            line["x"].append(step)
            line["middle"].append(y)
        if lines:
            found[key] = {"names": list(lines), "svg": line_chart(key, list(lines.values()), "steps", "")}
    return found
