"""Networks that every agent shares: encoders of observations, recurrent cores, heads, a summary for `rl inspect`.

Importing this package loads no torch, so that recipes stay light; the other names come from its modules.
"""

from rl.networks.config import NetConfig as NetConfig
