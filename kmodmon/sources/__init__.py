"""Layer 3, edges in: one file per kernel interface. `polled` and `followed` list every source, and nothing else does.

They are two files because a command that looks once needs no source that is followed, nor what those are made of.
"""
