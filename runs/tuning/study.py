"""The study: Optuna's journal in the tuning's folder, checked before and after Optuna reads it.

A journal is one JSON object a line. Optuna unpickles snapshots only of backends that keep them, which its file backend
does not. Every parameter, value and note is compared with what this search writes, so that a journal of another origin
ends in one line.
"""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from rl.axes import Axis
from rl.errors import InputError
from rl.storage import parse_json
from runs.reporting.comparison_file import finite
from runs.settings.space import is_whole

JOURNAL_BYTES = 64_000_000
STARTUP = 10
"""Trials that are drawn at random before Optuna's TPE chooses."""


class _NoLock:
    """The tuning's folder is locked as a whole; Optuna's own lock would be a link that a kill leaves behind."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


def open_study(path: Path, name: str, axes: Mapping[str, Axis], steps: int, known: int) -> Any:
    """The study `name` in the journal at `path`, continued or new.

    `steps`: of a training; trials are pruned after a quarter of them. `known`: the number of trials whose points are
    given, after which `STARTUP` are drawn at random. Raises InputError for a damaged journal and for one that another
    search has written.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    _check_lines(path)
    try:
        backend = JournalFileBackend(str(path), lock_obj=_NoLock())  # type: ignore[arg-type]
        assert not hasattr(backend, "load_snapshot"), "Optuna would unpickle it"
        storage = optuna.storages.JournalStorage(backend)
        studies = storage.get_all_studies()
        if [(s.study_name, [d.name for d in s.directions]) for s in studies] not in ([], [(name, ["MAXIMIZE"])]):
            raise InputError(f"{path} is the journal of another search: name a new folder with --out")
        trials = [t for s in studies for t in storage.get_all_trials(s._study_id)]
        for trial in trials:
            if wrong := _foreign(trial, axes):
                raise InputError(f"{path}: trial {trial.number} {wrong}: name a new folder with --out")
    except InputError:
        raise
    except Exception as error:  # Optuna's reader meets what it never wrote
        raise InputError(f"{path} is damaged: {type(error).__name__}: {error}") from error
    return optuna.create_study(
        storage=storage,
        study_name=name,
        direction="maximize",
        load_if_exists=True,
        sampler=optuna.samplers.TPESampler(
            multivariate=True, n_startup_trials=known + STARTUP, seed=1_000 + len(trials)
        ),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=steps // 4, n_min_trials=3),
    )


def _check_lines(path: Path) -> None:
    """Cuts a last line that a kill left incomplete; raises InputError for any other line that is no JSON object."""
    if not path.exists():
        return
    info = path.stat()
    if not stat.S_ISREG(info.st_mode) or info.st_size > JOURNAL_BYTES:
        raise InputError(f"{path} is no file of at most {JOURNAL_BYTES // 1_000_000} MB: name a new folder with --out")
    *whole, part = path.read_bytes().split(b"\n")
    for number, line in enumerate(whole, 1):
        try:
            if isinstance(parse_json(line), dict):
                continue
        except ValueError:
            pass
        raise InputError(f"{path} is damaged: line {number} is no JSON object")
    os.truncate(path, info.st_size - len(part))


def distribution(axis: Axis) -> Any:
    if axis.kind == "choice":
        return optuna.distributions.CategoricalDistribution(axis.choices)
    if is_whole(axis):
        return optuna.distributions.IntDistribution(int(axis.low), int(axis.high), log=True)
    return optuna.distributions.FloatDistribution(axis.low, axis.high, log=axis.kind != "number")


def _foreign(trial: Any, axes: Mapping[str, Axis]) -> str:
    """What a trial has that this search does not write; "" if there is nothing."""
    for name, value in trial.params.items():
        if name not in axes or trial.distributions[name] != (within := distribution(axes[name])):
            return f"searched {name!r} otherwise"
        if not within._contains(within.to_internal_repr(value)):
            return f"has {name}={value!r}, which lies outside of the search"
    if trial.state == TrialState.COMPLETE and (len(trial.params) < len(axes) or not finite(trial.value)):
        return "has no whole result"
    if any(type(k) is not int or k < 0 or not finite(v) for k, v in trial.intermediate_values.items()):
        return "has a score that is no number"
    seconds, reason = trial.user_attrs.get("seconds", 0), trial.user_attrs.get("reason", "")
    repeats, source = trial.user_attrs.get("repeats", 0), trial.user_attrs.get("source", "start")
    good = {"seconds", "reason", "repeats", "source"}.issuperset(trial.user_attrs) and isinstance(reason, str)
    good = good and isinstance(source, str) and source.isidentifier()
    good = good and type(repeats) is int and 0 <= repeats <= trial.number
    return "" if good and finite(seconds) and seconds >= 0 else "has notes that no search writes"


def one_line(text: str) -> str:
    """`text` in one line of at most 300 signs, control characters escaped."""
    line = " ".join(text.split())[:300]
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def importance(study: Any) -> dict[str, float]:
    """Field -> its share in what sets the good trials apart (PED-ANOVA, Watanabe et al. 2023); {} from few trials."""
    values = [t.value for t in study.get_trials(deepcopy=False) if t.state == TrialState.COMPLETE]
    if len(values) < STARTUP or len(set(values)) < 2:
        return {}
    return dict(optuna.importance.get_param_importances(study))
