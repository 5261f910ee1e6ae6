"""Everything that runs: data, training, claims, reports, speed and the command `lossbench`."""
