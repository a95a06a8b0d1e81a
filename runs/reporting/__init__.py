"""Analysis and pages: a comparison's statistics and wording, charts, and the HTML and Markdown reports.

Running the comparison lives in `runs.comparing`; the statistics themselves in `rl.stats`.
"""
