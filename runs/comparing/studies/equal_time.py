"""Scores after equal time, from the curves of a comparison: `python -m runs.comparing.studies.equal_time DIR`.

The time of a task is the median in which its fastest contender made all its steps. Every other contender counts with
its newest evaluation until then. A comparison leaves times blank if trainings shared the machine; here they are used,
because the ratios of the contenders' times survive a load that all of them had.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rl.stats import iqm, on_grid
from rl.storage import read_json
from runs.reporting.wording import number


def equal_time(comparison: Mapping[str, Any]) -> dict[str, tuple[float, dict[str, tuple[float, float | None]]]]:
    """By task: the time in seconds, and for each contender the median seconds of all its steps and its IQM by then.

    The IQM is None if half of its seeds or more have no evaluation by then; else over the seeds that have one.
    """
    curves: dict[str, dict[str, list[np.ndarray]]] = defaultdict(lambda: defaultdict(list))
    for result in comparison["results"]:
        if result["status"] == "ok" and result["curve"]:
            curves[result["task"]][result["contender"]].append(np.array(result["curve"], float)[:, 1:].T)
    names, found = [c["name"] for c in comparison["contenders"]], {}
    for task in (t["env"] for t in comparison["tasks"]):
        mine = curves[task]
        whole = {name: float(np.median([seconds[-1] for seconds, _ in mine[name]])) for name in names}
        time, rows = min(whole.values()), {}
        for name in names:
            ends = [seconds[-1] if whole[name] == time else time for seconds, _ in mine[name]]
            by_then = np.array(
                [on_grid(x, y, np.array([end]), "hold")[0] for (x, y), end in zip(mine[name], ends, strict=True)]
            )
            known = by_then[~np.isnan(by_then)]
            rows[name] = whole[name], float(iqm(known)) if 2 * len(known) > len(by_then) else None
        found[task] = time, rows
    return found


def markdown(comparison: Mapping[str, Any]) -> str:
    """Two tables, one row a task: IQM after equal time, and seconds of all steps."""
    found, names = equal_time(comparison), [c["name"] for c in comparison["contenders"]]
    lines = [f"| task | seconds | {' | '.join(names)} |", "|:--|--:|" + "--:|" * len(names)]
    for task, (time, rows) in found.items():
        cells = ["–" if score is None else number(score) for _, score in rows.values()]
        lines.append(f"| {task} | {time:.0f} | {' | '.join(cells)} |")
    lines += ["", f"| seconds of all steps | {' | '.join(names)} |", "|:--|" + "--:|" * len(names)]
    for task, (_, rows) in found.items():
        lines.append(f"| {task} | {' | '.join(f'{seconds:.0f}' for seconds, _ in rows.values())} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(markdown(read_json(Path(sys.argv[1]) / "comparison.json")), end="")
