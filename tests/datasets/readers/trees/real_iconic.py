from pathlib import Path

from tests.datasets.readers.trees.nerf_llff import write_capture


def build(root: Path) -> str:
    write_capture(root / "real_iconic_noface/shelf")
    return "real_iconic/shelf/4"
