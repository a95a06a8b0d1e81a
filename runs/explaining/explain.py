"""`rl explain RUN [RUN2]`: one offline HTML page that shows why a run learned what it learned.

Each panel is a function of a `Subject` that returns plain JSON; the page draws it, `--json` prints it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from rl.errors import InputError
from rl.storage import write_atomic
from runs.explaining.subject import Subject
from runs.explaining.update import update_panel
from runs.folder.trust import Trust
from runs.reporting.page import Page

PANELS: dict[str, Callable[[Subject], dict[str, Any]]] = {"update": update_panel}
"""The panels in the page's order; `explain.jinja` has a section for each."""


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
    begun = time.perf_counter()
    threads = torch.get_num_threads()
    torch.set_num_threads(min(2, threads))
    try:
        subjects = [Subject.open(path, trust) for path in (run, other) if path is not None]
        if len(subjects) == 2:
            subjects[1].share_batch(subjects[0])
        found = [_explained(subject, quiet) for subject in subjects]
    finally:
        torch.set_num_threads(threads)
    path = _place(run) if out is None else Path(out)
    seconds = round(time.perf_counter() - begun, 1)
    page = Page(_title(subjects), _verdict(found), {"schema": 1, "kind": "explain", "runs": found}, "explain.jinja", {
        "runs": [{k: one[k] for k in ("name", "title", "missing")} for one in found],
        "seconds": seconds,
    })  # fmt: skip
    try:
        write_atomic(path, page.render("html").encode())
    except OSError as error:
        raise InputError(f"--out {path} cannot be written: {error.strerror}; name another file") from error
    return {"schema": 1, "html": str(path), "seconds": seconds, "bytes": path.stat().st_size, "runs": found}


def _explained(subject: Subject, quiet: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"name": subject.name, "title": subject.title, "seconds": {}}
    for name, panel in PANELS.items():
        begun = time.perf_counter()
        found[name] = panel(subject)
        found["seconds"][name] = round(time.perf_counter() - begun, 2)
        if not quiet:
            print(f"{subject.name}: {name}, {found['seconds'][name]:.1f} s")
    return {**found, "missing": subject.missing}


def _place(run: str | Path) -> Path:
    folder = Path(run)
    return (folder.parent if folder.name == "run.json" else folder) / "explain.html"


def _title(subjects: list[Subject]) -> str:
    return " beside ".join(subject.title for subject in subjects)


def _verdict(found: list[dict[str, Any]]) -> str:
    """One sentence on the check of the gradients."""
    shown = [one["update"] for one in found if "nodes" in one["update"]]
    if not shown:
        return "No single loss to differentiate: the panels on training and on what the network sees follow."
    worst, nodes = max(u["difference"] for u in shown), sum(len(u["nodes"]) for u in shown)
    if all(u["agrees"] for u in shown):
        return f"All {nodes} gradients of one update equal autograd's: largest difference {worst:.1e}."
    return f"Gradients of this update differ from autograd's by up to {worst:.1e}: the marked operations are wrong."
