"""The command line `rl`: arguments, verbs and what they print.

The verbs' work is done by functions elsewhere in `runs`, so that Python code can call them too.
"""

from runs.cli.command_line import main

__all__ = ["main"]
