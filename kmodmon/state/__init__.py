"""The whole state of one host, the union of all observations, and what is remembered across restarts. Pure."""
