"""What tests share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder `shared` beside the checkout: reference tensors, weights and real scenes, too large to be in it."""
    folder = Path(__file__).resolve().parents[1].parent / "shared"
    if not (folder / "METHOD.md").is_file():
        pytest.skip("the reference folder `shared` is not beside this checkout")
    return folder
