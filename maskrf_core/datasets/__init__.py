"""Scenes on disk → `Scene` (one interface for every layout) → `SceneBatch` (what the model takes)."""

from maskrf_core.datasets.scene import Scene, open_scene

__all__ = ["Scene", "open_scene"]
