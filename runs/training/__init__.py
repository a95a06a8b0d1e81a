"""One run from start to final score: the training loop, its episodes and progress bar, and evaluation.

Several runs side by side live in `runs.comparing` and `runs.recording`.
"""
