"""SceneBatch → Rendering. Begin with `renderer.Renderer`; nothing here touches a file."""
