"""Files on web servers: an address -> bytes read by range, and size and identity.

In: `https://` and `http://` addresses. Out: seekable files that are read some megabytes ahead, and answers
for `corpus.storage` and `corpus.downloads`. What goes wrong for the moment (a busy server, a broken
connection, a slow answer) is tried again after pauses that double, from the byte that was reached, at a
bounded pace of requests; what does not get better is an error that names the address. A file that is another
one than when it was opened is an error, never a mixture. Sizes and offsets are bytes, times are seconds.
"""

from corpus.web.answers import Changed, NotFound, Refused, Unreachable, WebError, check, chunks, version_of
from corpus.web.clients import Client, Patience, client, configure
from corpus.web.range_file import info, open_read

__all__ = [
    "Changed",
    "Client",
    "NotFound",
    "Patience",
    "Refused",
    "Unreachable",
    "WebError",
    "check",
    "chunks",
    "client",
    "configure",
    "info",
    "is_web",
    "open_read",
    "version_of",
]

_SCHEMES = ("https://", "http://")


def is_web(path: str) -> bool:
    """Whether an address is one that this module reads."""
    return path.startswith(_SCHEMES)
