"""Checkpoints: ours, the published ones, and the names of weights between them.

Doors: `load_published(path)` makes the renderer of a published checkpoint, `published_checkpoints.load_renderer(path)`
that of any checkpoint, ours or published; `checkpoint_files` reads and writes ours, `per_scene_renderer` begins one
scene from a renderer of any, `published_files` finds published files below the data root, `shipped_weights` reads and
writes those that come with the package.
"""

__all__ = ["load_published"]


def __getattr__(name: str):
    if name == "load_published":  # late: it imports torch, which finding files does not need
        from maskrf_core.checkpoints.published_checkpoints import load_published

        return load_published
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
