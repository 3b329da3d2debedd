"""Layer 2: Grafana dashboards, made at build time into grafana/dashboards. The daemon never imports this room."""

from kmodmon.dashboards import fleet, host, own
from kmodmon.dashboards.dashboard import Dashboard

DASHBOARDS: tuple[Dashboard, ...] = (fleet.DASHBOARD, host.DASHBOARD, own.DASHBOARD)
