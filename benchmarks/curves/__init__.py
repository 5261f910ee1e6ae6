"""Value, gradient and accuracy of every registered loss: writes `losses/README.md`."""
