"""How the demo scenes were made: shapes, textures, arrangement, cameras, rendering. Needs the extra `demo`."""
