r"""What names mean at one place of a paper: LaTeX's commands that the source acts on, and the paper's macros.

In: definitions, in the order of the text, and where environments and groups of ``\begingroup`` begin and end.
Out: the meaning of a name; whether a macro is a program, for which text cannot take its place. Groups of
braces are not followed: a definition in one holds on after it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from corpus.sources.arxiv.macros import Macro
from corpus.sources.arxiv.tables import names

if TYPE_CHECKING:
    from corpus.sources.arxiv.expand import Command

PROTECTED = names("structure") | names("sections")
_MAX_SCOPES = 200
_MAX_DEPTH = 20  # macros within macros that are looked at
_MAX_CHANGES = 1_000  # of definitions after which what uses them is looked at again
_CONTROL = re.compile(r"\\([A-Za-z@]+)")


class Meanings:
    r"""Names and their meanings; `defined` are those of the author's macros so far.

    `delimiters` are commands that end arguments of macros, `aliases` the tokens that ``\\futurelet`` found,
    `flags` those of ``\\newif``.
    """

    def __init__(self, commands: Mapping[str, Command]) -> None:
        self.commands = commands
        self.table: dict[str, Command | Macro] = dict(commands)
        self.environments: dict[str, Macro] = {}
        self.flags: dict[str, bool] = {}
        self.aliases: dict[str, str] = {}
        self.delimiters: set[str] = set()
        self.defined: set[str] = set()
        self._scopes: list[tuple[str, dict[str, Command | Macro | None]]] = []
        self._opaque: dict[str, bool] = {}
        self._changes = 0

    def open_scope(self, name: str) -> None:
        """What is defined from here on holds until this environment or group ends."""
        if len(self._scopes) < _MAX_SCOPES:
            self._scopes.append((name, {}))

    def close_scope(self, name: str) -> None:
        """The end of an environment or group: definitions are again as they were before it."""
        for depth in range(len(self._scopes) - 1, -1, -1):
            if self._scopes[depth][0] == name:
                for _, before in reversed(self._scopes[depth:]):
                    for macro, meaning in before.items():
                        self._set(macro, meaning)
                del self._scopes[depth:]
                return

    def define(self, macro: Macro, everywhere: bool = False, package: bool = False) -> None:
        """Take a definition over, unless its name is one that the source acts on itself.

        Args:
            macro: what is defined.
            everywhere: it outlives the environment or group that it stands in.
            package: it is one of a package that comes with the paper.
        """
        name = macro.name
        if name in self.commands or name in PROTECTED:
            return
        if package:
            macro = replace(macro, package=True)
        else:
            self.defined.add(name)
        for _, before in self._scopes if everywhere else ():
            before.pop(name, None)
        if self._scopes and not everywhere:
            self._scopes[-1][1].setdefault(name, self.table.get(name))
        self._set(name, macro)
        self.delimiters.update(_CONTROL.findall(macro.lead + "".join(p.text for p in macro.parameters)))

    def forget(self, name: str) -> None:
        """Make a macro undefined."""
        if isinstance(known := self.table.get(name), Macro):
            if self._scopes:
                self._scopes[-1][1].setdefault(name, known)
            self._set(name, None)

    def is_opaque(self, macro: Macro, depth: int = 0) -> bool:
        """Whether a macro, or one with an ``@`` in its name that it uses, is a program.

        A package's macro is one also where it uses names with an ``@`` that are not known.
        """
        known = self._opaque.get(macro.name)
        if known is not None or depth > _MAX_DEPTH:
            return bool(known)
        self._opaque[macro.name] = False  # while its parts are looked at
        opaque = macro.program
        for name in sorted(macro.inner):
            part = self.table.get(name)
            if isinstance(part, Macro):
                opaque = opaque or self.is_opaque(part, depth + 1)
            elif part is None and macro.package:
                opaque = opaque or name not in self.delimiters
        self._opaque[macro.name] = opaque
        return opaque

    def _set(self, name: str, meaning: Command | Macro | None) -> None:
        if self._opaque and self._changes < _MAX_CHANGES:
            self._opaque.clear()
            self._changes += 1
        if meaning is None:
            self.table.pop(name, None)
        else:
            self.table[name] = meaning
