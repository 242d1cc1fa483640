"""A canary: the shapes in signatures are worth something only while the test run checks them."""

import pytest
import torch
from jaxtyping import TypeCheckError

from maskrf_core.cameras import camera_centres


def test_wrong_shape_raises():
    four_by_four = torch.eye(4)[None]  # computes without complaint if nothing checks the annotation
    with pytest.raises(TypeCheckError, match="w2c"):
        camera_centres(four_by_four)


def test_wrong_dtype_raises():
    with pytest.raises(TypeCheckError, match="w2c"):
        camera_centres(torch.ones(1, 3, 4, dtype=torch.int64))
