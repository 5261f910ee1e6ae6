"""One run, its gradient probes, and a comparison of many runs."""
