"""The contenders of `rl compare`, as they are written on the command line."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import Any, Literal

from rl.errors import InputError


@dataclass(frozen=True)
class Contender:
    """One side of a comparison, as it was written."""

    text: str
    """Its name in every table: its label, else the whole contender."""
    source: Literal["ours", "sb3", "zoo", "run"]
    """Whose agent: ours, SB3's with its defaults, SB3's with the RL Zoo's tuned values, or a trained run folder."""
    name: str
    """Agent name (`dqn`, `module:Class`, `random`), SB3 algorithm, or the run folder's path."""
    preset: str = ""
    """`default`, `sb3`, `zoo` or an agent's own preset; empty for the recipe of the task."""
    settings: tuple[str, ...] = ()
    """`field=value` as for `--set`."""
    written: str = ""
    """The whole contender with its label; empty if that equals `text`."""

    def __str__(self) -> str:
        return self.written or self.text


def parse_contenders(text: str) -> list[Contender]:
    """`[label=][sb3|zoo|run]:name[@preset][:field=value]...`, separated by commas. Raises `InputError` otherwise.

    A colon inside a value (`exploration=1.0:0.05:20000`) or a name (`module:Class`, `run:C:\\out\\a`) belongs to it.
    """
    contenders = [_contender(part.strip()) for part in text.split(",")]
    if not contenders:
        raise InputError("--agents is empty: name at least one contender, such as dqn,sb3:dqn")
    return contenders


def _contender(text: str) -> Contender:
    if not text:
        raise InputError("an empty contender in --agents: write them as dqn,sb3:dqn, with one comma between")
    source: Any = "ours"
    parts = text.split(":")
    label, equals, first = parts[0].partition("=")
    if equals and label and first:
        if not re.fullmatch(r"[\w .+-]+", label):
            raise InputError(f"contender {text!r}: a label has letters, digits, spaces and .+-_, got {label!r}")
        unlabelled = _contender(":".join([first, *parts[1:]]))
        if "random" in (label, unlabelled.text):
            raise InputError(f"contender {text!r}: random is the name of the random policy: choose another label")
        return dataclasses.replace(unlabelled, text=label, written=text)
    if parts[0] in ("sb3", "zoo", "run"):
        source, parts = parts[0], parts[1:]
    names: list[str] = []
    settings: list[str] = []
    for part in parts:
        if settings and "=" not in part:
            settings[-1] += ":" + part
        elif "=" in part and source != "run":
            settings.append(part)
        else:
            names.append(part)
    name, preset = ":".join(names), ""
    if source != "run" and "@" in name:
        name, _, preset = name.partition("@")
        if not preset:
            raise InputError(f"contender {text!r}: a preset is missing after @, such as dqn@zoo")
    if not name:
        raise InputError(
            f"contender {text!r}: a name is missing, such as {source + ':' if source != 'ours' else ''}dqn"
        )
    for setting in settings:
        if setting.startswith("=") or setting.endswith("="):
            raise InputError(f"contender {text!r}: write field=value, got {setting!r}")
    if preset and source != "ours":
        raise InputError(f"contender {text!r}: @{preset} belongs to our agents; {source}:{name} has its own values")
    if settings and name == "random":
        raise InputError(f"contender {text!r}: random has no fields")
    return Contender(text, source, name, preset, tuple(settings))
