"""What claims show: parts that they share, and the pictures of one claim each."""
