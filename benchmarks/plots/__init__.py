"""Canvas, palette and the figures that everything uses."""
