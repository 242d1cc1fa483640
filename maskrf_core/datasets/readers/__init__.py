"""One function a layout: the folder of a scene → its frames. `datasets.records` says which reads which data set."""
