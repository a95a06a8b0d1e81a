"""The page of a tuning, and the recipe file that it leaves."""

from __future__ import annotations

import pprint
from collections.abc import Mapping, Sequence
from typing import Any

from runs.recipe import Run, agent_name, describe
from runs.reporting.charts import line_chart
from runs.reporting.page import Cell, Chart, Page, Row, Table
from runs.reporting.task_tables import curve_table, point
from runs.reporting.wording import number, share
from runs.tuning.search import Search
from runs.tuning.study import one_line


def page(found: Mapping[str, Any], trials: Sequence[Any], search: Search, command: str) -> Page:
    """The page of what `tune` found, with every trial."""
    run, states = search.run, found["trials"]
    sides = [*found["candidates"], *([found["start"]] if found["start"] else [])]
    weights = [[f"`{name}`", share(value)] for name, value in found["importance"].items()]
    values = {
        "counts": f"{len(trials)} trials: {states['complete']} finished, {states['pruned']} pruned, "
        f"{states['fail']} failed; {number(found['minutes'])} minutes of training, one seed each.",
        "promises": _promises(sides) if sides else None,
        "sentences": [s["sentence"] for s in sides if s["sentence"]],
        "changes": [f"{s['name']}: `{' '.join(s['settings'])}`" for s in found["candidates"]],
        "importance": Table(["field", "importance"], weights) if weights else None,
        "charts": _history([t for t in trials if t.state.name == "COMPLETE"]),
        "trials": _trials(trials, search),
        "failures": [f"trial {t.number}: {_reason(t)}" for t in trials if t.state.name == "FAIL"],
        "command": command,
    }
    title = f"Search for {agent_name(run.agent)}'s values on {run.env}, {run.steps:,} steps"
    return Page(title, found["headline"], {"kind": "tuning", **found}, "tuning.jinja", values)


def _promises(sides: Sequence[Mapping[str, Any]]) -> Table:
    rows: list[Row] = []
    for s in sides:
        verdict = Cell(s["verdict"], s["verdict"].split()[0]) if s["verdict"] else "–"
        seeds = f"{s['seeds']} ({s['failed']} failed)" if s["failed"] else str(s["seeds"])
        kept = point(s["kept"], s["interval"])
        rows.append([s["name"], verdict, number(s["promised"]), kept, number(s["shrinkage"]), seeds])
    columns = ["values", "against the start values", "promised", "kept [95% interval]", "shrinkage", "fresh seeds"]
    return Table(columns, rows, words=2)


def _history(done: Sequence[Any]) -> list[Chart]:
    """The value of each finished trial, and the best until then."""
    if len(done) < 2:
        return []
    numbers, values = [t.number for t in done], [t.value for t in done]
    best = [max(values[: k + 1]) for k in range(len(values))]
    series = [
        {"name": "value of a trial", "colour": 0, "x": numbers, "middle": values},
        {"name": "best so far", "colour": 1, "x": numbers, "middle": best},
    ]
    svg, table = line_chart("history", series, "trial", "score"), curve_table(series, "trial", number)
    return [Chart("Each finished trial (solid), and the best so far (dashed)", svg, table)]


def _trials(trials: Sequence[Any], search: Search) -> Table:
    rows: list[Row] = []
    for t in trials:
        seen = max(t.intermediate_values, default=None)
        score = t.intermediate_values.get(seen) if t.value is None else t.value
        state = t.state.name.lower() + (f" at {seen:,}" if t.state.name == "PRUNED" and seen else "")
        words = " ".join(search.words(t)).replace("agent.", "") or ("the recipe's own" if not t.number else "–")
        rows.append([str(t.number), state, f"`{words}`", number(score), f"{t.user_attrs.get('seconds', 0):.0f}"])
    return Table(["trial", "state", "values", "score", "seconds"], rows, words=3)


def _reason(trial: Any) -> str:
    return one_line(trial.user_attrs.get("reason", ""))


def found_recipe(run: Run, best: Mapping[str, Any], command: str) -> str:
    """A recipe file: the whole run as plain values, so that later changes of the suite's recipes leave it as it is."""
    said = [f"Found by: {command}", f"{best['sentence']} In the search: {number(best['promised'])}.", *best["settings"]]
    value = pprint.pformat({**describe(run), "seed": 0}, width=110, sort_dicts=False)
    imports = "from runs.recipe import Run\nfrom runs.settings.plain import from_json"
    return "\n".join([*(f"# {one_line(line)}" for line in said), "", imports, "", f"run = from_json(Run, {value})", ""])
