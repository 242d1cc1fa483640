"""A window to walk through a scene, in a browser: `python -m maskrf_core.rendering.viewer demo/test_00`.

Door: `window.open_window`. A `visit` is one browser tab, `live_rendering` makes pictures for someone who moves, and
`walking` knows where they stand.
"""
