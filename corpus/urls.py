"""One form of an address, so that its spellings meet.

In: a URL as crawled or cited. Out: host, path and query without what does not say which page is meant.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

# Parameters that say where a reader came from, not what is read.
_TRACKING = re.compile(r"(utm_\w+|fbclid|gclid|dclid|msclkid|yclid|igshid|mc_cid|mc_eid|_ga|ref_src)(=|$)")


def normalize_url(url: str) -> str | None:
    """One form of a page's address: without scheme, `www.`, fragment, tracking query, trailing slash.

    Host names are lower-cased. None for what has no host.
    """
    try:
        parts = urlsplit(url.strip() if "://" in url else f"//{url.strip()}")
        host, port = parts.hostname, parts.port
    except ValueError:  # not an address: unbalanced brackets, a port that is no number
        return None
    if not host:
        return None
    host = host.lower().removeprefix("www.") + (f":{port}" if port not in (None, 80, 443) else "")
    query = "&".join(p for p in parts.query.split("&") if p and not _TRACKING.match(p.lower()))
    return host + parts.path.rstrip("/") + (f"?{query}" if query else "")


def host_of(normalized: str) -> str:
    """The host of a normalised URL."""
    return re.split(r"[/?:]", normalized, maxsplit=1)[0]


def is_wikipedia(normalized: str) -> bool:
    """Whether a normalised URL is a page of Wikipedia itself, in any language."""
    host = host_of(normalized)
    return host == "wikipedia.org" or host.endswith(".wikipedia.org")
