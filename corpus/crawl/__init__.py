"""The crawl filter, stage by stage: index → dedup → annotate (→ duplicates) → decide → export.

Each module does one stage's work on one part, from files to files, and knows no engine.
"""
