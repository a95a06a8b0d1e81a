"""Sentences for the figures of a comparison: headlines, verdicts, warnings."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rl import stats as st
from runs.reporting.comparison_file import SHARED, short_commit


def budget(task: Mapping[str, Any], names: Sequence[str] | None = None) -> str:
    """ "2,000 steps", and who of `names` (all, unless given) was trained for another number: "(run:a: 8,000)"."""
    named = [c for c in task["contenders"] if (names is None or c["name"] in names) and c["name"] != "random"]
    own = {c["name"]: c["steps"] or task["steps"] for c in named}
    if len(set(own.values())) == 1:
        return f"{own.popitem()[1]:,} steps"
    others = ", ".join(f"{name}: {steps:,}" for name, steps in own.items() if steps != task["steps"])
    if others and task["steps"] not in own.values():
        return f"different numbers of steps ({others})"
    return f"{task['steps']:,} steps" + (f" ({others})" if others else "")


def number(x: float | None) -> str:
    """A score for people: three or four figures, thousands set apart."""
    if x is None:
        return "–"
    size = abs(x)
    if 0 < size < 1e-4:
        return f"{x:.2g}".replace("-", "−")
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.01 or x == 0 else 4
    text = f"{x:,.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text.replace("-", "−")


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


ENOUGH = 5
"""Seeds on each side from which the interval of a difference is shown."""


def shows_interval(pair: Mapping[str, Any]) -> bool:
    """Whether the pair has an interval, from enough seeds to be read."""
    return pair["interval"] is not None and min(pair["seeds"]) >= ENOUGH


def say(pair: Mapping[str, Any], scale: str = "", more: bool = True) -> str:
    """One pair's verdict as a sentence, and a second one on what `more` seeds would do.

    From fewer than `ENOUGH` seeds no interval is shown: it would be wider than the scores that are possible.
    """
    if lost := pair.get("lost"):
        return f"{pair['a']} and {pair['b']} cannot be compared: every training of {' and of '.join(lost)} failed."
    a, b, word = pair["a"], pair["b"], pair["verdict"]
    interval = pair["interval"]
    unit, shown = (f" {scale}", share) if scale else ("", number)
    x, y = pair["seeds"]
    seeds = f"{x} seed{'s' if x != 1 else ''} each" if x == y else f"{x} and {y} seeds"
    if interval is None:
        return (
            f"{a} scored {_signed(pair['difference'], shown)}{unit} against {b}, with {seeds}: one seed allows no "
            "interval and no verdict."
        )
    level = f"{100 * pair['level']:.3g}%"
    bounds = f"{level} interval {shown(interval[0])} to {shown(interval[1])}, {seeds}"
    if not shows_interval(pair):
        bounds = f"{seeds}; an interval needs {ENOUGH}"
    inside = f"{_signed(pair['difference'], shown)}{unit}, {bounds}"
    if word in ("better", "worse"):
        return f"{a} is {word} than {b} ({inside})."
    if word.startswith("equivalent"):
        return f"{a} and {b} are equivalent within the margin of {shown(pair['margin'])} ({inside})."
    advice = _more(pair["more_seeds"]) if more else ""
    return f"{a} and {b} are not distinguishable with this many seeds ({inside}).{advice}"


def say_suits(lead: Mapping[str, Any]) -> str:
    """Who leads on a task, in words."""
    if lead["best"] is None:
        return f"{lead['env']}: no training has finished yet."
    seeds = f"{lead['seeds']} seed{'s' if lead['seeds'] != 1 else ''}"
    kinds = (
        ("worse", "Worse"),
        ("equivalent", "Equivalent within the margin"),
        ("open", f"Not told apart with {seeds}"),
        ("one", "No verdict, from one seed"),
    )
    others = "".join(f" {words}: {', '.join(lead[kind])}." for kind, words in kinds if lead[kind])
    return f"{lead['env']}: {lead['best']} scored highest (IQM {number(lead['iqm'])}).{others}"


def _lead(lead: Mapping[str, Any]) -> str:
    """The contender with the highest score on a task, and which others it is shown to be better than."""
    place = f"{lead['best']} on {lead['env']} ({number(lead['iqm'])})"
    others = sum(len(lead[kind]) for kind in ("worse", "equivalent", "open", "one"))
    if others and len(lead["one"]) == others:
        return f"{place}, from one seed, which allows no verdict"
    seeds = f"{lead['seeds']} seed{'s' if lead['seeds'] != 1 else ''}"
    parts = [f"better than {', '.join(lead['worse'])}"] if lead["worse"] else []
    parts += [f"equivalent to {', '.join(lead['equivalent'])} within the margin"] if lead["equivalent"] else []
    parts += [f"not told apart from {', '.join(lead['open'])} with {seeds}"] if lead["open"] else []
    parts += [f"without a verdict against {', '.join(lead['one'])} (one seed)"] if lead["one"] else []
    return ", ".join([place, *parts])


def _signed(x: float, shown: Callable[[float], str] = number) -> str:
    return ("+" if x > 0 else "") + shown(x)


def _more(more: int | None) -> str:
    if more is None:
        return ""
    if more < 0:
        return " More than 1,000 further seeds would be needed to settle it."
    return (
        f" About {more:,} more seed{'s' if more != 1 else ''} each would settle it, should difference and spread stay."
    )


def _headline(found: Mapping[str, Any]) -> str:
    """What came out, after the contenders of which every training failed."""
    lost = [
        f"{c['name']} on {t['env']}"
        for t in found["tasks"]
        for c in t["contenders"]
        if c["failed"] and len(c["failed"]) == len(c["seeds"])
    ]
    said = _outcome(found)
    return f"Every training of {', '.join(lost)} failed and has no score of its own. {said}".strip() if lost else said


def _outcome(found: Mapping[str, Any]) -> str:
    """Who leads on which task, where only ours play; else the first pair with a peer in it, over all tasks."""
    leads = [lead for lead in found["suits"] if lead["best"] is not None]
    if leads:
        return "Highest score: {}.".format("; ".join(map(_lead, leads)))
    if found["aggregate"] and found["aggregate"]["pairs"]:
        pair = found["aggregate"]["pairs"][0]
        count = len(found["aggregate"]["tasks"])
        scale = "human-normalised" if found["aggregate"]["human"] else "normalised"
        return f"Over {count} tasks, {say(pair, scale, more=False)}"
    sentences = [
        f"On {t['env']} after {budget(t, _sides(t['pairs'][0]))}, {say(t['pairs'][0], more=False)}"
        for t in found["tasks"]
        if t["pairs"]
    ]
    if sentences:
        return " ".join(sentences)
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


def _sides(pair: Mapping[str, Any]) -> list[str]:
    return [pair["a"], pair["b"]]


def _few(seeds: int) -> str:
    """What intervals from fewer than `FEW_RUNS` seeds are worth.

    Below five, nearly every resample that counts is the lowest or the highest score again, so that one contender's
    interval is their span. That holds the median of what the seeds are drawn from with probability 1 - 2^(1-n).
    """
    said = f"{seeds} seeds: with fewer than {st.FEW_RUNS}, intervals are too narrow to lean on. Read them as a hint."
    if seeds > 4:
        return said
    return (
        f"{seeds} seeds: with fewer than {st.FEW_RUNS}, intervals are a hint. One contender's is the span of its "
        f"{seeds} scores, which holds the truth about {100 * (1 - 2 ** (1 - seeds)):.0f}% of the time at best. That of "
        f"a difference is left out; it needs {ENOUGH} seeds."
    )


def _warnings(comparison: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """What a reader must know before believing the page, one sentence each."""
    return [*_warn_of_seeds(found), *_warn_of_machines(comparison)]


def _warn_of_seeds(found: Mapping[str, Any]) -> list[str]:
    """Too few, failed, missing or unequal seeds, other budgets, and runs without a curve."""
    warnings = []
    sides = [(c, t) for t in found["tasks"] for c in t["contenders"] if c["name"] != "random" and c["seeds"]]
    every = [(c, t) for t in found["tasks"] for c in t["contenders"]]
    counts = [len(c["seeds"]) for c, _ in sides]
    single = list(dict.fromkeys(c["name"] for c, _ in sides if len(c["seeds"]) == 1))
    fewest = min((count for count in counts if count > 1), default=0)
    if single and not fewest:
        warnings.append("One seed: no interval is claimed, and the difference may be luck.")
    elif single:
        warnings.append(f"One seed of {', '.join(single)}: no interval and no verdict is claimed there.")
    if 0 < fewest < st.FEW_RUNS:
        warnings.append(_few(fewest))
    if other := [
        f"{c['name']} on {t['env']}, {c['steps']:,} instead of {t['steps']:,}"
        for c, t in sides
        if c["steps"] not in (None, t["steps"])
    ]:
        warnings.append(f"Not trained for the comparison's number of steps: {'; '.join(other)}.")
    if failed := [
        f"{c['name']} on {t['env']}: {len(c['failed'])} of {len(c['seeds'])}" for c, t in every if c["failed"]
    ]:
        known = all(t["random"] is not None for t in found["tasks"])
        counted = "the random policy's score" if known else "the lowest score on the task"
        warnings.append(f"Failed seeds, counted as {counted}: {'; '.join(failed)}.")
    if missing := [f"{c['name']} on {t['env']}" for c, t in every if not c["seeds"]]:
        warnings.append(f"No result yet: {', '.join(missing)}.")
    if len(set(counts)) > 1:
        warnings.append(f"The contenders have different numbers of seeds, {min(counts)} to {max(counts)}.")
    if ends := [
        f"{c['name']} on {t['env']}: {short} of {len(c['runs'])}"
        for c, t in every
        if 0 < (short := sum(len(r["steps"]) < 2 for r in c["runs"])) < len(c["runs"])
    ]:
        warnings.append(f"Evaluated at their end only, and so left out of the curves: {'; '.join(ends)}.")
    return warnings


def _warn_of_machines(comparison: Mapping[str, Any]) -> list[str]:
    """Trainings without times, of several commits, or with different libraries."""
    warnings = []
    idle = {c["name"] for c in comparison["contenders"] if c.get("source") in ("run", "random")}
    trained = [r for r in comparison["results"] if r["contender"] not in idle and r["status"] == "ok"]
    untimed = [r for r in trained if not r.get("alone", False)]
    shared = sum((r.get("others") or 0) >= SHARED or (r.get("jobs") or 1) > 1 for r in untimed)
    if shared:
        warnings.append(
            f"{shared} of {len(trained)} trainings shared the machine with other work: their times, speed and memory "
            "are left blank."
        )
    if len(untimed) > shared:
        warnings.append(
            f"{len(untimed) - shared} of {len(trained)} trainings have no times: they were interrupted, recorded on "
            "another machine, or nothing says how busy this one was."
        )
    commits: dict[str, set[str]] = {}
    for r in trained:
        for commit in filter(None, r.get("commits") or [r.get("commit")]):
            commits.setdefault(r["contender"], set()).add(short_commit(commit))
    if mixed := [f"{name} by {', '.join(sorted(of))}" for name, of in commits.items() if len(of) > 1]:
        warnings.append(f"Trained by more than one commit: {'; '.join(mixed)}.")
    if len({str(r.get("versions")) for r in comparison["results"] if r.get("versions")}) > 1:
        warnings.append("The trainings ran with different versions of the libraries; see the raw data.")
    return warnings
