"""A scene made up in memory: cameras on a line, noise for images, everything known."""

import numpy as np


class MemoryScene:
    """`count` views of height × width from x = 0, 1, 2, …, all looking along z."""

    def __init__(self, count: int = 6, height: int = 32, width: int = 48, name: str = "memory"):
        self.name = name
        self.image_ids = [f"view_{index}" for index in range(count)]
        self.shape = (height, width)
        self.reads = []
        self.foreground = np.ones(self.shape, bool)

    def image(self, image_id):
        self.reads.append(image_id)
        generator = np.random.default_rng(self.image_ids.index(image_id))
        return generator.integers(0, 256, (*self.shape, 3), dtype=np.uint8)

    def K(self, image_id):
        height, width = self.shape
        return np.array([[40.0, 0, width / 2], [0, 40, height / 2], [0, 0, 1]])

    def w2c(self, image_id):
        return np.concatenate([np.eye(3), [[-float(self.image_ids.index(image_id))], [0], [0]]], axis=1)

    def depth_range(self, image_id):
        index = self.image_ids.index(image_id)
        return 2.0, 4.0 + index

    def mask(self, image_id):
        return self.foreground

    def depth(self, image_id):
        return np.full(self.shape, 3.0, np.float32)

    def split(self, kind):
        if kind == "train":
            return self.image_ids, self.image_ids
        return self.image_ids[1:], self.image_ids[:1]
