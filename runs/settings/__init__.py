"""Run settings: fields by dotted name, typed values from words, and plain JSON.

What a field means stands beside the field, in the config classes of `agents`, `rl.networks` and `envs`.
"""
