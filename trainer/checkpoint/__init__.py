"""Checkpoints: written whole or not at all, read by any number of ranks, known by SHA-256."""
