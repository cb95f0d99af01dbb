"""Finished runs as people look at them: a report, a search, two runs side by side, a plan for more."""
