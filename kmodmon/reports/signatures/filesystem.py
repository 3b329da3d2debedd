"""File systems that found themselves damaged, lost data, or went read-only.

Kernel files: fs/ext4/super.c, fs/jbd2/, fs/xfs/xfs_error.c, fs/btrfs/, fs/f2fs/, fs/fat/misc.c and the others of fs/.
What a mount of the wrong type prints (`Can't find ext4 filesystem`) is no failure and has no signature.
"""

from kmodmon.events.event import Severity
from kmodmon.events.report import ReportClass
from kmodmon.reports.signatures.signature import LogSignature, MatchStage

_FS = ReportClass.FILESYSTEM
_CHECK = "Check the disk first (smartctl), then unmount and check the file system (fsck, xfs_repair, btrfs check)."


def _fs(name: str, title: str, contains: tuple[str, ...], pattern: str, help_: str, origin: str) -> LogSignature:
    return LogSignature(
        name=name,
        report_class=_FS,
        severity=Severity.ERROR,
        stage=MatchStage.LINE,
        title=title,
        contains=contains,
        pattern=r"(?:<\d>)?" + pattern,
        help=help_,
        advice=_CHECK,
        origin=origin,
    )


SIGNATURES: tuple[LogSignature, ...] = (
    _fs(
        "ext4_error", "{fs} error on {dev}",
        ("-fs error (device ", "ext4_abort", "EXT4-fs (", "EXT3-fs (", "EXT2-fs (", "-fs abort (device ",
        "EXT4-fs warning (device",
         "EXT3-fs warning (device"),
        r"(?:(?P<fs>EXT\d)-fs (?:error|abort) \(device (?P<dev>[^)]+)\)|(?P<fs2>EXT\d)-fs (?:\((?P<dev2>[^)]+)\): "
        r")?(?:error: (?:remounting|unable|.*cannot)|"
        r"previous I/O error|I/O error while|failed to convert unwritten|[Dd]elayed block allocation failed|This "
        r"should not happen|group descriptors corrupted|"
        r"ext\d_check_descriptors: .*(?:not in group|failed)|error count since last fsck|initial error at|last error "
        r"at|shut down requested|"
        r"error: ext\d|Inode \d+ .*: orphan list check failed|mounted? filesystem .* with errors)|"
        r"(?P<fs3>EXT\d)-fs warning \(device [^)]+\): (?:ext\d_end_(?:bio|buffer_io_\w+)|ext\d_clear_journal_err|"
        r"ext\d_update_dynamic_rev: .*error|"
        r"ext\d_dirblock_csum_verify|[\w: #,]{1,120}error -\d+ reading directory block|dx_probe|"
        r"ext\d_dx_find_entry: .*[Cc]orrupt))",
        "An ext file system found itself damaged, or its disk did not take a write.", "fs/ext4/super.c __ext4_error()",
    ),
    _fs(
        "remount_read_only", "file system remounted read-only",
        ("emounting filesystem read-only", "has been set read-only", "emounting read-only", "forced readonly",
         "emergency read-only", "emergency read only"),
        r"(?:[\w.+-]{1,40}(?:-fs)?:? ?(?:error |info |warning |critical )?(?:\((?:device )?[^)]*\))?:? ?(?:\w+: "
        r")?(?:error: )?(?:\w+:? ?:)?\s?)?"
        r"(?:[Rr]emounting filesystem read-only|Filesystem has been set read-only|[Rr]emounting read-only|forced "
        r"readonly|"
        r".{0,40}(?:emergency read[- ]only))",
        "The file system stopped taking writes to save itself.", "fs/*/super.c",
    ),
    _fs(
        "journal_abort", "journal aborted",
        ("Aborting journal on device", "JBD2: ", "JBD: ", "journal commit I/O error", "Journal has aborted",
        "journal_bmap"),
        r"(?:Aborting journal on device|JBD2?: (?:Detected IO errors|I/O error|.*IO error|Spotted dirty metadata|"
        r"Detected aborted journal|"
        r"previous I/O error|recovery failed|journal transaction \d+ on|Invalid checksum|corrupted|bad block|Error "
        r"-?\d+ detected)|"
        r"(?:ext[34]_abort called|journal commit I/O error|ext3_abort called|Journal has aborted|jbd2_journal_bmap: "
        r"journal block not found|"
        r"journal_bmap: journal block not found|__journal_remove_journal_head|EXT4-fs error))",
        "The journal of an ext file system was given up; the file system goes read-only.", "fs/jbd2/journal.c",
    ),
    _fs(
        "xfs_error", "XFS: {kind}",
        ("XFS", "xfs_"),
        r"(?:XFS ?(?:\([^)]+\))?: (?!SB validate failed with error -22\b|"
        r".*(?:mount option|\(\d+\) possible memory|should use fallocate)|[Bb]ad magic number)"
        r"(?P<kind>Metadata (?:corruption|CRC error|I/O error)|[Mm]etadata I/O error|"
        r"Corruption (?:of in-memory data|detected|warning)|Internal error|"
        r"[Ll]og I/O [Ee]rror|I/O Error Detected|xfs_do_force_shutdown|xfs_force_shutdown|Filesystem has been shut "
        r"down|Shutting down filesystem|User initiated shutdown|"
        r"[Ww]riteback error|Unmount and run xfs_repair|log mount/recovery failed|log mount failed|failed to recover|"
        r"Failing async write|Failed to recover|"
        r"page discard|failed to read root inode|xfs_imap_to_bp|xfs_trans_read_buf|Please (?:umount|unmount)|"
        r"possible memory allocation "
        r"deadlock|corrupt|bad magic|Bad \w+ magic|"
        r"[\w ]*mismatch|.*(?:I/O [Ee]rror|[Cc]orruption|shut(?:ting)? down|has been shut|error -?\d+))|"
        r"(?:XFS internal error|xfs_force_shutdown\(|xfs_do_force_shutdown\()|Filesystem \"?[\w./-]+\"?: (?:XFS "
        r"internal error|I/O Error Detected|Corruption|xfs_|Log I/O))",
        "An XFS file system found itself damaged, or its disk failed; it may be shut down.",
        "fs/xfs/xfs_fsops.c xfs_do_force_shutdown()",
    ),
    _fs(
        "btrfs_error", "BTRFS {kind}",
        ("BTRFS", "btrfs", "Btrfs"),
        r"(?:(?:BTRFS|Btrfs|btrfs):? (?P<kind>error|critical|emerg|alert|fatal)\b"
        # These report a wrong request, not a damaged file system.
        r"(?!(?: \(device [^)]*\))?: (?:unrecognized |balance: |cannot |deleting default |'|subvol |"
        r"device \S+ belongs )).*|"
        r"BTRFS (?:info|warning) \(device "
        r"[^)]+(?:: state \w+)?\): (?!duplicate device |.*(?:scanned by |zeroed by |(?:option|value) '))"
        r"(?:forced readonly|csum(?: failed|$)|checksum (?:verify failed|error)|"
        r".*(?:i/o error|transid verify failed|lost page write|failed to (?:load(?! free space cache)|read)|"
        r"bad eb member|direct IO failed))|[Bb]trfs:? (?:\w+ )?(?:csum "
        r"failed|bad tree block|parent transid verify failed|transaction abort|open_ctree failed|corrupt)|"
        r"parent transid verify failed on|btrfs (?:csum failed|bad fsid|read error corrected|no csum found)|BTRFS: "
        r"(?:open_ctree failed|device \S+ missing|Transaction aborted|error \(device ))",
        "A btrfs file system found itself damaged, or its disk failed.", "fs/btrfs/",
    ),
    _fs(
        "f2fs_error", "F2FS error",
        ("F2FS-fs",),
        r"F2FS-fs (?!(?:\([^)]*\))?:? ?Magic Mismatch|.*(?:[Uu]nrecognized|option|"
        r"zone failed: ))(?:\([^)]+\))?:? ?(?:.*(?:Stopped filesystem|"
        r"run fsck|Run fsck|[Rr]emounting filesystem|[Cc]orrupt|"
        r"inconsistent|Inconsistent|I/O error|IO error|invalid blkaddr|"
        r"access invalid|wrong (?!format)\w+|Mismatch|mismatch|checkpoint=.*error|"
        r"\b[Ff]ault(?!.*injection|_type)|FAULT))",
        "An F2FS file system found itself damaged.", "fs/f2fs/",
    ),
    _fs(
        "fat_error", "{fs} error",
        ("FAT-fs (", "FAT: Filesystem error", "exFAT-fs (", "NTFS-fs error", "ntfs3: ", "ntfs: (device"),
        r"(?:(?P<fs>FAT|exFAT)-fs \([^)]+\): (?!Volume was not|.*(?:[Uu]nrecognized |option ))(?:error\b|"
        r"Filesystem has been set read-only|"
        r".*(?:[Cc]orrupt|I/O error|bread failed|Directory bread\(block \d+\) failed|"
        r"FAT read failed|fs panic))|FAT: Filesystem (?:error|panic)|"
        r"NTFS-fs error \(device [^)]+\): (?!read_ntfs_boot_sector\(\): (?:Primary boot|Mount option)|"
        r"ntfs_fill_super\(\): Not an|parse_options|load_system_files\(\): .*(?:is dirty|not clean|hibernated))|"
        r"ntfs: \(device [^)]+\): \S+: .*(?:[Cc]orrupt|[Ff]ailed)|ntfs3: .*(?:Mark volume as "
        r"dirty|[Cc]orrupt|failed to|I/O error))",
        "A FAT, exFAT or NTFS file system found itself damaged.", "fs/fat/misc.c, fs/exfat/misc.c, fs/ntfs3/",
    ),
    _fs(
        "fs_error", "file system error ({fs})",
        ("REISERFS", "ReiserFS", "ERROR: (device ", "GFS2: fsid=", "OCFS2: ", "(device ", "NILFS", "SQUASHFS error: ",
        "UBIFS error", "erofs",
         "bcachefs", "fs-verity", "jffs2", "JFFS2", "hfs", "UDF-fs: error", "ufs", "ZFS: ", "WARNING: Pool",
         "WARNING: blkptr at ",
         "bcache: "),
        r"(?:(?P<fs>REISERFS|ReiserFS)(?:: \S{1,32}: warning: |: (?=panic \(|error \()| (?=\w+ \(|"
        r"abort)).*(?:error|panic|abort|I/O|"
        r"read-only)|ERROR: \(device [^)]+\): |"
        r"(?P<fs2>GFS2): fsid=\S+ .*(?:fatal|withdraw|I/O error|corrupt)|"
        r"(?P<fs3>OCFS2): (?:ERROR|abort|Filesystem)|(?P<fs4>NILFS)(?: error|: error)? \(?(?:device )?[^)]*\)?:? "
        r".*(?:bad|error|[Cc]orrupt|read-only|broken)|"
        r"(?:squashfs: )?(?P<fs5>SQUASHFS) error: (?!Can't find|unable to set blocksize|"
        r"unable to read squashfs_super|"
        r".*to read block 0x0\b)(?:.*(?:[Ff]ailed|corrupt|"
        r"Unable to read|unable to read))|(?P<fs6>UBIFS) error (?!\(pid:? \d+\): cannot (?:open|init))|"
        r"(?P<fs7>erofs):? (?:\(device [^)]+\): ).*(?:[Cc]orrupt|failed|invalid)|(?P<fs8>bcachefs) "
        r"(?!\([^)]*\)?: (?:clean )?shut)\([^)]*\)?.*(?:inconsisten|shutting down|emergency|I/O error|IO error|"
        r"[Cc]orrupt|error validating|checksum error)|"
        r"fs-verity.*FILE CORRUPTED|jffs2: (?:error|Error)|JFFS2 error: |hfs(?:plus)?: .*(?:[Cc]orrupt|b-tree|[Bb]ad|"
        r"inconsisten)|ufs_error |(?:ZFS: )?WARNING: (?:Pool '[^']+' has encountered|blkptr at \S+ .*has invalid )|"
        r"bcache: .*(?:IO error|[Cc]orrupt|unrecoverable))",
        "A file system found itself damaged.", "fs/",
    ),
    _fs(
        "quota_error", "quota error",
        ("Quota error (device", "VFS: Quota", "failed to read quota"),
        r"(?:Quota error \(device [^)]+\): |VFS: (?:Quota for id|find_free_dqentry))",
        "The quota file of a file system is damaged.", "fs/quota/",
    ),
)  # fmt: skip
