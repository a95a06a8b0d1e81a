"""The run folder and what every run records: files, locks, child processes, command, versions, machine.

Checkpoint contents live in `rl.checkpoint`; what a training writes and when in `runs.training`.
"""
