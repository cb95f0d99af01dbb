"""The error a user is shown as it is."""


class TrainerError(ValueError):
    """Something the user gave cannot be used: a preset, a folder, a checkpoint; says which, and what to do."""
