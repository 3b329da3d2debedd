"""The status page: one look at the host for a person without Grafana. Server-rendered, better with its script."""
