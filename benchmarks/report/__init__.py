"""What an experiment's numbers are turned into: a summary, tables, pictures and a page.

Importing this package costs nothing; matplotlib, scipy and rich are loaded when first needed.
"""

from .comparison import write_summary
from .table import terminal_table

__all__ = ["terminal_table", "write_summary"]
