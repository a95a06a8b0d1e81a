"""A run folder as an object for notebooks and scripts: its curve, film and tables; and many runs as a plot or a frame.

    result = runs.Result(runs.train("cartpole_ppo", steps=20_000))
    result.curve(); result.film(); result.table()

Everything is read anew when it is asked for, so a training may still be running. matplotlib and pandas are imported at
the first use.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rl.errors import InputError
from rl.stats import iqm
from rl.storage import read_json
from runs.folder.jsonl import read_jsonl
from runs.folder.run_folder import resolve
from runs.folder.trust import Trust
from runs.watching.learning_curve import smoothed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FILM = (480, 360)
"""Pixels of a film in a notebook."""
LONGEST = 500
"""Most steps of a film's game."""


class Rows(list[dict[str, Any]]):
    """Rows of a table with the same keys: a list of dicts that a notebook shows as a table."""

    def __repr__(self) -> str:
        if not self:
            return "no rows yet"
        cells = [list(self[0]), *([_text(value) for value in row.values()] for row in self)]
        wide = [max(map(len, column)) for column in zip(*cells, strict=True)]
        return "\n".join("  ".join(f"{cell:>{w}}" for cell, w in zip(row, wide, strict=True)) for row in cells)

    def _repr_html_(self) -> str:
        if not self:
            return "<p>no rows yet</p>"
        head = "".join(f"<th>{escape(name)}</th>" for name in self[0])
        body = "".join("<tr>" + "".join(f"<td>{escape(_text(v))}</td>" for v in row.values()) + "</tr>" for row in self)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


class Film:
    """A video file that a notebook plays inline."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"Film({str(self.path)!r})"

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.path.read_bytes()).decode()
        return (
            f'<video src="data:video/webm;base64,{data}" controls autoplay muted loop style="max-width:100%"></video>'
        )


class Result:
    """One run folder. `run` is its path, or what `runs.train` returned.

    Raises `InputError` if there is no run. trust: as `runs.load`, for films of a run that names code.
    """

    def __init__(self, run: str | Path | Mapping[str, Any], *, trust: Trust = False) -> None:
        self.folder = Path(run["run"] if isinstance(run, Mapping) else run)
        if not (self.folder / "run.json").is_file():
            raise InputError(f"{self.folder} is no run folder: it has no run.json")
        self._trust = trust
        info = read_json(self.folder / "run.json")
        recipe = info.get("recipe") if isinstance(info, Mapping) else None
        if not isinstance(recipe, Mapping) or not isinstance(recipe.get("agent"), Mapping):
            raise InputError(f"{self.folder / 'run.json'} has no recipe: it is damaged, or from another version")
        self.info: Mapping[str, Any] = info
        """run.json."""
        self.env, self.agent = str(recipe.get("env")), str(recipe["agent"].get("name"))
        self.seed, self.budget = recipe.get("seed", 0), recipe.get("steps")

    @property
    def evaluations(self) -> list[dict[str, Any]]:
        """One dict an evaluation: `step`, `seconds`, `mean`, `returns` and more."""
        return [line for line in read_jsonl(self.folder / "evaluations.jsonl") if line.get("returns")]

    @property
    def episodes(self) -> list[dict[str, Any]]:
        """One dict a finished training episode: `step`, `return`, `length` and more."""
        return read_jsonl(self.folder / "episodes.jsonl")

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """One dict a line of metrics.jsonl: `step`, `train/loss` and more."""
        return read_jsonl(self.folder / "metrics.jsonl")

    @property
    def score(self) -> float | None:
        """Mean return of the newest evaluation; None before the first."""
        found = self.evaluations
        return float(np.mean(found[-1]["returns"])) if found else None

    def table(self) -> Rows:
        """The evaluations: step, games, mean, IQM, lowest and highest return."""
        rows = Rows()
        for line in self.evaluations:
            returns = np.array(line["returns"], dtype=float)
            middle = {"mean": float(returns.mean()), "IQM": float(iqm(returns))}
            ends = {"lowest": float(returns.min()), "highest": float(returns.max())}
            rows.append({"step": line["step"], "games": len(returns), **middle, **ends})
        return rows

    def curve(self, metric: str = "return", ax: Axes | None = None) -> Axes:
        """`plot` of this run alone."""
        return plot(self, metric=metric, ax=ax)

    def film(self, episodes: int = 1, seed: int = 0, size: tuple[int, int] = FILM) -> Film:
        """Plays `episodes` games with the newest checkpoint and films them, with what the agent thinks.

        The file is videos/film-s<seed>.webm in the run folder.
        """
        from runs.training.evaluation import load_run
        from runs.watching.film import film

        agent, run = load_run(self.folder, trust=self._trust)
        path = self.folder / "videos" / f"film-s{seed}.webm"
        return Film(film(agent, run, path, episodes=episodes, seed=seed, size=size, longest=LONGEST))

    def __repr__(self) -> str:
        return f"Result({str(self.folder)!r}): {self._words()}"

    def _words(self) -> str:
        try:
            step = f"{int(resolve(self.folder).manifest['step']):,} steps"
        except InputError:
            step = "no checkpoint yet"
        score = "no evaluation yet" if self.score is None else f"mean return {self.score:.1f}"
        return f"{self.agent} on {self.env}, seed {self.seed}, {step}, {score}"

    def _repr_html_(self) -> str:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6, 2.6), layout="constrained")
        self.curve(ax=figure.subplots())
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=80)
        data = base64.b64encode(picture.getvalue()).decode()
        words = f"<b>{escape(self._words())}</b><br><code>{escape(str(self.folder))}</code>"
        return f'<div>{words}<br><img src="data:image/png;base64,{data}" alt="learning curve"></div>'


Results = Result | str | Path | Mapping[str, Any]


def plot(*results: Results | Iterable[Results], metric: str = "return", ax: Axes | None = None) -> Axes:
    """The curves of runs over their steps, as matplotlib axes: `ax`, or new ones.

    metric: "return" is the mean of each evaluation, or of the training episodes if there are fewer than two
    evaluations; else the name of a metric, such as "train/loss". Raises `InputError` if no run has it.
    """
    found = _results(results)
    if ax is None:
        from matplotlib import pyplot

        ax = pyplot.subplots(figsize=(7, 3.6), layout="constrained")[1]
    known: set[str] = set()
    drawn = 0
    for one in found:
        steps, values, names = _series(one, metric)
        known |= names
        if len(steps):
            ax.plot(steps, values, marker="." if len(steps) < 40 else "", label=_label(one, found))
            drawn += 1
    if metric != "return" and not drawn:
        raise InputError(f"no run has the metric {metric!r}: known: {', '.join(sorted(known)) or 'none yet'}")
    ax.set_xlabel("environment steps")
    ax.set_ylabel("return of a game" if metric == "return" else metric)
    ax.set_title(" and ".join(sorted({one.env for one in found})), loc="left")
    ax.grid(alpha=0.3)
    if drawn:
        ax.legend()
    return ax


def frame(*results: Results | Iterable[Results], what: str = "evaluations") -> Any:
    """The evaluations, episodes or metrics of runs as one pandas DataFrame, with the columns run, env, agent and seed.

    Raises `InputError` for another word, and if pandas is not installed.
    """
    if what not in ("evaluations", "episodes", "metrics"):
        raise InputError(f"what {what!r}: expected evaluations, episodes or metrics")
    try:
        import pandas
    except ModuleNotFoundError as error:
        raise InputError('runs.frame needs pandas: pip install "ludo-rl[notebooks]"') from error
    rows = [
        {"run": str(one.folder), "env": one.env, "agent": one.agent, "seed": one.seed, **line}
        for one in _results(results)
        for line in getattr(one, what)
    ]
    return pandas.DataFrame(rows)


def _results(results: Iterable[Results | Iterable[Results]]) -> list[Result]:
    """Every run in the arguments, which may be lists of runs. Raises `InputError` if there is none."""
    found: list[Result] = []
    for one in results:
        if isinstance(one, Result):
            found.append(one)
        elif isinstance(one, str | Path | Mapping):
            found.append(Result(one))
        else:
            found += _results(one)
    if not found:
        raise InputError("name a run: a folder, what runs.train returned, or a Result")
    return found


def _series(one: Result, metric: str) -> tuple[np.ndarray, np.ndarray, set[str]]:
    """Steps and values of a metric, and the names of the metrics that the run has."""
    if metric != "return":
        lines = one.metrics
        points = [(line["step"], line[metric]) for line in lines if line.get(metric) is not None]
        return (*_columns(points), {name for line in lines for name in line} - {"step", "seconds"})
    points = [(line["step"], float(np.mean(line["returns"]))) for line in one.evaluations]
    if len(points) > 1:
        return (*_columns(points), set())
    steps, values = _columns([(e["step"], e["return"]) for e in one.episodes if e.get("return") is not None])
    return (*smoothed(steps, values, max(1, min(100, len(values) // 10))), set())


def _columns(points: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    steps, values = np.array(points, dtype=float).reshape(-1, 2).T
    return steps, values


def _label(one: Result, others: list[Result]) -> str:
    """Agent and seed; the folder's name too if another run has both."""
    label = f"{one.agent}, seed {one.seed}"
    twice = sum((other.agent, other.seed, other.env) == (one.agent, one.seed, one.env) for other in others) > 1
    return f"{label} ({one.folder.name})" if twice else label


def _text(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.1f}" if isinstance(value, float) else str(value)
