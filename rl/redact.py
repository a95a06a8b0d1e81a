"""Takes keys, tokens and passwords out of everything that is written: run.json, manifests, W&B, messages."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

HIDDEN = "[hidden]"
_SECRET_WORDS = ("key", "apikey", "accesskey", "token", "password", "passwd", "passphrase", "secret", "credentials")
_ASSIGNED = re.compile(r"(?P<name>[\w.-]+)=(?P<value>[^\s&,;'\"]+)")
_IN_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^/\s@]+@", re.IGNORECASE)
_KNOWN = re.compile(
    r"\b(?:Bearer\s+|gh[oprsu]_|github_pat_|glpat-|sk-|hf_|xox[abp]-|wandb_v\d_|AKIA)[A-Za-z0-9_-]{12,}"
)


def redact(value: Any) -> Any:
    """`value` (text, or nested JSON-able dicts and lists) with every secret replaced by `[hidden]`.

    Secrets are: the values of names that end in key, token, password, secret or credentials, also as `name=value`
    inside a text; the values of environment variables with such names, wherever they appear; the user part of a URL;
    and strings of the known forms of access tokens.
    """
    return _redact(value, _environment())


def redact_command(command: Sequence[str]) -> list[str]:
    """The command line without secrets: `--api-key X`, `--api-key=X`, `--set tracker.token=X`, credentials in URLs."""
    known, hidden, words = _environment(), False, []
    for word in command:
        name, assigned, _ = word.partition("=")
        if hidden:
            words.append(HIDDEN)
        elif assigned and is_secret(name):
            words.append(f"{name}={HIDDEN}")
        else:
            words.append(_redact(word, known))
        hidden = word.startswith("-") and not assigned and is_secret(name)
    return words


def is_secret(name: str) -> bool:
    """Whether a field, flag or variable of this name holds a secret: `WANDB_API_KEY`, `--token`, `login.apiKey`."""
    words = re.split(r"[^a-z0-9]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower())
    return words[-1] in _SECRET_WORDS


def _redact(value: Any, known: list[str]) -> Any:
    if isinstance(value, str):
        for secret in known:
            value = value.replace(secret, HIDDEN)
        value = _IN_URL.sub(rf"\g<scheme>{HIDDEN}@", value)
        value = _ASSIGNED.sub(lambda m: f"{m['name']}={HIDDEN}" if is_secret(m["name"]) else m[0], value)
        return _KNOWN.sub(HIDDEN, value)
    if isinstance(value, Mapping):
        return {
            name: HIDDEN if isinstance(inner, str) and inner and is_secret(str(name)) else _redact(inner, known)
            for name, inner in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_redact(inner, known) for inner in value]
    return value


def _environment() -> list[str]:
    """The secret values of this process's environment, longest first, without short ones, which may be words."""
    values = {value for name, value in os.environ.items() if is_secret(name) and len(value) >= 8}
    return sorted(values, key=len, reverse=True)
