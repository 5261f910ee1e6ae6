"""pytest-benchmark suites: the losses beside torch's, the training step, the probes, the batches.

Absolute times on a shared machine say little, so every row that has a counterpart carries
`extra_info["ratio_to_torch"]` (or another ratio), measured interleaved in the same process.
"""
