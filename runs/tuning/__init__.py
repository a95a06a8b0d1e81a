"""`rl tune`: searches an agent's fields with Optuna, and trains what it found again on fresh seeds.

Every module of this package is imported after the check for Optuna, whichever of them is the first.
"""

from rl.imports import require_extra

require_extra("optuna")
