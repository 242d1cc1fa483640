"""One's own photographs → a prepared scene: cameras found or read, distortion undone (`capture_preparation`)."""
