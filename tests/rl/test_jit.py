"""Compiled loops run where nothing can be kept on the disk, too."""

import numpy as np
import pytest

from rl.jit import compiled

SOURCE = """
def total(x):
    found = 0.0
    for value in x:
        found += value
    return found
"""


@pytest.mark.parametrize("reordered", [False, True])
def test_a_function_without_a_folder_for_its_code_is_compiled_in_each_process(reordered: bool) -> None:
    scope: dict = {}
    exec(SOURCE, scope)  # a source without a file, for which numba finds no folder
    total = compiled(scope["total"], reordered)
    assert total(np.arange(5.0)) == 10.0 and total.signatures


def test_reordered_sums_keep_nan_and_infinity() -> None:
    scope: dict = {}
    exec(SOURCE, scope)
    total = compiled(scope["total"], reordered=True)
    assert np.isnan(total(np.array([1.0, np.nan, 2.0] * 9))) and total(np.array([1.0, np.inf] * 9)) == np.inf
