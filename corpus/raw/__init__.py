"""Raw files of any source: bytes -> pieces, lines, rows, members, text; and what cannot be read."""
