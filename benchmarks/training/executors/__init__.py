"""Executors of runs: this process, CUDA streams, processes, Ray, torchrun."""
