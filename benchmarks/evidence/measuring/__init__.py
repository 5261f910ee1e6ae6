"""What claims measure on trained networks, and what follows from it."""
