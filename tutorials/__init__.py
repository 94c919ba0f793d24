"""The tutorials: Markdown pages that run. `python -m tutorials check` runs and compares them all."""
