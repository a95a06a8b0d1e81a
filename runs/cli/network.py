"""`rl inspect`: the network that a recipe would train, layer by layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import agents
import envs
from rl.device import in_precision
from rl.networks.summary import describe, describe_tuples, render_facts, render_table
from rl.networks.tuples import TupleNetwork
from runs.folder.trust import Trust
from runs.recipe import Run, resolve


def inspect(
    recipe: str | Path | Run, *, agent: str | None = None, settings: Sequence[str] = (), trust: Trust = False
) -> dict[str, Any]:
    """Builds the recipe's agent and shows a blank observation to its network.

    Returns `layers` (name, kind, output shape, parameters, multiply-adds, receptive field), their sums, `tuples` (the
    numbers of an n-tuple network, else empty), and `table`, the same for people. Raises `InputError` as training would.
    """
    run = resolve(recipe, agent=agent, settings=settings, trust=trust)
    spec = envs.spec(run.env, run.env_config)
    player = agents.build(in_precision(run.agent, "fp32"), spec, num_envs=run.num_envs, seed=run.seed, device="cpu")
    rows = describe(player.network, spec, player.stack)
    facts = describe_tuples(player.network) if isinstance(player.network, TupleNetwork) else {}
    return {
        "env": run.env,
        "agent": player.name,
        "layers": [dataclasses.asdict(row) for row in rows],
        "parameters": sum(row.parameters for row in rows),
        "multiply_adds": sum(row.multiply_adds for row in rows),
        "tuples": facts,
        "table": render_facts(facts) if facts else render_table(rows),
    }
