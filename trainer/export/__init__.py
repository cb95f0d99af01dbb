"""Checkpoints as Hugging Face folders, and such folders as models."""
