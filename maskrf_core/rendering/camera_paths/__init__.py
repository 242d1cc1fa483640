"""Cameras that travel through a scene: from the cameras of its photographs to a path of query cameras.

Door: `path.camera_path(rig.rig_of(scene, image_ids), settings)`. All is geometry in float64 with OpenCV axes.
"""
