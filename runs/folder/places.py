"""Where files lie: the repository, recorded results, and the default output folder."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds the four packages: the repository, an exported tree, or site-packages."""

STUDIES = ROOT / "runs" / "comparing" / "studies"
"""Comparisons that come with the suite; commands and recorded results name this folder `runs/studies`."""
RESULTS = ROOT / "runs" / "results"
OUT = Path("runs/out")
"""The default output folder, relative to the current one."""
