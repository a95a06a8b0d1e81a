"""`rl explain RUN [RUN2]`: one offline HTML page that shows why a run learned what it learned.

Each panel is a function of a `Subject` that returns plain JSON; the page draws it, `--json` prints it.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from rl.errors import InputError
from rl.networks.tuples import TupleNetwork
from runs.explaining.history import charts, history_panel
from runs.explaining.patterns import patterns_panel
from runs.explaining.sight import States, play, require_layers, sight_panel
from runs.explaining.subject import NotShown, Subject
from runs.explaining.surface import surface_panel
from runs.explaining.update import update_panel
from runs.folder.trust import Trust
from runs.reporting.page import Page

PANELS = {"update": update_panel, "history": history_panel, "sight": sight_panel, "surface": surface_panel}
"""The panels in the order of their computation: the surface takes the time that is left."""
TABLES = {"patterns": patterns_panel}
"""Further panels of an n-tuple network; the page of another agent does not name them."""
CURVES = {"charts": "history", "progress": "patterns"}
"""What the page calls the curves of a panel's rows."""
SECONDS = 40.0  # for all panels of a page; opening the runs and writing the page come to it


def explain(
    run: str | Path,
    other: str | Path | None = None,
    *,
    out: str | Path | None = None,
    quiet: bool = True,
    trust: Trust = False,
) -> dict[str, Any]:
    """Writes the page and returns its numbers; reads the runs and changes nothing in them but the page's file.

    out: the page's file, by default `explain.html` in the run's folder.
    Raises `InputError` for a folder that is no run, or an `out` that cannot be written.
    """
    begun, threads = time.monotonic(), torch.get_num_threads()
    torch.set_num_threads(1)  # on a busy machine two threads wait for each other: an LSTM took 14 times as long
    try:
        subjects = [Subject.open(path, trust) for path in (run, other) if path is not None]
        until = begun + max(SECONDS, time.monotonic() - begun + SECONDS / 2)
        for k, subject in enumerate(subjects):
            subject.until = begun + (until - begun) * (k + 1) / len(subjects)
            subject.states = _states(subject)
        if len(subjects) == 2:
            subjects[1].share_batch(subjects[0])
        found = [_explained(subject, quiet) for subject in subjects]
    finally:
        torch.set_num_threads(threads)
    folder = Path(run).parent if Path(run).name == "run.json" else Path(run)
    path = folder / "explain.html" if out is None else Path(out)
    seconds = round(time.monotonic() - begun, 1)
    values = {"runs": [_drawn(one) for one in found], "shown": _shown(found), "seconds": seconds}
    if not quiet:
        print(_verdict(found))
    title, data = " beside ".join(s.title for s in subjects), {"schema": 1, "kind": "explain", "runs": found}
    Page(title, _verdict(found), data, "explain.jinja", values).write(path)
    for one in found:
        one["sight"].pop("frames", None)  # pictures are for the page
    return {"schema": 1, "html": str(path), "seconds": seconds, "bytes": path.stat().st_size, "runs": found}


def _states(subject: Subject) -> States | None:
    """New games of the agent, with pictures if the environment has some; None, and why, if it cannot play them."""
    seconds = 0.2 * (subject.until - time.monotonic())
    if _has_tuples(subject):
        subject.why_no_states = "it has tables of patterns and no layers"
        return None
    try:
        require_layers(subject.agent)
        try:
            return play(subject.run, subject.agent, seconds, pictures=True)
        except InputError as error:
            subject.missing.append(f"{subject.name}: no pictures of the states ({error}).")
            return play(subject.run, subject.agent, seconds)
    except expected(subject) as error:
        subject.why_no_states = str(error)
        subject.missing.append(f"{subject.name}: no states of new games, which two panels need ({error}).")
    return None


def expected(subject: Subject) -> type[Exception]:
    """What a panel may raise: `NotShown`, and anything if the agent is its user's own code."""
    return NotShown if type(subject.agent).__module__.startswith("agents.") else Exception


def _has_tuples(subject: Subject) -> bool:
    return isinstance(subject.agent.network, TupleNetwork)


def _explained(subject: Subject, quiet: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"name": subject.name, "title": subject.title, "seconds": {}}
    for name, panel in (PANELS | (TABLES if _has_tuples(subject) else {})).items():
        begun = time.monotonic()
        try:
            found[name] = panel(subject)
        except expected(subject) as error:
            kind = "" if isinstance(error, NotShown) else f"{type(error).__name__}: "
            found[name] = {"why_not": f"this agent lacks what the panel reads ({kind}{error})"}
        found["seconds"][name] = round(time.monotonic() - begun, 2)
        if not quiet:
            print(f"{subject.name}: {name}, {found['seconds'][name]:.1f} s")
    return {**found, "missing": subject.missing}


def _shown(found: list[dict[str, Any]]) -> list[str]:
    """The panels that show something of a run; the page has a section for each of them."""
    return [name for name in PANELS | TABLES if any("why_not" not in one.get(name, {"why_not": ""}) for one in found)]


def _drawn(one: dict[str, Any]) -> dict[str, Any]:
    """A run's numbers with its curves."""
    curves = {place: charts(one.get(name, {}).get("rows", [])) for place, name in CURVES.items()}
    return {**{name: {"why_not": "its network has no tuples of cells"} for name in TABLES}, **one, **curves}


def _verdict(found: list[dict[str, Any]]) -> str:
    """One sentence on the check of the gradients, and one on the strength of each n-tuple network."""
    if not _shown(found):
        return (
            "No panel applies: this agent learns or acts without the layers of a network. "
            "See what it expects by `rl watch` and, in a board game, `rl play --vs`."
        )
    sentences = [_strength(one["patterns"]) for one in found if "rows" in one.get("patterns", {})]
    if any("why_not" not in one[name] for one in found for name in PANELS):
        sentences.insert(0, _gradients([one["update"] for one in found if "nodes" in one["update"]]))
    return " ".join(sentences)


def _strength(panel: dict[str, Any]) -> str:
    first, last = (panel["rows"][k]["strength"] for k in (0, -1))
    return (
        f"The value alone wins {last['won']} and draws {last['drawn']} of {panel['matches']} games against minimax of "
        f"depth {panel['depth']}; untrained it won {first['won']} and drew {first['drawn']}."
    )


def _gradients(shown: list[dict[str, Any]]) -> str:
    if not shown:
        return "No single loss to differentiate: the panels on training and on what the network sees follow."
    worst, count = max(u["difference"] for u in shown), sum(len(u["nodes"]) + len(u["weights"]) for u in shown)
    if all(u["agrees"] for u in shown):
        return f"All {count} gradients of operations and weights equal autograd's: largest difference {worst:.1e}."
    return f"Gradients of this update differ from autograd's by up to {worst:.1e}; wrong operations are marked."
