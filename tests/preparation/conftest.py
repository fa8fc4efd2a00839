"""A capture of dots, and the program that detects them."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

PROGRAM = Path(__file__).with_name("dots.py")


@pytest.fixture(scope="session")
def dots() -> ModuleType:
    """The program as a module, by a name under which processes find it again."""
    spec = importlib.util.spec_from_file_location("dots", PROGRAM)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["dots"] = module
    spec.loader.exec_module(module)
    return module


def dotted(number: int, camera: int) -> np.ndarray:
    """A small image with one dot."""
    image = np.zeros((48, 64, 3), np.uint8)
    image[(5 * number + camera) % 48, (7 * number) % 64] = 255
    return image


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """A capture of two cameras with twelve images each, of which one cannot be decoded."""
    for camera in range(2):
        folder = tmp_path / "capture" / "images" / f"cam{camera}"
        folder.mkdir(parents=True)
        for number in range(12):
            cv2.imwrite(str(folder / f"{number:04d}.png"), dotted(number, camera))
    (tmp_path / "capture" / "images" / "cam1" / "0007.png").write_bytes(b"\x89PNG broken")
    return tmp_path / "capture"
