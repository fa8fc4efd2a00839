"""The published MoveNet for tests: from the user's cache; they are skipped where it is not installed."""

import functools

import pytest

from dispose.errors import InputError
from dispose.models.movenet.network import MoveNet, MoveNetConfig
from dispose.zoo.movenet import load_movenet


@functools.cache
def published(config: MoveNetConfig) -> MoveNet:
    """A published network, or a skipped test with the reason."""
    try:
        return load_movenet(config)
    except InputError as error:
        pytest.skip(str(error))
