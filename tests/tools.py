"""Make ready the programs that the tests want and a Python environment cannot hold (placeholder grows with the tests)."""
