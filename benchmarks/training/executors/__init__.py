"""Where runs are trained: this process, CUDA streams, processes, Ray, torchrun."""
