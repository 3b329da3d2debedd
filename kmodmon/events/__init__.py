"""Events: their kinds, sentences and JSON, and the counters and timestamps that they move. Pure."""
