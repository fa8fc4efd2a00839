"""Timings of the fast operators beside their definitions, in one run: ``python -m dispose_benchmarks.kernels``."""
