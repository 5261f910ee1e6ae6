"""What a run leaves behind: event files, result files, and what is said meanwhile."""
