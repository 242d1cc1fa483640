"""Downloaded archives: which data set each holds (`archive_plans`), and unpacking it safely (`unpacking.unpack`)."""
