"""Errors that the hardware reports: machine checks, memory, PCI Express, the firmware's error records.

Kernel files: arch/x86/kernel/cpu/mce/core.c, drivers/edac/, drivers/acpi/apei/, drivers/firmware/efi/cper.c,
drivers/pci/pcie/aer.c, mm/memory-failure.c. Throttling (`CPU clock throttled`) is no error and has no signature; nor
have corrected PCI Express errors, which many laptops print all day.
"""

from kmodmon.events.event import Severity
from kmodmon.events.report import ReportClass
from kmodmon.reports.signatures.signature import BUS, LogSignature, MatchStage

_MCE = ReportClass.MACHINE_CHECK
_PART = "Read the machine check records (rasdaemon, mcelog, the management controller) and replace the part they name."
_APEI = r"(?:\{\d+\})?\[Hardware Error\]: "

SIGNATURES: tuple[LogSignature, ...] = (
    LogSignature(
        name="mce", report_class=_MCE, severity=Severity.CRITICAL, stage=MatchStage.LINE,
        title="machine check",
        contains=("achine Check", "achine check", "Hypervisor Maintenance", "Cache error exception:",
                  "RESUMABLE ERROR: ", "Cheetah error trap", " Error AFSR[", "TLB: Error at TPC["),
        pattern=r"(?:<\d>)?(?:mce: |MCE: |EDAC MC: )?(?:\[Hardware Error\]: )?(?:CPU ?\d+: ?)?"
        r"(?:(?:mce: )?\[Hardware Error\]: (?:CPU \d+: )?Machine [Cc]heck(?!\s*events? logged)|CPU ?\d+: Machine "
        r"Check|(?:HARDWARE ERROR\. )?"
        r"CPU \d+: Machine Check|Machine Check Exception|Machine check(?::| in kernel| exception(?! polling)| from|"
        r" processing)|"
        r"machine check \((?:Severe|Harmless|Warning)\)|"
        r"(?:Severe|Fatal|Harmless|Warning) (?:Machine check|Hypervisor Maintenance) interrupt|Machine check: |"
        r"Disabling lock|Cache error exception:$|(?:NON-)?RESUMABLE ERROR: (?:Reporting on cpu \d|type \[)|"
        r"CPU\[\d+\]: (?:Cheetah error trap taken|(?:Uncorrectable|Correctable ECC) Error AFSR\[)|"
        r"SUN4V-[ID]TLB: Error at TPC\[)",
        help="The processor reported a hardware error.",
        advice=_PART,
        origin="arch/x86/kernel/cpu/mce/core.c __print_mce(), arch/powerpc/kernel/mce.c",
        wording="powerpc `MCE: CPU0: machine check (Severe) ...`, `Severe Machine check interrupt [Not recovered]`; "
        "sparc `NON-RESUMABLE ERROR: Reporting on cpu N`",
    ),
    LogSignature(
        name="mce_logged", report_class=_MCE, severity=Severity.NOTICE, stage=MatchStage.LINE,
        title="machine check events logged",
        contains=("achine check events logged", "achine Check Event"),
        pattern=r"(?:mce: )?(?:\[Hardware Error\]: )?Machine check events logged",
        help="The processor corrected hardware errors and logged them.",
        advice="Read the records (rasdaemon, mcelog); repeated ones announce a failing part.",
        origin="arch/x86/kernel/cpu/mce/core.c mce_notify_irq()",
    ),
    LogSignature(
        name="hardware_error", report_class=_MCE, severity=Severity.ERROR, stage=MatchStage.LINE,
        title="hardware error record",
        contains=("[Hardware Error]: ", "HARDWARE ERROR", "Error records from previous boot"),
        pattern=rf"(?:<\d>)?(?:(?:mce: |EDAC \w+: |BERT: |GHES: |{BUS})?{_APEI} *(?!TPM|Erratum|Adjusting|Machine "
        r"check events)\S|"
        r"(?:mce: )?\[HARDWARE ERROR\]|HARDWARE ERROR\b|BERT: Error records from previous boot)",
        help="The firmware or the processor handed over a record of a hardware error.",
        advice=_PART,
        origin="drivers/acpi/apei/ghes.c, bert.c, drivers/firmware/efi/cper.c, drivers/edac/mce_amd.c",
    ),
    LogSignature(
        name="edac_uncorrected", report_class=_MCE, severity=Severity.CRITICAL, stage=MatchStage.LINE,
        title="uncorrected memory error",
        contains=(" UE ", "Uncorrected error", "Uncorrectable", "UE row", "UE page"),
        pattern=r"EDAC (?:[\w-]+ ?)?(?:MC\d+|PCI\d*|DEVICE\d+|[\w.-]+|device\d+)?:? ?(?:\w+: )*(?:\d+ )?(?:UE\b|"
        r"Uncorrected\b|Uncorrectable\b|Fatal\b)",
        help="A memory error that error correction could not repair.",
        advice="Replace the memory module named.",
        origin="drivers/edac/edac_mc.c edac_ue_error()",
    ),
    LogSignature(
        name="edac_corrected", report_class=_MCE, severity=Severity.NOTICE, stage=MatchStage.LINE,
        title="corrected memory error",
        contains=(" CE ", "CE row", "CE page", "HANDLING MCE", "achine Check Event"),
        pattern=r"EDAC (?:[\w-]+ ?)?(?:MC\d+|[\w.-]+):? ?(?:\w+: )*(?:(?:\d+ )?CE\b|HANDLING MCE|(?:CPU \d+: "
        r")?Machine Check Event)",
        help="Error correction repaired a memory error.",
        advice="Once is nothing; many at one place announce a failing memory module.",
        origin="drivers/edac/edac_mc.c edac_ce_error()",
    ),
    LogSignature(
        name="pcie_error", report_class=_MCE, severity=Severity.ERROR, stage=MatchStage.LINE,
        title="PCIe error ({kind})",
        contains=("PCIe Bus Error: ", "Uncorrected", "Uncorrectable", "Fatal", "error received: ", "ERR_FATAL"),
        pattern=rf"{BUS}(?:AER: )?(?:PCIe Bus Error: severity=(?P<kind>Uncorrected[ ()\w-]*|Uncorrectable[ ()\w-]*|"
        r"Fatal)|(?:Multiple )?"
        r"(?P<kind2>Uncorrected|Uncorrectable|Fatal)(?: \((?:Non-)?Fatal\))? error(?: message)? received)",
        help="A PCI Express device or link had an error that was not corrected.",
        advice="Look at the device named: seating, power, firmware, power saving (ASPM).",
        origin="drivers/pci/pcie/aer.c aer_print_error()",
    ),
    LogSignature(
        name="pcie_containment", report_class=_MCE, severity=Severity.ERROR, stage=MatchStage.LINE,
        title="PCIe {kind}",
        contains=("device recovery failed", "containment event", "ERR_FATAL detected", "EEH: ",
            "unmasked uncorrectable"),
        pattern=rf"{BUS}(?:AER: )?(?P<kind>device recovery failed|(?:DPC|pciehp|dpc):? (?:containment event|"
        rf"ERR_FATAL detected|"
        r"unmasked uncorrectable error detected)|"
        r"EEH: (?:Frozen PHB|Frozen PE|Fenced PHB|PHB#\d+ failure|This PCI device has failed|Unable to recover|"
        r"Detected (?:PCI bus )?error on PHB))",
        help="A PCI Express device was cut off after an error.",
        advice="Look at the device named: seating, power, firmware.",
        origin="drivers/pci/pcie/dpc.c, drivers/pci/pcie/err.c, arch/powerpc/kernel/eeh.c",
    ),
    LogSignature(
        name="memory_failure", report_class=_MCE, severity=Severity.ERROR, stage=MatchStage.LINE,
        title="memory failure",
        contains=("emory failure: ", "MCE 0x", "ncorrected hardware memory error", "hardware memory corruption",
                  "Uncorrected memory error", "hardware poisoned", "emory error in user"),
        pattern=r"(?:<\d>)?(?:mce: |MCE: )?(?:Memory failure: 0x[0-9a-f]+: |MCE 0x[0-9a-f]+: |Uncorrected "
        r"(?:hardware )?memory error |"
        r"(?:MCE: )?Killing \S.{0,24}:\d+ due to hardware memory corruption)",
        help="A page of memory failed and was taken out of use; what used it may have been killed.",
        advice="Replace the memory module at that address.",
        origin="mm/memory-failure.c",
    ),
    LogSignature(
        name="serror", report_class=_MCE, severity=Severity.CRITICAL,
        title="asynchronous hardware error",
        contains=("SError Interrupt on", "High Priority Machine Check", "Unrecoverable Machine",
            "ardware error detected"),
        pattern=r"(?:SError Interrupt on CPU|High Priority Machine Check|Unrecoverable Machine check|\*\*\*\* HPMC)",
        help="The memory system reported an error that belongs to no instruction.",
        advice="Often a driver that touches a device without power or clock; else failing hardware.",
        origin="arch/arm64/kernel/traps.c arm64_serror_panic()",
    ),
    LogSignature(
        name="iommu_fault", report_class=ReportClass.OTHER, severity=Severity.WARNING, stage=MatchStage.LINE,
        title="IOMMU fault",
        contains=("fault addr", "IO_PAGE_FAULT", "nhandled context fault", "ILLEGAL_DEV_TABLE"),
        pattern=r"(?:DMAR:? ?\[?(?:\[|DMA |INTR-REMAP|PASID).*(?:fault addr|fault index|Request device)|DMAR: "
        r"\[?DMA (?:Read|Write)|"
        rf"{BUS}AMD-Vi: Event logged \[(?:IO_PAGE_FAULT|ILLEGAL_DEV_TABLE|PAGE_TAB_HARD|IOTLB_INV)|AMD-Vi: Event "
        r"logged \[|"
        rf"{BUS}(?:arm-smmu.*: )?Unhandled context fault: |{BUS}event 0x[01][0-9a-f] received)",
        help="A device used memory that it was not given; the IOMMU stopped it.",
        advice="A driver or firmware bug of the device named.",
        origin="drivers/iommu/intel/dmar.c, drivers/iommu/amd/iommu.c, drivers/iommu/arm/",
    ),
)  # fmt: skip
