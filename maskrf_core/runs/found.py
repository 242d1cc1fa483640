"""Which run folders there are."""

from pathlib import Path


def run_folders(root: str | Path) -> list[Path]:
    """All run folders at or below `root`, by name."""
    return sorted(path.parent for path in Path(root).rglob("config.yaml"))
