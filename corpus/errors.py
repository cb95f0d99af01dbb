"""Errors whose message is meant for the user: shown without a traceback by the command line."""

from __future__ import annotations


class UserError(Exception):
    """What the user asked for cannot be done as asked; the message says what to do."""


class CorruptPartError(Exception):
    """A file written by an earlier stage is missing, truncated or altered; the message names it."""
