"""Depth maps of a scene: its own, kept ones or estimates (`depth_maps.depth_maps`)."""
