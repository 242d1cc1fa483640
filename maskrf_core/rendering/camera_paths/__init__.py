"""Cameras that travel through a scene: from where its photographs were taken to a path of query cameras.

`path.camera_path` is the way in. All of it is geometry in float64 with OpenCV axes (see `maskrf_core.cameras`).
"""
