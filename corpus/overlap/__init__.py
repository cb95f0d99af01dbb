"""What sources have in common with each other, and with evaluations: over finished runs, off by default."""
