"""Nothing imports backwards: the packages and what each must never import (design, section 2)."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NEVER = {
    "corpus": {"apache_beam", "torch", "pipelines", "tokenizer", "trainer"},
    "tokenizer": {"apache_beam", "torch", "pipelines", "trainer"},
    "pipelines": {"torch", "trainer"},
    "trainer": {"apache_beam", "pyarrow", "corpus", "pipelines"},
}


def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("package", NEVER)
def test_a_package_never_imports_what_it_must_not(package: str) -> None:
    wrong = {
        str(path.relative_to(ROOT)): bad
        for path in sorted((ROOT / package).rglob("*.py"))
        if (bad := imports_of(path) & NEVER[package])
    }
    assert wrong == {}


def test_only_pipelines_imports_beam() -> None:
    users = {
        path.relative_to(ROOT).parts[0]
        for package in NEVER
        for path in (ROOT / package).rglob("*.py")
        if "apache_beam" in imports_of(path)
    }
    assert users == {"pipelines"}
