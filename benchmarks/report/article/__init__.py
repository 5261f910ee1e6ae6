"""The article that lossbench began with: its steps, with the numbers of three images."""
