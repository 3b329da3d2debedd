"""A host on which everything happens, as its exposition: every declared metric with values before and after.

The values are made up, names and labels are the declared ones. It is for whatever reads metrics: dashboards and rules.
What kmodmon itself makes of a kernel is tested elsewhere, and on real kernels.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.core import Metric as Family

from kmodmon.metrics import METRICS
from kmodmon.metrics.exposition import ExpositionFormat, family, render_families
from kmodmon.metrics.metric import MetricType, Sample

Values = tuple[float, float]  # before and after
Rows = Mapping[tuple[str, ...], Values]

COMMON_MODULES = ("ext4", "jbd2", "mbcache", "virtio_net", "virtio_blk")
_ROOTKIT = "rootkit"


def same(value: float) -> Values:
    return value, value


def grows(by: float = 3) -> Values:
    return 0, by


_MODULES = (*COMMON_MODULES, _ROOTKIT)
_KNOWN: Rows = {
    **{(name, "1.0", "ABC", "GPL", "valid", "Debian", "kernel", "true"): same(1) for name in COMMON_MODULES},
    (_ROOTKIT, "", "DEF", "GPL", "unsigned", "", "memory", "false"): same(1),
}
STATES: Mapping[str, Rows] = {
    "kmodmon_build_info": {("0.1.0", "3.11.2"): same(1)},
    "kmodmon_source_present": {("kmsg",): same(1), ("lockdown",): same(1), ("livepatch",): same(0)},
    "kmodmon_source_up": {("kmsg",): same(1), ("lockdown",): (1, 0)},
    "kmodmon_source_lost_total": {("kmsg",): grows(), ("trace",): grows(1)},
    "kmodmon_source_unreadable": {("kmsg",): same(0), ("lockdown",): same(2)},
    "kmodmon_events_total": {("ModuleLoaded",): grows(), ("LockdownDenied",): grows(1), ("KernelReport",): grows(5)},
    "kmodmon_module_support": {(): same(1)},
    "kmodmon_modules": {("live",): (5, 6), ("coming",): same(0), ("going",): same(0)},
    "kmodmon_modules_by_trust": {("valid",): same(5), ("unsigned",): (0, 1), ("invalid",): same(0)},
    "kmodmon_module_size_bytes": {(name,): same(16384) for name in _MODULES},
    "kmodmon_module_refcnt": {(name,): same(1) for name in _MODULES},
    "kmodmon_module_taint": {(_ROOTKIT, "O"): same(1), (_ROOTKIT, "E"): same(1)},
    "kmodmon_module_holder": {("jbd2", "ext4"): same(1), ("mbcache", "ext4"): same(1)},
    "kmodmon_modules_skipped_lines": {(): same(0)},
    "kmodmon_module_loads_total": {("valid",): grows(2), ("unsigned",): grows(1)},
    "kmodmon_module_unloads_total": {(): grows(1)},
    "kmodmon_module_transients_total": {(): grows(1)},
    "kmodmon_module_hidden": {(_ROOTKIT, "list"): same(1)},
    "kmodmon_crossview_available": {("list",): same(1), ("memory",): same(0)},
    "kmodmon_witness_contradictions_total": {(): grows(1)},
    "kmodmon_module_info": _KNOWN,
    "kmodmon_modules_by_origin": {("kernel",): same(5), ("memory",): (0, 1)},
    "kmodmon_module_differs_from_disk": {("ext4",): same(0), ("jbd2",): (0, 1)},
    "kmodmon_modules_unexamined": {(): same(0)},
    "kmodmon_module_file_problems": {(): same(0)},
    "kmodmon_module_blacklisted": {("jbd2", "modprobe.d"): same(1)},
    "kmodmon_kernel_installed_info": {("6.1.0", "true", "false"): same(1), ("6.1.1", "false", "true"): same(1)},
    "kmodmon_kernel_installed_newer": {(): same(1)},
    "kmodmon_file_changes_total": {("policy",): grows(1)},
    "kmodmon_kernel_tainted": {(): (0, 12288)},
    "kmodmon_kernel_taint": {
        ("unsigned_module", "E"): (0, 1),
        ("out_of_tree_module", "O"): (0, 1),
        ("warning", "W"): same(0),
    },
    "kmodmon_kernel_taint_cleared_total": {(): grows(1)},
    "kmodmon_kernel_info": {("6.1.0", "#1 SMP", "x86_64"): same(1)},
    "kmodmon_lockdown": {("none",): (0, 1), ("integrity",): (1, 0), ("confidentiality",): same(0)},
    "kmodmon_modules_disabled": {(): (1, 0)},
    "kmodmon_signature_enforced": {(): (1, 0)},
    "kmodmon_secure_boot": {(): (1, 0)},
    "kmodmon_hardening": {("kptr_restrict",): (2, 0), ("sysrq",): same(1)},
    "kmodmon_livepatch": {("patch_1", "enabled"): same(1)},
    "kmodmon_kernel_oops_count": {(): (0, 1)},
    "kmodmon_kernel_warn_count": {(): (0, 1)},
    "kmodmon_posture_changes_total": {("lockdown",): grows(1)},
    "kmodmon_module_parameter": {("ext4", "debug"): (0, 1)},
    "kmodmon_module_parameter_info": {("ext4", "mode", "fast"): same(1)},
    "kmodmon_module_parameter_series_dropped": {(): same(0)},
    "kmodmon_module_parameters_unreadable": {(): same(1)},
    "kmodmon_module_parameters_hidden": {(): same(2)},
    "kmodmon_module_parameter_changes_total": {(): grows(1)},
    "kmodmon_policy_findings": {("unsigned-module", "error"): (0, 1), ("hidden-module", "critical"): (0, 1)},
    "kmodmon_policy_finding": {
        ("unsigned-module", _ROOTKIT, "error"): same(1),
        ("hidden-module", _ROOTKIT, "critical"): same(1),
        ("kernel-degraded", "", "warning"): same(1),
    },
    "kmodmon_policy_findings_dropped": {(): same(0)},
    "kmodmon_policy_dry_run_findings": {("try-out",): same(2)},
    "kmodmon_policy_rules": {("file",): same(1), ("shipped",): same(24)},
    "kmodmon_policy_last_reload_successful": {(): (1, 0)},
    "kmodmon_module_expected": {("softdog",): (1, 0)},
    "kmodmon_baseline_drift": {("unexpected_module",): (0, 1), ("parameter",): same(0)},
    "kmodmon_baseline_last_reload_successful": {(): same(1)},
    "kmodmon_kernel_log_records_total": {("info", "kernel"): grows(40), ("err", "kernel"): grows(2)},
    "kmodmon_kernel_log_lost_total": {(): grows(1)},
    "kmodmon_kernel_log_malformed_total": {(): grows(1)},
    "kmodmon_kernel_log_forged_total": {(): grows(1)},
    "kmodmon_kernel_reports_total": {("null_pointer",): grows(1), ("warning",): grows(12)},
    "kmodmon_kernel_reports_suppressed_total": {(): grows(1)},
    "kmodmon_previous_boot_reports_total": {("panic",): grows(1)},
    "kmodmon_module_load_failures_total": {("lockdown",): grows(1), ("unknown_symbol",): grows(4)},
    "kmodmon_history_events": {(): (10, 20)},
    "kmodmon_history_size_bytes": {(): (4096, 8192)},
    "kmodmon_history_up": {(): (1, 0)},
    "kmodmon_history_write_errors_total": {(): grows(1)},
    "kmodmon_history_lost_total": {(): grows(1)},
    "kmodmon_http_requests_total": {(): grows(9)},
    "kmodmon_http_rejected_total": {(): grows(1)},
    "kmodmon_http_timeouts_total": {(): grows(1)},
    "kmodmon_http_auth_failures_total": {(): grows(11)},
    "kmodmon_http_bad_requests_total": {(): grows(1)},
    "kmodmon_http_handshake_failures_total": {(): grows(1)},
    "kmodmon_http_rate_limited_total": {(): grows(1)},
    "kmodmon_http_misdirected_total": {(): grows(1)},
    "kmodmon_http_busy_total": {(): grows(1)},
    "kmodmon_http_accept_errors_total": {(): grows(1)},
    "kmodmon_recent_series_dropped_total": {(): grows(1)},
    "kmodmon_http_handler_errors_total": {(): grows(1)},
    "kmodmon_exposition_failures_total": {(): grows(1)},
    "kmodmon_journal_lost_total": {(): grows(1)},
    "kmodmon_config_last_reload_successful": {(): (1, 0)},
}
STAMPS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "kmodmon_source_last_read_timestamp_seconds": (("kmsg",), ("lockdown",)),
    "kmodmon_module_load_timestamp_seconds": ((_ROOTKIT, "unsigned", "OE", "insmod"),),
    "kmodmon_module_unload_timestamp_seconds": ((_ROOTKIT, "OE", "rmmod"),),
    "kmodmon_module_load_failure_timestamp_seconds": (("", "lockdown", "insmod"),),
    "kmodmon_module_request_timestamp_seconds": (("net-pf-21", "unprivileged"),),
    "kmodmon_module_hidden_timestamp_seconds": ((_ROOTKIT, "certain"),),
    "kmodmon_witness_contradiction_timestamp_seconds": ((_ROOTKIT, "never_listed"),),
    "kmodmon_file_change_timestamp_seconds": (("policy", ""), ("modprobe.d", "")),
    "kmodmon_kernel_taint_set_timestamp_seconds": (("unsigned_module", f"module:{_ROOTKIT}"),),
    "kmodmon_kernel_boot_timestamp_seconds": ((),),
    "kmodmon_posture_change_timestamp_seconds": (("lockdown",), ("modprobe",)),
    "kmodmon_module_parameter_change_timestamp_seconds": (("ext4", "debug"),),
    "kmodmon_policy_violation_timestamp_seconds": (("unsigned-module", _ROOTKIT, "error"),),
    "kmodmon_policy_last_reload_success_timestamp_seconds": ((),),
    "kmodmon_baseline_drift_timestamp_seconds": (("unexpected_module", _ROOTKIT),),
    "kmodmon_kernel_report_timestamp_seconds": (("null_pointer", "rootkit"), ("warning", "")),
    "kmodmon_previous_boot_report_timestamp_seconds": (("panic", ""),),
    "kmodmon_config_last_reload_success_timestamp_seconds": ((),),
}
"""Gauges that say when something happened: now, once it has."""


def exposition(*, happened: bool, at: float) -> bytes:
    """What such a host exposes, before it all happened or after; `at` is when it did."""
    families = [family(metric, _samples(metric.name, happened=happened, at=at)) for metric in METRICS]
    return render_families([*families, *_process(at)], ExpositionFormat.TEXT)


def calm(number: int) -> bytes:
    """What a host exposes on which nothing happens; only what a fleet is counted by."""
    names = ("kmodmon_kernel_tainted", "kmodmon_kernel_info", "kmodmon_build_info", "kmodmon_modules_by_trust")
    families = [
        family(metric, _samples(metric.name, happened=False, at=0)) for metric in METRICS if metric.name in names
    ]
    sizes = GaugeMetricFamily("kmodmon_module_size_bytes", "Memory of a loaded module.", labels=["module"])
    for name in COMMON_MODULES:
        sizes.add_metric([name], 16384 + number)
    return render_families([*families, sizes], ExpositionFormat.TEXT)


def _samples(name: str, *, happened: bool, at: float) -> Iterator[Sample]:
    if name in STAMPS:
        yield from ((labels, at) for labels in STAMPS[name] if happened or not labels)
        return
    for labels, values in STATES.get(name, {}).items():
        yield labels, values[happened]


def _process(at: float) -> Iterator[Family]:
    yield CounterMetricFamily("process_cpu_seconds", "Processor time.", value=time.time() - at)
    yield GaugeMetricFamily("process_resident_memory_bytes", "Resident memory.", value=30e6)
    yield GaugeMetricFamily("process_open_fds", "Open files.", value=20)
    yield GaugeMetricFamily("process_start_time_seconds", "Start.", value=at)


def counters() -> frozenset[str]:
    """Names of the counters, which must grow in the scenario."""
    return frozenset(metric.name for metric in METRICS if metric.kind is MetricType.COUNTER)


@dataclass(slots=True)
class Fleet:
    """Hosts behind one server: /0 is where everything happens, once `happened` is set."""

    address: str
    happened: threading.Event = field(default_factory=threading.Event)
    at: float = field(default_factory=time.time)

    def page(self, number: int) -> bytes:
        """What a host answers."""
        return calm(number) if number else exposition(happened=self.happened.is_set(), at=self.at)


@contextmanager
def serving() -> Iterator[Fleet]:
    """The fleet on a port of loopback, until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = fleet.page(int(self.path.strip("/")))
            self.send_response(200)
            self.send_header("Content-Type", ExpositionFormat.TEXT.value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fleet = Fleet(f"127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield fleet
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
