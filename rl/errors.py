"""The failures that a user can correct, each with its exit status (docs/architecture.md, command line)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class InputError(ValueError):
    """Bad input: nothing was started. The message names the value and the correction in one line. Exit status 2."""


class NonFiniteError(ArithmeticError):
    """A NaN or infinity; the message names its source. Its update was not applied. Exit status 3."""


class RunError(RuntimeError):
    """A run that failed after its start (an environment raised, the disk is full). Exit status 1."""


def unknown(kind: str, name: str, known: Iterable[str], own: bool = False, all_by: str = "rl list") -> InputError:
    """An `InputError` for a name that is not among `known`, with the nearest valid one offered.

    own: whether `module:Name` is allowed too, so that the name may be a module in this folder.
    """
    if own and name.isidentifier() and Path(f"{name}.py").exists():
        return InputError(f"unknown {kind} {name!r}: {name}.py is here, name the object in it as {name}:Name")
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        mend = f"did you mean {near[0]!r}?"
    elif len(known) > 20:
        mend = f"`{all_by}` shows them all"
    else:
        mend = f"known: {', '.join(known)}"
    return InputError(f"unknown {kind} {name!r}: {mend}")
