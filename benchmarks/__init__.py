"""Everything that runs: images, training, tracking, reports, speed and the command `lossbench`."""
