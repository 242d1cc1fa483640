"""Making of the demo scenes: shapes, textures, arrangement, cameras, rendering. Needs the extra `demo`."""
