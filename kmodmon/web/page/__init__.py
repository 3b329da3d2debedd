"""The status page: the host without Grafana, on a page that is rendered here and that a script keeps up to date."""
