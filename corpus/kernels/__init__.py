"""Compiled loops over Arrow buffers: no Python per document or line, and the GIL released.

Numba's cache knows when a kernel's own file changes, not when one it calls does: after a change in
`fold.py` or `xxh64.py` delete `__pycache__`.
"""
