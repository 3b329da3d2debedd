"""Types that every room uses: errors, safe text, clocks and JSON, outcomes of a read. Imports nothing else."""
