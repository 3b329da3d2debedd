"""Layer 2: Grafana dashboards, made at build time into grafana/dashboards. The daemon never imports this room."""

from grafana.src.dashboards import fleet, host, self_monitoring
from grafana.src.dashboards.dashboard import Dashboard

DASHBOARDS: tuple[Dashboard, ...] = (fleet.DASHBOARD, host.DASHBOARD, self_monitoring.DASHBOARD)
