"""Names that come out of a file: whether what they name may be imported and run.

A run.json or a checkpoint may name registered environments, our agents and those of installed packages. Any other name
(`module:Name`) is code that the file's author chose. It is imported only if this machine signed the file, or the person
allows it: `--trust`, an answer on the terminal, `trust=True` in Python.

The signature is the field "signature" beside "recipe", in run.json and in a manifest's "extra". It is the HMAC-SHA-256
of the recipe and of where its modules lie, under a random key in the user's configuration folder. A recipe that needs
no trust has none.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import re
import secrets
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import agents
from rl.errors import InputError
from rl.imports import location
from rl.redact import redact
from rl.storage import plain

KEY_BYTES = 32

Trust = bool | Callable[[list[str], Path], bool]
"""Whether names from files may be imported: yes, no, or a function that decides from the names and the file."""


class UntrustedError(InputError):
    """A file names code that nobody has allowed."""


_OPPONENT = re.compile(r"(self:)?(random|minimax:\d+|mcts:\d+)")
"""The built-in opponents of the board games, which are no modules though their names have a colon."""


def foreign_names(recipe: Any) -> list[str]:
    """The texts in a recipe that may name code outside of what is registered or installed, sorted.

    Every text with a colon is one, whatever its field, except a built-in opponent in a field of that name; and so is an
    agent whose entry point lies in the current folder.
    """
    return sorted(set(_foreign(recipe)))


def _foreign(value: Any, field: str = "") -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _foreign(inner, str(key))
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _foreign(inner, field)
    elif isinstance(value, str) and _names_code(value, field):
        yield value


def _names_code(value: str, field: str) -> bool:
    if field == "opponent" and _OPPONENT.fullmatch(value):
        return False
    return ":" in value.removeprefix("ale_py:") or (field == "name" and agents.lies_here(value))


def check(document: Any, source: Path, trust: Trust) -> None:
    """Raises `UntrustedError` if `document["recipe"]`, read from `source`, names code that nobody has allowed.

    Must run before the recipe becomes a `Run`, which imports the agent that it names.
    """
    recipe = document.get("recipe") if isinstance(document, Mapping) else None
    if not isinstance(recipe, Mapping):
        raise InputError(f"{source} has no recipe: it is damaged, or from another version")
    names = foreign_names(recipe)
    if not names or trust is True or _signed(recipe, document.get("signature")):
        return
    if callable(trust) and trust(names, source):
        return
    raise UntrustedError(
        f"{source} names code that it would import and run: {described(names)}; this machine has not signed it: "
        "if you trust it, allow it with --trust (trust=True in Python)"
    )


def described(names: list[str]) -> str:
    """Each name with the file that it would be imported from."""
    return ", ".join(f"{name!r} from {_module_file(name) or 'nowhere: no such module here'!r}" for name in names)


_answered: set[tuple[str, ...]] = set()
"""The answers "yes" on this terminal: names, and the files of their modules."""


def ask(names: list[str], source: Path) -> bool:
    """Asks on the terminal, once for the same names; False if there is no terminal."""
    key = (*names, *map(_module_file, names))
    if key in _answered:
        return True
    if not (_is_terminal(sys.stdin) and _is_terminal(sys.stderr)):
        return False
    question = f"{str(source)!r} names code that it would import and run: {described(names)}. Allow it? [y/N] "
    print(question, end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        return False
    _answered.add(key)
    return True


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):  # none, or closed
        return False


def signature(recipe: Any) -> dict[str, str]:
    """The field that marks a recipe as written by this machine; empty if it needs none, or the key cannot be kept."""
    written = redact(plain(recipe))
    key = _key(create=True) if foreign_names(written) else None
    return {} if key is None else {"signature": _mac(key, written)}


def _signed(recipe: Mapping[str, Any], given: Any) -> bool:
    key = _key(create=False)
    return (
        key is not None and isinstance(given, str) and hmac.compare_digest(_mac(key, recipe).encode(), given.encode())
    )


def _mac(key: bytes, recipe: Any) -> str:
    """Covers where the modules lie: a signed run in a foreign folder must not import that folder's module."""
    places = {name: _place(name) for name in foreign_names(recipe)}
    return hmac.new(key, json.dumps([recipe, places], sort_keys=True).encode(), "sha256").hexdigest()


def _place(name: str) -> str:
    """Where the module of a name lies; the same for every environment that it is installed in."""
    file = _module_file(name)
    return "installed" if {"site-packages", "dist-packages"} & set(Path(file).parts) else file


def _module_file(name: str) -> str:
    found = location(name.partition(":")[0])
    return os.path.realpath(found) if os.path.isabs(found) else found


def configuration_folder() -> Path:
    """Where this user's configuration belongs: $LUDO_CONFIG, or the platform's own place."""
    if given := os.environ.get("LUDO_CONFIG"):
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming") / "ludo-rl"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "ludo-rl"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "ludo-rl"


def _key(create: bool) -> bytes | None:
    """The user's key; None if there is none, or others could have read or replaced it."""
    try:
        path = configuration_folder() / "signing.key"
        if create and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write_key(path)
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
        try:
            state = os.fstat(descriptor)
            private = sys.platform == "win32" or (
                state.st_uid == os.getuid() and not stat.S_IMODE(state.st_mode) & 0o077
            )
            key = os.read(descriptor, KEY_BYTES + 1)
        finally:
            os.close(descriptor)
    except (OSError, RuntimeError):  # nothing can be read or written there, or there is no home
        return None
    return key if private and stat.S_ISREG(state.st_mode) and len(key) == KEY_BYTES else None


def _write_key(path: Path) -> None:
    """Creates the key whole and with mode 600, or leaves the one that another process created first."""
    descriptor, temporary = tempfile.mkstemp(prefix=".key", dir=path.parent)  # mode 600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.rename(temporary, path) if os.name == "nt" else os.link(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
