"""Layer 1: what kmodmon knows. Frozen dataclasses and pure functions between them; imports layer 0 only."""
