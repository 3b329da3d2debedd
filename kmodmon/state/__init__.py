"""The state of one host, the folds of observations into it, and its checkpoints. Pure."""
