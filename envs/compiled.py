"""Games whose rules numba compiles over a batch: the compiler, its cache on disk, and the saved state.

The arcade games, the board games and classic control share this module. A game is a module (or an object) with plain
scalar rules; the loops over the batch are templates that call the rules by name. `compile_loops` makes one copy of the
loops per game.
"""

from __future__ import annotations

import atexit
import hashlib
import logging
import os
import shutil
import sys
import tempfile
import types
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numba
import numpy as np

from rl.errors import InputError

log = logging.getLogger(__name__)

FORMAT = 1
"""Version of the saved state's layout. It stands before the game's own version."""


def compile_loops(
    name: str,
    folder: Path,
    scope: dict[str, Any],
    inner: Sequence[Callable],
    outer: Sequence[Callable],
    slow: bool = True,
) -> list[Any]:
    """Compiles the templates for game `name`. Returns the compiled `outer` templates.

    scope: the globals that the templates see, with the rules of the game in it. inner: templates that only other
    templates call. outer: templates that Python calls; their compiled code is kept in `folder`. slow: the compilation
    takes seconds, which one line says.
    """

    def bind(template: Any, cache: bool) -> Any:
        function = types.FunctionType(template.__code__, scope, template.__name__)
        function.__qualname__ = f"{name}.{template.__name__}"
        return numba.njit(nogil=True, error_model="numpy", cache=cache)(function)

    for template in inner:
        scope[template.__name__] = bind(template, cache=False)
    if slow and not any(folder.rglob("*.nbi")):  # numba's index of what it has compiled
        log.warning("%s: compiling its rules for this machine, once: some seconds", name)
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder)  # numba chooses the folder when it decorates
    try:
        return [bind(template, cache=True) for template in outer]
    finally:
        numba.config.CACHE_DIR = before


def cache_folder(kind: str, name: str, sources: Iterable[Path]) -> Path:
    """The folder for the compiled code of game `name` of a `kind` ("arcade"). Its name is a hash of the `sources`.

    numba looks only at the file of the outermost function, and would keep using old code after a change in another
    file. If the user's cache is not writable, the folder is temporary and removed at exit.
    """
    key = hashlib.sha256(f"numba {numba.__version__} numpy {np.__version__}".encode())
    for source in sources:
        key.update(source.read_bytes())
    path = _user_cache(kind) / f"{name}-{key.hexdigest()[:16]}"
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError:
        path = Path(tempfile.mkdtemp(prefix=f"{kind}-"))
        atexit.register(shutil.rmtree, path, ignore_errors=True)
        return path


def _user_cache(kind: str) -> Path:
    if numba.config.CACHE_DIR:  # NUMBA_CACHE_DIR
        return Path(numba.config.CACHE_DIR) / f"ludo-rl-{kind}"
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "ludo-rl" / kind


class SavedRows:
    """N games as rows of a structured array, which can be saved and restored.

    A subclass sets `num`, `rows` and `game`. `game` has NAME, VERSION, STATE (the dtype of a row) and RANGES (lowest
    and highest value of each field that the rules use as an index).
    """

    kind = ""
    """For messages: the family of games, with its article ("an arcade")."""
    num: int
    rows: np.ndarray
    game: Any

    def seed(self, seeds: Iterable[int | None], mask: np.ndarray) -> None:
        """Seeds the random generators of the masked rows. None keeps a generator that has been seeded before."""
        for i, seed in enumerate(seeds):
            if mask[i] and seed is not None:
                self.rows["rng"][i] = int.from_bytes(hashlib.sha256(f"seed {seed}".encode()).digest()[:8], "little")
            elif mask[i] and self.rows["rng"][i] == 0:
                self.rows["rng"][i] = int.from_bytes(os.urandom(8), "little")

    def get_state(self) -> dict[str, Any]:
        """Everything that decides the rest of the games: {"game", "version", "rows": {field: array [N, ...]}}."""
        fields = {field: self.rows[field].copy() for field in self.game.STATE.names}
        return {"game": self.game.NAME, "version": self.version, "rows": fields}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continues exactly from a state that `get_state` returned. Raises `InputError` for any other state."""
        if not isinstance(state, dict) or set(state) != {"game", "version", "rows"}:
            raise InputError(f"{self.kind} state has the keys game, version and rows: use what get_state returned")
        if state["game"] != self.game.NAME:
            raise InputError(f"the saved state is of the game {state['game']!r}, this is {self.game.NAME!r}")
        if state["version"] != self.version:
            raise InputError(
                f"the saved state is of version {state['version']!r}, {self.game.NAME} is {self.version!r}"
            )
        fields, blank = state["rows"], np.zeros(self.num, self.game.STATE)
        if not isinstance(fields, dict) or set(fields) != set(blank.dtype.names or ()):
            raise InputError(f"the saved state of {self.game.NAME} lacks fields or has unknown ones: it was altered")
        for field, saved in fields.items():
            value = as_array(saved)
            if value.shape != blank[field].shape or value.dtype != blank[field].dtype:
                raise InputError(
                    f"field {field!r} of the saved state is {value.dtype} {value.shape}, here it is "
                    f"{blank[field].dtype} {blank[field].shape}: restore into as many environments as were saved"
                )
            blank[field] = value
        self._check_ranges(blank)
        self.rows = blank

    def _check_ranges(self, rows: np.ndarray) -> None:
        """Compiled rules check no index: a value out of range would write outside of an array."""
        for field, (low, high) in self.game.RANGES.items():
            if not ((rows[field] >= low) & (rows[field] <= high)).all():
                raise InputError(f"field {field!r} of the saved state is not within {low} to {high}: it was altered")

    @property
    def version(self) -> str:
        return f"{FORMAT}.{self.game.VERSION}"


def as_array(value: Any) -> np.ndarray:
    """`np.asarray`, but lists of unequal lengths become an array of objects, which every dtype check refuses."""
    try:
        return np.asarray(value)
    except ValueError:
        return np.asarray(value, object)
