"""Lists the texts of the kernel with user text in them: `python -m tests.reports.user_formats SOURCE`.

SOURCE is an unpacked kernel (`apt-get download linux-source-6.1`, then `dpkg-deb -x` and `tar -xf`). Written is
data/user_text_formats.txt: one line a format, with the kernel file, a tab, and the line that the kernel prints, with
`{KIND}` where a user chooses the text and made-up values where the kernel does. How a kind is known is in KINDS: by the
conversion, by the expression of the argument, and by the directory. What a `%s` of another expression prints is taken
for the kernel's own words: names of functions, drivers, states, disks.

It fails for a format with a line feed before a banner, which kmodmon.reports.opening takes for impossible.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from kmodmon.reports.signatures.table import search

DATA = Path(__file__).parent / "data/user_text_formats.txt"
_NOT_KERNEL = ("tools", "scripts", "samples", "Documentation", "usr")
# Mounted and set up by root alone; and an assertion that prints its own expression.
_ROOTS = ("drivers/md/bcache", "fs/gfs2", "fs/ocfs2", "fs/udf", "fs/jfs/jfs_debug.h")

# Code for devices that a user makes in a network namespace of its own; only there the name is the user's.
_NETDEVS = r"net/(?!dsa)|drivers/net/(?:\w+\.c|bonding|ipvlan|ipvtap|macsec|team|vxlan|wireguard)"

# Kind, directories, conversion, expression of the argument.
KINDS: tuple[tuple[str, str, str, str], ...] = (
    # Where the other architectures begin a line with the name of a task, it is their die().
    ("task", "(?!arch/(?:alpha|ia64|parisc|sparc)/kernel/traps|arch/powerpc/kernel/process|drivers/sbus/char/envctrl)",
     "s", r"\bcomm\b|get_task_comm\(|->comm\b"),
    ("path", "", "p[dD]", ""),
    ("path", "", "s", r"d_name\.name|d_iname|qstr->name|bprm->(?:filename|interp)|->(?:file)?path(?:name)?\b"),
    # Those two print names of parameters that the file system knows.
    ("option", "(?!fs/fs_parser|fs/ceph/super)(?:fs/|mm/shmem|net/9p|kernel/cgroup)", "s",
     r"param->(?:key|string)|fc->source|\bfrom\b|\b(?:opts?|options?|data|token|key|val|value|this_char|p)$|"
     r"\bdev_name$|\bdevname$|mnt_opts"),
    ("label", "fs/|block/(?!partitions/cmdline)|drivers/md", "s", r"->label|volume_name|volname|volumename|"
        r"s_last_mounted|vol_name"),
    ("netdev", _NETDEVS, "s",
     r"netdev_name\(|\bifname\b|ifr_name|\b(?:sdata|out)->name$|parms\.name|"
     r"(?:^|[^\w])(?:\w*dev|slave|master|bond|port|br|vlan)\w*(?:->\w*dev)?->name$"),
    ("device", "drivers/(?:usb|scsi|hid|input|mmc|ata|bluetooth|firewire|thunderbolt)|net/bluetooth", "s",
     r"->(?:product|manufacturer|serial|vendor|model|rev|inq_vendor|inq_model)\b|hid->(?:name|phys|uniq)|\bstring\b|"
     r"\binquiry|prod_name|modelbuf|fwrevbuf"),
    ("name", "crypto/|security/keys|certs/|kernel/bpf|kernel/cgroup|mm/", "s",
     r"description|salg_name|aux->name|cgrp->name|cgroup_path|memcg_name"),
)  # fmt: skip

# What functions put in front of their format; the others print it as it is, behind pr_fmt.
_PREFIXES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"netdev_\w+|netif_\w+", ("{netdev}: ",)),
    (r"dev_\w+", ("usb 1-1: ",)),
    (r"hid_\w+", ("hid-generic 0003:046D:C077.0001: ",)),
    (r"(?:sdev|starget|scmd)_printk", ("sd 0:0:0:0: [sda] ", "scsi 0:0:0:0: ")),
    (r"shost_printk", ("scsi host0: ",)),
    (r"ext4_msg\w*", ("EXT4-fs (loop0): ",)),
    (r"ext2_msg", ("EXT2-fs (loop0): ",)),
    (r"xfs_\w+", ("XFS (loop0): ",)),
    (r"btrfs_err\w*", ("BTRFS error (device loop0): ",)),
    (r"btrfs_warn\w*", ("BTRFS warning (device loop0): ",)),
    (r"btrfs_info\w*", ("BTRFS info (device loop0): ",)),
    (r"f2fs_\w+", ("F2FS-fs (loop0): ",)),
    (r"fat_msg\w*", ("FAT-fs (loop0): ",)),
    (r"exfat_\w+", ("exFAT-fs (loop0): ",)),
    (r"ntfs_\w+", ("ntfs3: loop0: ",)),
    (r"panic", ("Kernel panic - not syncing: ",)),
    (r"net_\w+_ratelimited", ("",)),
)
_CALL = re.compile(
    r"\b(_?printk\w*|pr_(?:emerg|alert|crit|err|warn|warning|notice|info)\w*|(?:dev|netdev|netif|hid)_(?:emerg|"
    r"alert|crit|"
    r"err|warn|notice|info|printk)\w*|net_(?:emerg|alert|crit|err|warn|notice|info)_ratelimited|(?:sdev|shost|scmd|"
    r"starget)_printk|(?:error|warn|info|inval)fc?|(?:inval|warn|error)_plog|panic|(?:ext[24]|fat)_msg\w*|"
    r"(?:xfs|btrfs|f2fs|exfat|ntfs|erofs|nilfs|gfs2|ovl|fs)_(?:err|error|warn|warning|info|notice|alert|crit|"
    r"emerg)\w*)\s*\("
)
_STRING = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
_COMMENT = re.compile(r'"(?:[^"\\\n]|\\.)*"|/\*.*?\*/|//[^\n]*', re.DOTALL)
_PR_FMT = re.compile(r"#define\s+pr_fmt\(\w+\)\s+(.*)")
_DEFINED = re.compile(r'#define\s+(\w+)\s+"((?:[^"\\\n]|\\.)*)"')
_CONVERSION = re.compile(
    r"%(?P<flags>[-+ #0]*)(?P<width>\*|\d+)?(?:\.(?P<precision>\*|\d+))?(?:hh|h|ll|l|z|L|t|j)?"
    r"(?P<type>[diuxXcsop%])(?P<more>(?<=p)[A-Za-z]\w{0,3})?"
)
_LEVEL = re.compile(r"KERN_[A-Z]+|^(?:log_?)?(?:level|lvl)$")
_MOST = 4000  # characters of one call


def formats(source: Path) -> Iterator[tuple[str, str]]:
    """Give kernel file and printed line of each format that prints user text."""
    for path in sorted(source.rglob("*.[ch]")):
        where = path.relative_to(source)
        if where.parts[0] in _NOT_KERNEL or str(where).startswith(_ROOTS):
            continue
        code = _COMMENT.sub(
            lambda one: one[0] if one[0][0] == '"' else "\n" * one[0].count("\n"), path.read_text("latin-1")
        )
        defined = dict(_DEFINED.findall(code))
        pr_fmt = _pr_fmt(code, where, defined)
        for call in _CALL.finditer(code):
            arguments = _arguments(code, call.end() - 1)
            at = next((index for index, one in enumerate(arguments[:4]) if '"' in one), None)
            if at is None:
                continue
            text = _unquoted(arguments[at], defined)
            for prefix in _prefixes(call[1], pr_fmt):
                if "{netdev}" in prefix and re.match(_NETDEVS, str(where)) is None:
                    continue
                line = prefix + _rendered(text, arguments[at + 1 :], str(where))
                _refuse_late_banner(where, line)
                if re.search(r"\{[a-z]+\}", line) and not line.endswith("}: "):  # a text made elsewhere
                    yield str(where), line


def _pr_fmt(code: str, where: Path, defined: dict[str, str]) -> str:
    match = _PR_FMT.search(code)
    if match is None:
        return ""
    module = where.stem.replace("-", "_")
    text = match[1].replace("KBUILD_MODNAME", f'"{module}"').replace("__func__", '"func"')
    defined["pr_fmt"] = _rendered(_unquoted(text, defined), ['"func"'], "")
    return defined["pr_fmt"]


def _prefixes(function: str, pr_fmt: str) -> tuple[str, ...]:
    if function.startswith("pr_"):
        return (pr_fmt,)
    return next((prefixes for pattern, prefixes in _PREFIXES if re.fullmatch(pattern, function)), ("",))


def _arguments(code: str, at: int) -> list[str]:
    depth, begin, out = 0, at + 1, list[str]()
    for token in re.finditer(r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\]|\\.)+\'|[()\[\]{},]', code[at : at + _MOST]):
        if token[0] in "([{":
            depth += 1
        elif token[0] in ")]}":
            depth -= 1
        if depth == 0 or (depth == 1 and token[0] == ","):
            out.append(" ".join(code[begin : at + token.start()].split()))
            begin = at + token.end()
        if depth == 0:
            return out
    return []


def _unquoted(expression: str, defined: dict[str, str]) -> str:
    pieces = re.findall(r'"((?:[^"\\\n]|\\.)*)"|\b([A-Za-z_]\w*)\b', expression)
    return "".join(quoted or defined.get(name, "") for quoted, name in pieces)


def _rendered(text: str, arguments: list[str], where: str) -> str:
    rest = iter(arguments)

    def value(match: re.Match[str]) -> str:
        if match["type"] == "%":
            return "%"
        for star in (match["width"], match["precision"]):
            if star == "*":
                next(rest, "")
        argument = next(rest, "")
        conversion = match["type"] + (match["more"] or "")
        if conversion == "s" and _LEVEL.search(argument):
            return ""
        for kind, directories, wanted, expression in KINDS:
            if re.match(directories, where) and re.match(wanted, conversion) and re.search(expression, argument):
                return f"{{{kind}}}"
        return ("0x" if "#" in match["flags"] else "") + _made_up(conversion)

    printed = _CONVERSION.sub(value, text)
    for escape, char in (("\\t", " "), ('\\"', '"'), ("\\'", "'"), ("\\n", "\n"), ("\\\\", "\\")):
        printed = printed.replace(escape, char)
    return printed.strip("\n").replace("\n", r"\x0a")


def _made_up(conversion: str) -> str:
    match conversion[:2]:
        case "p" | "px" | "pK":
            return "00000000deadbeef"
        case "pS" | "ps" | "pB" | "pF" | "pf":
            return "do_one_initcall+0x59/0x220"
        case _:
            return {"s": "abcdefg", "c": "c", "x": "1f", "X": "1F", "o": "17", "p": "abc"}.get(conversion[0], "12")


def _refuse_late_banner(where: Path, line: str) -> None:
    for later in line.split(r"\x0a")[1:]:
        match = search(re.sub(r"\{[a-z]+\}", "abc", later).lstrip(" "))
        if match is not None:
            raise SystemExit(f"{where}: {match.signature.name} behind a line feed: {line}")


def main(source: Path) -> None:
    """Write the list."""
    lines = dict.fromkeys(f"{where}\t{line}" for where, line in formats(source))
    first = source.name
    DATA.write_text(
        f"# Made by `python -m tests.reports.user_formats SOURCE` from {first}.\n" + "\n".join(lines) + "\n"
    )
    sys.stderr.write(f"{len(lines)} formats\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
