"""Benchmarks: ratios against a peer in the same run, never absolute goals; no test depends on them."""
