"""Names of packages for pytest, which names a file by its path from here.

Without them `pytest benchmarks` would load `benchmarks/__init__.py` a second time under the name
`benchmarks`.
"""

import sys

import lossbench.benchmarks.speed

sys.modules["benchmarks"] = lossbench.benchmarks
sys.modules["benchmarks.speed"] = lossbench.benchmarks.speed
