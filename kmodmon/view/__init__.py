"""Layer 2: what is shown. State in, JSON out: the HTTP API, `--json` and the tables of the CLI all show these."""
