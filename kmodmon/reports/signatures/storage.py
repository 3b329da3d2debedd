"""Input and output errors of disks, and of what lies between disks and file systems.

Kernel files: block/blk-mq.c, fs/buffer.c, drivers/ata/libata-eh.c, drivers/scsi/, drivers/nvme/, drivers/mmc/,
drivers/md/. Two errors have no signature: those of floppy drives, because many virtual machines have a drive without a
medium which each boot tries; and `operation not supported`, which a disk or loop file that cannot discard or zero
sectors returns before the kernel writes them.
"""

from kmodmon.events.event import Severity
from kmodmon.events.report import ReportClass
from kmodmon.reports.signatures.signature import BUS, DEV, LogSignature, MatchStage

_IO = ReportClass.IO_ERROR
_DISK = "Check the disk (smartctl, cables, the controller's log) and that the backups are good."


def _line(name: str, title: str, contains: tuple[str, ...], pattern: str, help_: str, origin: str) -> LogSignature:
    return LogSignature(
        name=name,
        report_class=_IO,
        severity=Severity.ERROR,
        stage=MatchStage.LINE,
        title=title,
        contains=contains,
        pattern=pattern,
        help=help_,
        advice=_DISK,
        origin=origin,
    )


SIGNATURES: tuple[LogSignature, ...] = (
    _line(
        "block_io_error", "I/O error on {dev}",
        ("/O error, dev ", " error, dev ", "/O error: dev "),
        r"(?:<\d>)?(?:blk_update_request: |print_req_error: |end_request: )?(?:timeout|recoverable transport|"
        r"critical (?:space allocation|target|nexus|medium)|protection|resource|device (?:offline|resource|busy)|"
        r"zone (?:active|open)|[Ii]/O|"
        rf"invalid|nonblocking retry|dm internal retry|unknown) ?(?:error)?[,:]? ?(?:error, )?dev (?!fd\d|02:){DEV}"
        r"(?: \((?!fd\d)\w+\))?(?:, sector \d+|,$)",
        "A disk could not read or write some sectors.", "block/blk-mq.c blk_print_req_error()",
    ),
    _line(
        "buffer_io_error", "buffer I/O error on {dev}",
        ("uffer I/O error on dev", "lost page write due to I/O", "lost async page write", "lost sync page write"),
        rf"(?:<\d>)?(?:Buffer I/O error on dev(?:ice)? (?!fd\d){DEV}|lost page write due to I/O error on "
        r"(?!fd\d)(?P<dev2>\S+))",
        "Data of a disk could not be read, or could not be written and is lost.", "fs/buffer.c buffer_io_error()",
    ),
    _line(
        "ata_exception", "ATA error",
        ("exception Emask ", "failed command: ", "COMRESET failed", "reset failed, giving up",
        "limiting SATA link speed",
         ": disabled", "revalidation failed", "failed to IDENTIFY"),
        r"ata\d+(?P<unit>\.\d+)?: (?:"
        # A line that only reports a device plugged in or out is no error.
        r"exception Emask (?(unit)|(?!0x10 SAct 0x0 SErr 0x4[0-9a-f]{2}0000 ))|failed command: |COMRESET failed|"
        r"(?:hard|soft)?reset failed, giving up|disabled$|error: \{ UNC|revalidation failed|"
        r"failed to IDENTIFY|NCQ disabled due to excessive)",
        "A disk on an ATA port reported an error, or did not answer.", "drivers/ata/libata-eh.c ata_eh_link_report()",
    ),
    _line(
        "ide_error", "IDE error",
        ("_intr: ", "dma_timer_expiry", "lost interrupt", "status error: status="),
        r"hd[a-z]: (?:\w+_intr: (?:status|error)=0x(?!51 \{ DriveReady SeekComplete \})|dma_timer_expiry|lost "
        r"interrupt|status (?:error|timeout): status=)",
        "A disk on an IDE port reported an error, or did not answer.", "drivers/ide/",
    ),
    _line(
        "scsi_sense", "SCSI error: {kind}",
        ("Medium Error", "Hardware Error", "hostbyte=", "Unrecovered read error", "edium Error", "Unhandled error code",
         "Unhandled sense code", "Write error", "ardware Error", "SCSI error", "SCSI disk error",
         "Current: sense key"),
        r"(?:<\d>)?(?:SCSI (?:disk )?error ?: (?:<[\d ]+>|host \d+).* return code = (?:0x)?[1-9a-f]|"
        r"sd\w+: Current: sense key(?:=0x[34]|: (?:Medium|Hardware) Error)|"
        r"(?:sd|sr|st|ses|scsi|ch) ?[\d:]*:? ?(?:\[\w+\] +)?(?:tag#\d+ )?(?:CDB: .*)?(?P<kind>Sense Key : "
        r"(?:Medium|Hardware) Error|"
        r"Add\. Sense: (?:Unrecovered read error|Write error|Internal target failure|"
        r"Peripheral device write fault)|"
        r"(?:FAILED|UNKNOWN\(0x\w+\)) Result: hostbyte=(?:DID_(?!OK)\w+|0x)|Result: hostbyte=DID_(?:ERROR|"
        r"BAD_TARGET|NO_CONNECT|TIME_OUT|ABORT|"
        r"RESET|TRANSPORT_DISRUPTED|TRANSPORT_FAILFAST)|"
        r"FAILED Result: hostbyte=DID_OK|Unhandled (?:error|sense) code|SCSI error: return code = 0x0*[1-9a-f]))",
        "A SCSI disk reported an error.", "drivers/scsi/scsi_logging.c, drivers/scsi/constants.c",
    ),
    _line(
        "scsi_offline", "disk taken offline",
        ("rejecting I/O to ", "evice offlined", "Device offlined", "killing request", "timing out command",
        "I/O to dead device"),
        r"(?:sd|sr|scsi|st) ?[\d:]*:? ?(?:\[\w+\] +)?(?:rejecting I/O to (?:offline|dead) device|[Dd]evice offlined|"
        r"killing request|timing out command|"
        r"scsi: Device offlined)",
        "A disk did not answer and was given up.", "drivers/scsi/scsi_lib.c, drivers/scsi/scsi_error.c",
    ),
    _line(
        "nvme_error", "NVMe error: {kind}",
        ("nvme", "nvme0n1", "nvme0c0n1"),
        r"nvme(?:\d+n\d+|\d+c\d+n\d+| nvme\d+)?:? (?:[\da-f:.]+: )?(?P<kind>controller is down|I/O (?:tag )?\d+.* "
        r"timeout\b|Device not ready|Removing after probe failure|"
        r"Device shutdown incomplete|frozen state error|Disabling device after reset failure|failed to reset|Abort "
        r"status|I/O Cmd\(0x|"
        r"I/O timeout|resetting controller due to|Reset failure|Identify Controller failed|Could not set queue count|"
        r"failed to mark controller|"
        r"Removing controller after probe failure|unable to read|I/O error|disabling device|QID Timeout|completing|"
        r"(?:Read|Write|Flush|Admin Cmd|Compare|Dataset Management|Identify|Cmd)\w*\(0x[0-9a-f]+\)(?: @ LBA)?)",
        "An NVMe disk reported an error, or did not answer.",
        "drivers/nvme/host/pci.c nvme_timeout(), nvme_warn_reset()",
    ),
    _line(
        "mmc_error", "MMC error",
        ("mmc", "mmcblk0"),
        r"(?:mmcblk\d+\w*|mmc\d+): (?:[Tt]imeout waiting for hardware|error -\d+ (?:transferring data|"
        r"requesting status|sending (?:stop|read)|whilst(?! initialising SDIO))|timed out sending|"
        r"recovery failed|cache flush error|unrecoverable|running CQE recovery|cmdq error|tried to HW reset|Card "
        r"stuck|I/O error|"
        r"unable to (?:set|read)|CRC error|Internal clock never|Reset 0x\w+ never completed|Controller never "
        r"released|Got data interrupt|"
        r"card never left busy|error -\d+ doing|r/w command failed)",
        "A memory card reported an error, or did not answer.", "drivers/mmc/core/block.c, drivers/mmc/host/sdhci.c",
    ),
    _line(
        "md_failure", "RAID: disk failure",
        ("Disk failure on ", "unrecoverable I/O", "read error not correct", "md/raid"),
        r"(?:md/raid[\w:/ -]*: ?|raid\d+: ?|md: ?|md\d+: ?){1,2}(?:\S+: )?(?:Disk failure on |[\w-]+: unrecoverable "
        r"I/O|unrecoverable I/O|read error not correct|"
        r"(?:too many|Too many) read errors|not enough operational|Cannot continue operation|super_written gets "
        r"error|rescheduling sector|"
        r"redirecting sector|raid array is not clean.*cannot)",
        "A disk of a RAID array failed.", "drivers/md/raid1.c, raid5.c, md.c",
    ),
    _line(
        "dm_error", "device mapper: {kind}",
        ("device-mapper: ",),
        r"device-mapper: (?P<kind>multipath: (?:\S+: )?Failing path|thin: (?!Creation of|Deletion of|\w+_metadata_snap)"
        r".*(?:aborting|failed|out of (?:data|"
        r"metadata) space|switching pool to (?:read-only|failure))|"
        r"verity: \S+: (?:data|metadata) block \d+ is corrupted|verity-fec: .*(?:failed|corrupted)|integrity: "
        r".*(?:[Cc]hecksum failed|MISMATCH)|crypt: .*INTEGRITY AEAD ERROR|"
        r"raid\d*: .*(?:failed|Failed|faulty)|cache: .*(?:aborting|fail)|space map .*: (?:unable|too many)|block "
        r"manager: .*(?:validator check failed|bad checksum)|"
        r"btree spine: node_check failed|snapshots: Invalidating snapshot|array: .*check failed|writecache.*[Ii]/O "
        r"error)",
        "A mapped disk (multipath, thin, verity, RAID) reported an error.", "drivers/md/dm-*.c",
    ),
    _line(
        "zfs_error", "ZFS: I/O error on {dev}",
        ("zio pool=",),
        rf"zio pool=\S+ vdev={DEV} error=\d+ type=\d+ ",
        "A disk of a ZFS pool did not take, or give, data.", "module/zfs/zio.c, vdev_disk.c (OpenZFS)",
    ),
    _line(
        "swap_error", "I/O error on swap",
        ("-error on swap-device",),
        r"(?:Read|Write)-error on swap-device \(",
        "Memory that was swapped out could not be read back, or not written.", "mm/page_io.c end_swap_bio_write()",
    ),
    _line(
        "beyond_end", "access beyond the end of {dev}",
        ("attempt to access beyond end of device",),
        r"(?:(?P<comm>[^\s:]{1,16}): )?attempt to access beyond end of device(?:$| \S+: rw=)",
        "Something asked for sectors that the disk does not have; a file system may be larger than its partition.",
        "block/blk-core.c bio_check_eod()",
    ),
    _line(
        "ubi_error", "UBI error",
        ("ubi", "UBI error"),
        r"(?:ubi\d+ error|UBI error \(pid \d+\)|UBI error: ubi_\w+)(?: \(pid \d+\))?: ",
        "Flash memory reported an error.", "drivers/mtd/ubi/",
    ),
)  # fmt: skip
_ = BUS
