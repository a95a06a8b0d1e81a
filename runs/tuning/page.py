"""The page of a tuning, and the recipe file that it leaves."""

from __future__ import annotations

import pprint
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from runs.recipe import Run, agent_name, describe
from runs.reporting.charts import line_chart
from runs.reporting.page import Cell, Chart, Page, Row, Table
from runs.reporting.task_tables import curve_table, point
from runs.reporting.wording import number, share
from runs.tuning.search import Search
from runs.tuning.study import STARTUP, one_line


def page(found: Mapping[str, Any], trials: Sequence[Any], search: Search, command: str) -> Page:
    """The page of what `tune` found, with every trial."""
    run, states = search.run, found["trials"]
    sides = [*found["candidates"], *([found["start"]] if found["start"] else [])]
    weights = [[f"`{name}`", share(value)] for name, value in found["importance"].items()]
    values = {
        "counts": f"{len(trials)} trials: {states['complete']} finished, {states['pruned']} pruned, "
        f"{states['fail']} failed; {number(found['minutes'])} minutes of training, one seed each.{_saved(trials, run)}",
        "promises": _promises(sides) if sides else None,
        "sentences": [s["sentence"] for s in sides[1:] if s["sentence"]],  # the first one is in the headline
        "changes": [f"{s['name']}: `{' '.join(s['settings'])}`" for s in found["candidates"]],
        "importance": Table(["field", "importance"], weights) if weights else None,
        "needed": STARTUP,
        "finished": states["complete"],
        "pruned": states["pruned"],
        "charts": [*_curves(trials), *_history([t for t in trials if t.state.name == "COMPLETE"])],
        "trials": _trials(trials, search),
        "failures": [f"trial {t.number}: {_reason(t)}" for t in trials if t.state.name == "FAIL"],
        "command": command,
    }
    title = f"Search for {agent_name(run.agent)}'s values on {run.env}, {run.steps:,} steps"
    headline = found["headline"][:1].upper() + found["headline"][1:]
    return Page(title, headline, {"kind": "tuning", **found}, "tuning.jinja", values)


def _promises(sides: Sequence[Mapping[str, Any]]) -> Table:
    rows: list[Row] = []
    for s in sides:
        verdict = Cell(s["verdict"], s["verdict"].split()[0]) if s["verdict"] else "–"
        seeds = f"{s['seeds']} ({s['failed']} failed)" if s["failed"] else str(s["seeds"])
        kept = point(s["kept"], s["interval"])
        promised = number(s["promised"]) + (f" ({s['trainings']} trainings)" if s["trainings"] > 1 else "")
        rows.append([s["name"], verdict, promised, kept, number(s["shrinkage"]), seeds])
    columns = ["values", "against the start values", "promised", "kept [95% interval]", "shrinkage", "fresh seeds"]
    return Table(columns, rows, words=2)


def _saved(trials: Sequence[Any], run: Run) -> str:
    """How much of their budget the pruned trials took."""
    ends = [max(t.intermediate_values, default=0) for t in trials if t.state.name == "PRUNED"]
    whole = len(ends) * run.steps
    return f" The pruned trials were stopped after {sum(ends) / whole:.0%} of their steps." if whole else ""


def _curves(trials: Sequence[Any]) -> list[Chart]:
    """The evaluations of every trial: where the pruned ones ended, and the median that they had to reach."""
    series: list[dict[str, Any]] = []
    for colour, state in enumerate(("COMPLETE", "PRUNED")):
        runs = [
            sorted(t.intermediate_values.items()) for t in trials if t.state.name == state and t.intermediate_values
        ]
        steps = sorted({step for run in runs for step, _ in run})
        middle = [float(np.median([v for run in runs for at, v in run if at == step])) for step in steps]
        name = {"COMPLETE": "finished, median", "PRUNED": "pruned, median"}[state]
        lines = [tuple(zip(*run, strict=True)) for run in runs]
        series += [{"name": name, "colour": colour, "x": steps, "middle": middle, "runs": lines}] if steps else []
    if len(series) < 2:  # nothing was pruned, or nothing has finished
        return []
    svg = Markup('<div class="show-runs">{}</div>').format(line_chart("trials", series, "steps", "score"))
    caption = "Evaluations of the trials: finished (solid) and pruned (dashed), thick lines are medians"
    return [Chart(caption, svg, curve_table(series, "steps", number))]


def _history(done: Sequence[Any]) -> list[Chart]:
    """The value of each finished trial, and the best until then, as a staircase."""
    if len(done) < 2:
        return []
    best: list[tuple[int, float]] = []
    for t in done:
        if not best or t.value > best[-1][1]:
            best += [(t.number, best[-1][1]), (t.number, t.value)] if best else [(t.number, t.value)]
    last = done[-1].number
    stairs = [*best, (last, best[-1][1])]
    series = [
        {"name": "value of a trial", "colour": 0, "x": [t.number for t in done], "middle": [t.value for t in done]},
        {"name": "best so far", "colour": 1, "x": [x for x, _ in stairs], "middle": [y for _, y in stairs]},
    ]
    rises = dict(best)  # of two points at one trial the later
    table = Table(["trial", *map(str, rises)], [["best so far", *map(number, rises.values())]])
    svg = line_chart("history", series, "trial", "score", whole=True)
    return [Chart("Value of each finished trial (solid), and the best so far (dashed)", svg, table)]


def _trials(trials: Sequence[Any], search: Search) -> Table:
    rows: list[Row] = []
    for t in trials:
        seen = max(t.intermediate_values, default=None)
        score = t.intermediate_values.get(seen) if t.value is None else t.value
        state = t.state.name.lower() + (
            f" at {seen:,} of {search.run.steps:,}" if t.state.name == "PRUNED" and seen else ""
        )
        words = " ".join(search.words(t)).replace("agent.", "") or ("the recipe's own" if not t.number else "–")
        words = f"as trial {t.user_attrs['repeats']}" if "repeats" in t.user_attrs else words
        source = f" (from {t.user_attrs['source']})" if t.number and "source" in t.user_attrs else ""
        rows.append(
            [str(t.number), state, f"`{words}`{source}", number(score), f"{t.user_attrs.get('seconds', 0):.0f}"]
        )
    return Table(["trial", "state", "values", "score", "seconds"], rows, words=3)


def _reason(trial: Any) -> str:
    return one_line(trial.user_attrs.get("reason", ""))


def found_recipe(run: Run, best: Mapping[str, Any], command: str) -> str:
    """A recipe file: the whole run as plain values, so that later changes of the suite's recipes leave it as it is."""
    said = [f"Found by: {command}", f"{best['sentence']} In the search: {number(best['promised'])}.", *best["settings"]]
    value = pprint.pformat({**describe(run), "seed": 0}, width=110, sort_dicts=False)
    imports = "from runs.recipe import Run\nfrom runs.settings.plain import from_json"
    comments = [f"# {one_line(line)}".replace("\N{MINUS SIGN}", "-") for line in said]
    return "\n".join([*comments, "", imports, "", f"run = from_json(Run, {value})", ""])
