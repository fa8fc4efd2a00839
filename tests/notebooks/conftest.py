"""What tests of pages share."""

import re
from collections.abc import Callable

import pytest


@pytest.fixture(scope="session")
def outside_links() -> Callable[[str], list[str]]:
    """Tags of a page that would load something from elsewhere than the page itself."""
    tag = r"<(?:script|link|img|iframe|source|video|audio)\b[^>]*\b(?:src|href)\s*=\s*[\"'](?!data:)[^\"']*"
    return lambda page: re.findall(tag, page)
