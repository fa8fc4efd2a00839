"""Candidate tuples: which combinations of detections could be one person, without enumerating the product."""

from dispose_kernels.candidates.evidence import ABSENT, Candidates, Evidence, beliefs, misfit, pair_cost
from dispose_kernels.candidates.join import join
from dispose_kernels.candidates.reference import enumerate_product

__all__ = ["ABSENT", "Candidates", "Evidence", "beliefs", "enumerate_product", "join", "misfit", "pair_cost"]
