"""Several environments stepped together: in this process, in worker processes, or by a native vector environment.

`envs.stream` turns what they return into rows.
"""

from envs.vector.base import Vector
from envs.vector.native import Native
from envs.vector.serial import Serial
from envs.vector.workers import Workers

__all__ = ["Native", "Serial", "Vector", "Workers"]
