"""Fetching data sets: what may be fetched (`catalog`), and how (`fetch`)."""
