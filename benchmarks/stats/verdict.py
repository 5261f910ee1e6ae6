"""The verdict on a claim or a difference."""

from typing import Literal

Verdict = Literal["holds", "does not hold", "undecided"]
"""Result of a test. 'undecided': the interval includes the threshold."""
