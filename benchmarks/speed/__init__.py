"""Speed measurements: the targets of `lossbench speed`, and pytest-benchmark suites.

Absolute times on a shared machine say little. Every measurement with a counterpart therefore
carries a ratio to it, measured interleaved in the same process.
"""
