"""Complaints of torch's users, run on torch's losses and on ours; a file for each kind."""
