"""Sentences and figures for people: verdicts, headlines, warnings, settings."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rl import stats as st
from runs.reporting.comparison_file import SHARED, short_commit

ENOUGH = 5
"""Seeds on each side from which the interval of a difference is shown."""


def budget(task: Mapping[str, Any], names: Sequence[str] | None = None) -> str:
    """ "2,000 steps", and which of `names` (all, unless given) have another budget: "(run:a: 8,000)"."""
    named = [c for c in task["contenders"] if (names is None or c["name"] in names) and c["name"] != "random"]
    own = {c["name"]: c["steps"] or task["steps"] for c in named}
    if len(set(own.values())) == 1:
        return f"{own.popitem()[1]:,} steps"
    others = ", ".join(f"{name}: {steps:,}" for name, steps in own.items() if steps != task["steps"])
    if others and task["steps"] not in own.values():
        return f"different numbers of steps ({others})"
    return f"{task['steps']:,} steps" + (f" ({others})" if others else "")


def number(x: float | None) -> str:
    """A score with three or four digits and separated thousands."""
    if x is None:
        return "–"
    size = abs(x)
    if 0 < size < 1e-4:
        return f"{x:.2g}".replace("-", "−")
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.01 or x == 0 else 4
    text = f"{x:,.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text.replace("-", "−")


def to_optimum_words(c: Mapping[str, Any]) -> tuple[str, str]:
    """A contender's exact return and its distance to the optimum, the latter by its sampled games if not exact."""
    if c["exact"] is None:
        return "–", "–" if c["below"] is None else f"{c['below']:.2g} (sampled)"
    return f"{c['exact']:.5g}", f"{abs(c['below']):.2g}" if abs(c["below"]) > 1e-9 else "0"


def share(x: float | None) -> str:
    """A normalised score or a probability."""
    return "–" if x is None else f"{x:.2f}".replace("-", "−")


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """Nested settings with dotted names."""
    if not isinstance(config, Mapping):
        return {prefix: config}
    out: dict[str, Any] = {}
    for key, value in config.items():
        out.update(flatten(value, f"{prefix}.{key}" if prefix else str(key)))
    return out


def setting(value: Any) -> str:
    """A setting's value for people."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)) and all(isinstance(v, (int, float, str)) for v in value):
        return "×".join(map(setting, value))
    return str(value) if value is None or isinstance(value, (bool, int, str)) else json.dumps(value)


def shows_interval(pair: Mapping[str, Any]) -> bool:
    """Whether the pair's interval is shown: it has one, from at least `ENOUGH` seeds on each side."""
    return pair["interval"] is not None and min(pair["seeds"]) >= ENOUGH


def say(pair: Mapping[str, Any], scale: str = "", more: bool = True) -> str:
    """One pair's verdict as a sentence, and with `more` a second one: how many more seeds would change it.

    From fewer than `ENOUGH` seeds no interval is shown: it would be wider than the scores that are possible.
    """
    a, b, word = pair["a"], pair["b"], pair["verdict"]
    if lost := pair.get("lost"):
        return f"{a} and {b} cannot be compared: every training of {' and of '.join(lost)} failed."
    unit, shown = (f" {scale}", share) if scale else ("", number)
    difference = f"{_signed(pair['difference'], shown)}{unit}"
    x, y = pair["seeds"]
    seeds = f"{_seeds(x)} each" if x == y else f"{x} and {y} seeds"
    if pair["interval"] is None:
        return f"{a} scored {difference} against {b}, with {seeds}: one seed allows no interval and no verdict."
    low, high = map(shown, pair["interval"])
    bounds = f"{100 * pair['level']:.3g}% interval {low} to {high}, {seeds}"
    inside = f"{difference}, {bounds if shows_interval(pair) else f'{seeds}; an interval needs {ENOUGH}'}"
    if word in ("better", "worse"):
        return f"{a} is {word} than {b} ({inside})."
    if word.startswith("equivalent"):
        return f"{a} and {b} are equivalent within the margin of {shown(pair['margin'])} ({inside})."
    advice = _more(pair["more_seeds"]) if more else ""
    return f"{a} and {b} are not distinguishable with this many seeds ({inside}).{advice}"


def say_suits(lead: Mapping[str, Any]) -> str:
    """The leader on a task and the verdicts on the others, in words."""
    if lead["best"] is None:
        return f"{lead['env']}: no training has finished yet."
    kinds = {
        "worse": "Worse",
        "equivalent": "Equivalent within the margin",
        "open": f"Not distinguishable with {_seeds(lead['seeds'])}",
        "one": "No verdict, from one seed",
    }
    others = "".join(f" {words}: {', '.join(lead[kind])}." for kind, words in kinds.items() if lead[kind])
    return f"{lead['env']}: {lead['best']} scored highest (IQM {number(lead['iqm'])}).{others}"


def _lead(lead: Mapping[str, Any], short: bool) -> str:
    """The leader on a task and the verdicts on the others, as a part of the headline; if `short`, only who is worse."""
    place = f"{lead['best']} on {lead['env']} ({number(lead['iqm'])})"
    kinds = {
        "worse": "better than {}",
        "equivalent": "equivalent to {} within the margin",
        "open": f"not distinguishable from {{}} with {_seeds(lead['seeds'])}",
        "one": "without a verdict against {} (one seed)",
    }
    shown = [kind for kind in kinds if lead[kind] and (kind == "worse" or not short)]
    if shown == ["one"]:
        return f"{place}, from one seed, which allows no verdict"
    return ", ".join([place, *(kinds[kind].format(", ".join(lead[kind])) for kind in shown)])


def _seeds(count: int) -> str:
    return f"{count:,} seed{'s' if count != 1 else ''}"


def _signed(x: float, shown: Callable[[float], str] = number) -> str:
    return ("+" if x > 0 else "") + shown(x)


def _more(more: int | None) -> str:
    if more is None:
        return ""
    if more < 0:
        return " More than 1,000 further seeds would be needed for a verdict."
    seeds = f"{more:,} more seed{'s' if more != 1 else ''}"
    return f" About {seeds} each would give a verdict, if difference and spread stay the same."


def headline(found: Mapping[str, Any]) -> str:
    """The outcome, after the contenders of which every training failed."""
    lost = [
        f"{c['name']} on {t['env']}"
        for t in found["tasks"]
        for c in t["contenders"]
        if c["failed"] and len(c["failed"]) == len(c["seeds"])
    ]
    outcome = _outcome(found)
    if not lost:
        return outcome
    return f"Every training of {', '.join(lost)} failed and has no score of its own. {outcome}".strip()


def _outcome(found: Mapping[str, Any]) -> str:
    """The leader on each task if all contenders are ours, else the first pair over all tasks or on each task."""
    leads = [lead for lead in found["suits"] if lead["best"] is not None]
    if leads:
        short = len(leads) > 1
        open_ = short and any(lead["equivalent"] or lead["open"] or lead["one"] for lead in leads)
        others = " All others are equivalent or not distinguishable." if open_ else ""
        return f"Highest score: {'; '.join(_lead(lead, short) for lead in leads)}.{others}"
    overall = found["aggregate"]
    if overall and overall["pairs"]:
        scale = "human-normalised" if overall["human"] else "normalised"
        return f"Over {len(overall['tasks'])} tasks, {say(overall['pairs'][0], scale, more=False)}"
    first = [(task, task["pairs"][0]) for task in found["tasks"] if task["pairs"]]
    if first:
        return " ".join(
            f"On {task['env']} after {budget(task, [pair['a'], pair['b']])}, {say(pair, more=False)}"
            for task, pair in first
        )
    scores = [
        f"{c['name']} scored {number(c['iqm'])} on {t['env']}"
        + (f" after {budget(t, [c['name']])}" if c["name"] != "random" else "")
        for t in found["tasks"]
        for c in t["contenders"]
        if c["iqm"] is not None
    ]
    if scores:
        return "; ".join(scores) + "."
    begun = any(c["failed"] for t in found["tasks"] for c in t["contenders"])
    return "" if begun else "No training has finished yet."


def warnings(comparison: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Reasons to be careful with the results, one sentence each."""
    sides = [(c, t) for t in found["tasks"] for c in t["contenders"]]
    left = comparison.get("left")
    running = [f"{left} trainings are still to come; this page is written again as they end."] if left else []
    return [*running, *_warn_of_few(sides), *_warn_of_missing(sides), *_warn_of_machines(comparison)]


Sides = Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]
"""Every contender with every task."""


def _warn_of_few(sides: Sides) -> list[str]:
    """Too few seeds.

    Below five, nearly every resample has the lowest or the highest score as its extreme, so that one contender's
    interval is the span of its scores. The span holds the median of their distribution with probability 1 - 2^(1-n).
    """
    sides = [(c, t) for c, t in sides if c["name"] != "random" and c["seeds"]]
    single = dict.fromkeys(c["name"] for c, _ in sides if len(c["seeds"]) == 1)
    fewest = min((len(c["seeds"]) for c, _ in sides if len(c["seeds"]) > 1), default=0)
    found = []
    if single and fewest:
        found.append(f"One seed of {', '.join(single)}: no interval and no verdict is claimed there.")
    elif single:
        found.append("One seed: no interval is claimed, and the difference may be luck.")
    if not 0 < fewest < st.FEW_RUNS:
        return found
    few = f"{fewest} seeds: with fewer than {st.FEW_RUNS}, intervals are"
    if fewest > 4:
        return [*found, f"{few} too narrow. Read them as a hint."]
    hold = 100 * (1 - 2 ** (1 - fewest))
    return [
        *found,
        f"{few} a hint. One contender's is the span of its {fewest} scores, which holds the truth about {hold:.0f}% of "
        f"the time at best. That of a difference is left out; it needs {ENOUGH} seeds.",
    ]


def _warn_of_missing(sides: Sides) -> list[str]:
    """Other budgets, failed, missing or unequal numbers of seeds, and runs without a curve."""

    def where(c: Mapping[str, Any], t: Mapping[str, Any]) -> str:
        return f"{c['name']} on {t['env']}"

    found = []
    trained = [(c, t) for c, t in sides if c["name"] != "random" and c["seeds"]]
    if other := [
        f"{where(c, t)}, {c['steps']:,} instead of {t['steps']:,}"
        for c, t in trained
        if c["steps"] not in (None, t["steps"])
    ]:
        found.append(f"Not trained for the comparison's number of steps: {'; '.join(other)}.")
    if failed := [f"{where(c, t)}: {len(c['failed'])} of {len(c['seeds'])}" for c, t in sides if c["failed"]]:
        known = all(t["random"] is not None for _, t in sides)
        counted = "the random policy's score" if known else "the lowest score on the task"
        found.append(f"Failed seeds, counted as {counted}: {'; '.join(failed)}.")
    if missing := [where(c, t) for c, t in sides if not c["seeds"]]:
        found.append(f"No result yet: {', '.join(missing)}.")
    counts = {len(c["seeds"]) for c, _ in trained}
    if len(counts) > 1:
        found.append(f"The contenders have different numbers of seeds, {min(counts)} to {max(counts)}.")
    if ends := [
        f"{where(c, t)}: {short} of {len(c['runs'])}"
        for c, t in sides
        if 0 < (short := sum(len(r["steps"]) < 2 for r in c["runs"])) < len(c["runs"])
    ]:
        found.append(f"Evaluated at the end only, and therefore left out of the curves: {'; '.join(ends)}.")
    return found


def _warn_of_machines(comparison: Mapping[str, Any]) -> list[str]:
    """Trainings without times, of several commits, or with different libraries."""
    found = []
    idle = {c["name"] for c in comparison["contenders"] if c.get("source") in ("run", "random")}
    trained = [r for r in comparison["results"] if r["contender"] not in idle and r["status"] == "ok"]
    untimed = [r for r in trained if not r.get("alone", False)]
    shared = sum((r.get("others") or 0) >= SHARED or (r.get("jobs") or 1) > 1 for r in untimed)
    if shared:
        found.append(
            f"{shared} of {len(trained)} trainings shared the machine with other work: their times, speed and memory "
            "are left blank."
        )
    if len(untimed) > shared:
        found.append(
            f"{len(untimed) - shared} of {len(trained)} trainings have no times: they were interrupted, recorded on "
            "another machine, or the load of this one is unknown."
        )
    commits: dict[str, set[str]] = {}
    for r in trained:
        for commit in filter(None, r.get("commits") or [r.get("commit")]):
            commits.setdefault(r["contender"], set()).add(short_commit(commit))
    if mixed := [f"{name} by {', '.join(sorted(of))}" for name, of in commits.items() if len(of) > 1]:
        found.append(f"Trained by more than one commit: {'; '.join(mixed)}.")
    if len({str(r.get("versions")) for r in comparison["results"] if r.get("versions")}) > 1:
        found.append("The trainings ran with different versions of the libraries; see the raw data.")
    return found
