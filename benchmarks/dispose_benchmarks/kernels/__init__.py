"""Timings of the fast operators beside their definitions, in one run: ``dispose bench kernels``."""
