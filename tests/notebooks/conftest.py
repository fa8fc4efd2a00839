"""What tests of pages share."""

import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def outside_links() -> Callable[[str], list[str]]:
    """Tags of a page that would load something from elsewhere than the page itself."""
    tag = r"<(?:script|link|img|iframe|source|video|audio)\b[^>]*\b(?:src|href)\s*=\s*[\"'](?!data:)[^\"']*"
    return lambda page: re.findall(tag, page)


@pytest.fixture(scope="session")
def load_tool(root: Path) -> Callable[[str], ModuleType]:
    """A file of tools/ as a module; they are no package."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"tools_{name}", root / "tools" / f"{name}.py")
        assert spec is not None and spec.loader is not None
        # Its records look themselves up by the module's name.
        module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def gallery(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    """What README shows."""
    return load_tool("gallery")
