"""Making of scenes, the demo's and a training set: shapes, textures, light, cameras, rendering. Needs extra `demo`."""
