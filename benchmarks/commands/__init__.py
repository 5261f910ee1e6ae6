"""The commands of `lossbench`, one module per command."""
