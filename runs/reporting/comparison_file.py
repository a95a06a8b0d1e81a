"""comparison.json: its schema, reading and checking."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rl.errors import InputError
from rl.storage import read_json

SCHEMA = 1

SHARED = 0.15
"""Cores that other work may keep busy during a training whose times are still taken."""


def read_comparison(folder: Path | str) -> dict[str, Any]:
    """The comparison in `folder`. Raises `InputError` if there is none, or it is damaged or from another version."""
    path = Path(folder) / "comparison.json"
    if not path.is_file():
        raise InputError(f"{folder} is no comparison: it has no comparison.json")
    data = read_json(path)
    check_comparison(data, str(path))
    return dict(data)


def check_comparison(data: Any, where: str = "comparison.json") -> None:
    """Raises `InputError` naming the first thing that does not follow the schema."""
    if not isinstance(data, Mapping) or data.get("kind") != "comparison":
        raise InputError(f'{where} is no comparison: "kind" is not "comparison"')
    if data.get("schema") != SCHEMA:
        found = data.get("schema")
        raise InputError(f"{where} has schema {found!r}, this version reads {SCHEMA}: use the version that wrote it")
    for name in ("tasks", "contenders", "results"):
        if not isinstance(data.get(name), list):
            raise InputError(f"{where}: {name!r} must be a list")
    if not data["tasks"] or not data["contenders"]:
        raise InputError(f"{where}: it needs at least one task and one contender")
    tasks, names = [t["env"] for t in data["tasks"]], [c["name"] for c in data["contenders"]]
    for kind, known in (("task", tasks), ("contender", names)):
        if len(set(known)) != len(known):
            raise InputError(f"{where}: a {kind} is listed twice: {', '.join(known)}")
    seen = set()
    for r in data["results"]:
        who = (r.get("contender"), r.get("task"), r.get("seed"))
        if who in seen:
            raise InputError(f"{where}: {who[0]} seed {who[2]} on {who[1]} is listed twice")
        seen.add(who)
        for kind, known in (("task", tasks), ("contender", names)):
            if r.get(kind) not in known:
                raise InputError(f"{where}: a result is of {kind} {r.get(kind)!r}, which is not listed")
        if r.get("status") == "ok" and not finite(r.get("score")):
            run = f"{r['contender']} seed {r.get('seed')} on {r['task']}"
            raise InputError(f"{where}: {run} is ok, but its score is {r.get('score')!r}")


def finite(x: Any) -> bool:
    """Whether `x` is a finite number."""
    return isinstance(x, (int, float)) and not isinstance(x, bool) and math.isfinite(x)


def short_commit(commit: str) -> str:
    """Seven digits, and the + that marks a tree with uncommitted changes."""
    return commit[:7] + "+" * commit.endswith("+")
