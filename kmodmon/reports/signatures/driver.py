"""What drivers print when they lose their device: graphics hangs, crashed firmware, dead controllers.

Kernel files: drivers/gpu/drm/, drivers/net/, drivers/usb/host/. Class `other`: the kernel itself is not at fault.
"""

from kmodmon.events.event import Severity
from kmodmon.events.report import ReportClass
from kmodmon.reports.signatures.signature import BUS, LogSignature, MatchStage

_UPDATE = "Update the driver and the firmware; look at power, heat and power saving of the device."


def _driver(name: str, title: str, contains: tuple[str, ...], pattern: str, help_: str, origin: str) -> LogSignature:
    return LogSignature(
        name=name,
        report_class=ReportClass.OTHER,
        severity=Severity.ERROR,
        stage=MatchStage.LINE,
        title=title,
        contains=contains,
        pattern=pattern,
        help=help_,
        advice=_UPDATE,
        origin=origin,
    )


SIGNATURES: tuple[LogSignature, ...] = (
    _driver(
        "gpu_hang", "GPU hang",
        ("GPU HANG", "GPU hang", "ring ", "GPU lockup", "GPU reset", "GPU fault", "NVRM: Xid", "fallen off the bus"),
        rf"{BUS}(?:i915 |amdgpu: |\[drm[^\]\[]*(?:\[\w+\])?\] ?|\*ERROR\* ?)*(?:GPU HANG: |GPU hang|stuck on \w+ "
        r"ring|ring \S+ timeout|ring \d+ stalled|"
        r"GPU lockup|GPU fault detected|NVRM: Xid \(PCI:[0-9a-f]{4}:|NVRM: GPU .*fallen off the bus|GPU reset begin)",
        "The graphics processor stopped answering.", "drivers/gpu/drm/",
    ),
    _driver(
        "firmware_crash", "firmware of a device crashed",
        ("icrocode SW error", "irmware crashed", "firmware has crashed", "irmware error", "FW in FAULT state",
        "FW error in SYNC CMD",
         "HW error, ", "Firmware crash", "Firmware has halted"),
        rf"(?:{BUS}|iwlwifi \S+: )?(?:Microcode SW error detected|(?:firmware|Firmware|wlan firmware) (?:has "
        r")?crash(?:ed)\b|FW error in SYNC CMD|FW in FAULT state|"
        r"(?:\w+: )?Firmware has halted or crashed)",
        "The firmware of a device crashed and is started again.", "drivers/net/wireless/, drivers/scsi/megaraid/",
    ),
    _driver(
        "host_controller_died", "USB host controller died",
        ("HC died", "assume dead", "host controller not responding", "Host halt failed", "host not responding to stop"),
        rf"(?:{BUS})?(?:xHCI host (?:controller )?not responding.*assume dead|HC died; cleaning up|HC died|xHCI host "
        r"not responding to stop endpoint)",
        "The USB controller stopped answering; all its devices are gone.", "drivers/usb/host/xhci-ring.c",
    ),
    _driver(
        "nic_hang", "network card hang",
        ("Unit Hang", "etected Tx Unit", "Adapter hang", "PHY reset", "Hardware Error!"),
        rf"(?:{BUS})?(?:\S+: )?(?:Detected (?:Tx|Hardware) Unit Hang|Reset adapter unexpectedly|PCIe link lost, "
        r"device now detached)",
        "A network card stopped sending.", "drivers/net/ethernet/intel/",
    ),
)  # fmt: skip
