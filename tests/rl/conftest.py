from collections.abc import Iterator

import pytest


@pytest.fixture
def seeded_weights() -> Iterator[None]:
    """Networks built in the test have the same weights every time."""
    from rl.networks.init import seeded

    with seeded(0):
        yield
