"""What the notebooks do: trainings and grids, comparisons, checks of data, measurements, and their tables."""
