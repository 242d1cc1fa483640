"""From scenes to what a step takes: views as tensors, draws of views and rays, augmentation, mixture, loader."""
