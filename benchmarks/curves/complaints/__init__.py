"""What users of torch complain of, run on torch's losses and on ours; a file for each kind."""
