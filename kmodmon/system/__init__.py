"""Edges to the operating system: files, clocks, the journal, systemd, memory footprint."""
