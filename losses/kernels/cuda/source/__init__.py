"""What Triton compiles. Importing anything in here imports Triton."""
