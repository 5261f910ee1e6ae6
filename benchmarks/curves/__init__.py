"""What every registered loss is and how exact it is: `losses/README.md`, made from the registry."""
