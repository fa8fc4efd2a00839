"""The colours of people: the same in every picture and every exported file."""

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#8B6FC0", "#7A5C3E")
"""Okabe and Ito's colours (without black, and without yellow, which is lost on white), then violet and brown."""
