"""Renderings of scenes, and how good they are.

Doors: `evaluation.evaluate` (metrics of the query views), `rendered_views.rendered_views` (their pictures one by one),
`path_rendering.render_path` (a film along a camera path), `viewer` (a window to walk through a scene). `render_cache`
keeps on disk what was rendered.
"""
