"""The error a user is shown as it is."""


class TrainerError(ValueError):
    """Something given cannot be used: a preset, a folder, a checkpoint; says which, and what to do."""
