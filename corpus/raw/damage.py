"""What of a raw file cannot be read: raised by parsers of a record, yielded by readers of a file."""

from __future__ import annotations

from dataclasses import dataclass


class Unreadable(Exception):
    """A record cannot be read: `reason` is a short fixed name, `message` says what was found."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class Damage:
    """A record, span or file (`offset` −1) that cannot be read. `framed`: its header could be."""

    offset: int
    reason: str
    message: str
    first_bytes: bytes
    framed: bool
