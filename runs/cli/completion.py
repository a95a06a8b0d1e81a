"""`rl completion SHELL`: what the shell needs to complete verbs, options and recipes. Prints only, installs nothing."""

from __future__ import annotations

from rl.errors import InputError
from runs.recipes import shipped


def script(shell: str) -> str:
    """The script for bash or zsh, by shtab: `eval "$(rl completion bash)"` in the shell's start file."""
    try:
        import shtab
    except ModuleNotFoundError as error:
        raise InputError('rl completion needs shtab: pip install "ludo-rl[completion]"') from error
    from runs.cli.parser import build_parser

    parser, verbs = build_parser()
    for verb in verbs.values():
        for action in verb._actions:
            if action.dest == "recipe":
                action.choices = list(shipped())  # this parser parses nothing
    return str(shtab.complete(parser, shell=shell))
