"""Files of scenes, read strictly: images, numbers, JSON, and the words of a scene's name."""
