"""Layer 2: Grafana dashboards, written to grafana/dashboards at build time. The daemon does not import this package."""

from grafana.src.dashboards import fleet, host, self_monitoring
from grafana.src.dashboards.dashboard import Dashboard

DASHBOARDS: tuple[Dashboard, ...] = (fleet.DASHBOARD, host.DASHBOARD, self_monitoring.DASHBOARD)
