r"""Removes what log files put in front of the kernel's text, line by line: levels, stamps, hosts, tags, mail quotes.

Formats: the console (CONFIG_PRINTK_TIME, CONFIG_PRINTK_CALLER), raw /dev/kmsg, dmesg (plain, -T, -d, -e, -x,
--time-format iso), journalctl (short, short-iso, short-precise, short-monotonic, short-full), syslog files (RFC 3164,
RFC 5424, busybox), Android's logcat, CI and container runners, and mails that quote any of these. Each line is
parsed by itself, so a file may mix formats. Facts the code is written from:

- A tag other than `kernel` means that user space wrote the line. A line without a tag counts as the kernel's.
- Exactly one blank separates a stamp from the text: a text that begins with a blank continues the line before it.
- The caller `[T123]` or `[C0]` behind the stamp is of kernels with CONFIG_PRINTK_CALLER (since 5.1).
- The flag of a raw /dev/kmsg record is `-` or `c`; kernels older than 4.18 also wrote `+`.
- Serial lines carry control bytes, carriage returns, and what a getty or shell wrote before the stamp.
"""

import re
from dataclasses import dataclass

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b[=>78cM]|[\x00-\x08\x0b\x0c\x0e-\x1a\x7f]|�")
# Mainframe consoles in the wrong code page: `¢ 1851.721100! Oops: 0004 ilc:3 ¢#1!`, or `Ý`, `¨` for the brackets.
_EBCDIC = re.compile(r"[¢Ý�]([^¢Ý�!¨]{1,64})[!¨]")
_ENTITIES = (
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&quot;", '"'),
    ("&#39;", "'"),
    ("&#x27;", "'"),
    ("&nbsp;", " "),
    ("&amp;", "&"),
)

_KMSG = re.compile(
    r"(?P<priority>\d{1,10}),(?P<seq>\d{1,20}),(?P<usec>\d{1,20}),(?P<flag>[-c+])(?:,caller=(?P<caller>[TC]\d+))?[^;]*;"
)
_LEVEL = re.compile(r"<(?:(?P<facility>\d{1,2})\.)?(?P<priority>\d{1,4})>(?P<version> ?1 (?=\d{4}-\d|- ))?")
_QUOTE = re.compile(r"(?:[>|] ?)+\+?(?![0-9a-f]{8})|: (?=\S)")
# The opening bracket is what a selection with the mouse misses: `1234.567890] text`.
_PRINTK = re.compile(
    r"(?:\[\s*|(?=\d+\.\d{6}\]))(?P<seconds>\d+)\.(?P<fraction>\d{0,9})(?:[@,:]\s?\d+)?(?:\s*<\s*[\d.]+>)?"
    r"(?: / \d\d-\d\d [\d:.]+)?\s?\](?:\s?\[\s*(?P<caller>[TC]\d+)\])? ?"
)
_CALLER = re.compile(r"\[\s*(?P<caller>[TC]\d+)\] ")
_CLOCK = r"\d\d:\d\d:\d\d(?:[.,]\d+)?"
_HUMAN = re.compile(
    rf"\[(?:[^\[\]]{{0,20}}{_CLOCK}Z?(?: \w{{2,5}})?(?: \d{{4}})?|\s*\+\s*\d+[.,]\d+|[A-Z][a-z]{{2}}\s*\d+ "
    r"\d\d:\d\d)\](?:\s?\[\s*(?P<caller>[TC]\d+)\])? ?"
)
_ISO = re.compile(
    rf"(?:\d{{4}}[-/]\d\d[-/]\d\d[T ]{_CLOCK}(?:Z| ?[+-]\d\d:?\d\d| UTC)?|"
    r"\d{1,2}/\d{1,2}/\d{4},? \d{1,2}:\d\d:\d\d(?: [AP]M)?|1\d{9}\.\d{6})\s+"
)
# Months and weekdays are in the language of whoever saved the log: `Mar  4`, `4 mars`, `июл 27`, `7月 27`.
_MONTH = r"[^\W\d_]{2,9}\.?"
_BSD = re.compile(
    rf"(?:[^\W\d_]{{1,9}}[.,]? )?(?:\d{{4}} )?(?:{_MONTH}\s+\d{{1,2}}|\d{{1,2}}\.? {_MONTH}|"
    rf"\d{{1,2}}月\s+\d{{1,2}}|\d{{4}}-\d\d-\d\d)"
    rf"(?: \d{{4}})? {_CLOCK}(?: [+-]\d\d:?\d\d)?(?: \d{{4}})?(?: [A-Z]{{3,5}})? "
)
_LOGCAT = re.compile(r"(?:\d{4}-)?\d\d-\d\d \d\d:\d\d:\d\d\.\d+\s+(?:\w+\s+)?\d+\s+\d+ [VDIWEF] (?:(?:kernel)?\s*: )?")
# `adb logcat -v brief`: the letter of the level, the tag, the process.
_LOGCAT_BRIEF = re.compile(r"[VDIWEF]/(?P<tag>[^(:]{1,40}?)\s*\(\s*\d+\): ?")
_DAYTIME = re.compile(rf"{_CLOCK}\s+")
_NAMED = r"(?P<facility>kern|user|mail|daemon|auth|syslog|lpr|news|uucp|cron|authpriv|ftp|local\d)"
_FACILITY = re.compile(rf"{_NAMED}\s*:(?P<level>emerg|alert|crit|err|warn|notice|info|debug)\s*: ?")
# socklog and its like write the selector in place of host and tag.
_SELECTOR = re.compile(rf"{_NAMED}\.(?P<level>[a-z]{{3,7}})")
# A relay puts its own date and host in front of the whole line.
_RELAYED = re.compile(r"[\w.:-]{1,255} (?=[A-Z][a-z]{2}\s+\d{1,2} \d\d:\d\d:\d\d |\d{4}-\d\d-\d\dT\d\d:)")
# `grep -H -n -b` over logs; `-` stands before the lines around a hit.
_GREPPED = re.compile(
    r"(?:[\w./~-]{1,120}[:-])?(?:\d{1,9}[:-])?"
    r"(?=\[\s*\d+\.\d{6}\]|[A-Z][a-z]{2}\s+\d{1,2} \d\d:\d\d:\d\d |\d{4}-\d\d-\d\dT\d\d:)"
)
_TAG = re.compile(
    r"(?:(?P<host>[\w.:<>*-]{1,255}) )?(?:(?P<selector>[a-z]+\d?\.[a-z]+) )?(?P<tag>[\w./@-]{1,64})(?:\[(?P<pid>\d*)\]"
    r")?: ?"
)
_TAG_5424 = re.compile(r"(?P<host>\S+) (?P<tag>\S+) \S+ \S+ (?:-|(?:\[[^\]]*\])+) ?")
_NETCONSOLE = re.compile(r"[\w.:-]{1,255} +(?=(?:<\d>)?\[\s*\d+\.\d+\]|\d{1,3},\d+,\d+,[-c+][,;])")
_HOST_KERNEL = re.compile(r"(?:[\w.-]{1,255} )?kernel(?:\[\d*\])?: ?")
# Spreadtrum's kernels say the CPU behind the stamp: `[ 1234.567890] c3 text`.
_STAMPED_CPU = re.compile(r"c\d{1,2} (?=\S)")
# What was typed or shown at a shell: `root@box:~# text`; what a page sets in bold: `**text**`.
_PROMPT = re.compile(r"\[?[\w.-]{1,32}@[\w.-]{1,64}[: ][\w./~-]{1,64}\]?[#$] +(?=\S)")
_BOLD = re.compile(r"\*\*(?=[A-Z])(?P<text>[^*]+)(?:\*\*)?$")
_DROPPED = re.compile(r"\*\* \d+ printk messages? dropped \*\* ?")
_VENDOR = re.compile(
    r"[-~*. ]?\(\d\)\[\d+:[^\]]{1,20}\]\s?|\[name:[\w-]{1,32}&\]|\[cpuid: \d+\] |\[\d:\s*[^\]]{1,20}:\s*\d+\] |"
    r"c\d+\s+\d+ \([^)]{1,20}\) |\[[a-z]\d?\] (?=\[)|\[\.{3}\] ?(?=\S)|"
    # Rockchip's Android, and what VMware keeps of its guests' consoles.
    r"\[\d+\]\[\s*\d+\]\[[^\]]{1,16}\] |(?:In|Wa|Er)\(\d\d\) [\w-]{1,32} - Guest: |"
    r"\[/?(?:B|CODE|COLOR|FONT|I|QUOTE|SIZE|U)(?:=[^\]]{1,40})?\] ?|"
    # Containers and builds: `[Moby           ][Info   ] text`, `#12 34.56 [    1.234567] text`.
    r"\[[A-Z]\w{1,20} *\]\[(?:Info|Debug|Warning|Error) *\] ?|#\d+ \d+\.\d+ (?=\[)"
)
_LATE = re.compile(r"(?:\[[^\[\]]{1,64}\][#$] )?[^\[]{0,120}?(?:<\d>)?(?=\[\s*\d+\.\d{6}\])")
_LEVELS = ("emerg", "alert", "crit", "err", "warn", "notice", "info", "debug")
_BANNER = re.compile(r"BUG|INFO|Oops|WARNING|ata\d+(?:\.\d\d)?|end_request|print_req_error")  # no program is called so
_KERNEL_TAGS = frozenset({"kernel", "vmunix", "klogd", "kern"})


@dataclass(slots=True)
class Prefixed:
    """A line without its prefix, and what the prefix said; None: it did not say. Mutable while prefixes are removed."""

    text: str
    level: int | None = None  # 0 (emerg) to 7 (debug)
    facility: int | None = None  # 0: the kernel
    seq: int | None = None
    usec: int | None = None  # printk's clock
    caller: str | None = None  # `T123` (thread) or `C0` (CPU)
    continuation: bool = False
    stamped: bool = False  # there was a prefix that only a log has


def strip_prefix(raw: str) -> Prefixed:
    """Remove everything that is not the kernel's text; never fails."""
    line = Prefixed(_clean(raw))
    for _ in range(8):  # prefixes nest: a quoted syslog line holds a host, a tag, a stamp and a caller
        before = line.text
        _strip_once(line)
        if line.text == before:
            break
    return line


def stamp_usec(seconds: str, fraction: str) -> int:
    """Return a stamp of printk in microseconds, from the digits before and behind its point."""
    return int(seconds[:12]) * 1_000_000 + int(fraction[:6].ljust(6, "0"))


def _clean(raw: str) -> str:
    text = raw if raw.isascii() else _EBCDIC.sub(r"[\1]", raw)
    if not raw.isascii() or not raw.isprintable():
        text = _CONTROL.sub("", text)
    if "&" in text:
        for entity, char in _ENTITIES:
            text = text.replace(entity, char)
    return text.rstrip("\r\n ").replace("\t", "        ")


def _strip_once(line: Prefixed) -> None:
    text = line.text
    bare = text.lstrip(" ")
    for pattern, take in _STEPS:
        match = pattern.match(bare)
        if match is not None and match.end() and take(line, match, bare):
            return
    if bare.startswith("**"):
        line.text = _DROPPED.sub("", bare, count=1)
    elif not line.stamped and "." in bare:
        late = _LATE.match(bare)
        if late is not None and late.end():
            line.text = bare[late.end() :]


def _rest(line: Prefixed, match: re.Match[str], bare: str) -> bool:
    line.text = bare[match.end() :]
    return True


def _kmsg(line: Prefixed, match: re.Match[str], bare: str) -> bool:
    priority = int(match["priority"])
    line.level, line.facility, line.seq = priority & 7, priority >> 3, int(match["seq"])
    line.usec, line.caller, line.continuation = int(match["usec"]), match["caller"], match["flag"] == "c"
    line.stamped = True
    return _rest(line, match, bare)


def _level(line: Prefixed, match: re.Match[str], bare: str) -> bool:
    priority = int(match["priority"])
    line.level = priority & 7
    if priority >= 8 or match["facility"] is not None:
        line.facility = int(match["facility"] or priority >> 3)
    line.stamped = True
    if match["version"] is None:
        return _rest(line, match, bare)
    rest = bare[match.end() :]
    stamp = _ISO.match(rest)
    return _tag_5424(line, rest[stamp.end() :] if stamp else rest)


def _tag_5424(line: Prefixed, rest: str) -> bool:
    match = _TAG_5424.match(rest)
    if match is None:
        line.text = rest
        return True
    line.facility = 0 if match["tag"] in _KERNEL_TAGS else line.facility or 1
    line.text = rest[match.end() :].removeprefix("\ufeff").removeprefix("BOM")
    return True


def _printk(line: Prefixed, match: re.Match[str], bare: str) -> bool:
    if line.usec is None:
        line.usec = stamp_usec(match["seconds"], match["fraction"])
    line.caller = line.caller or match["caller"]
    line.stamped = True
    return _rest(line, match, bare)


def _human(line: Prefixed, match: re.Match[str], bare: str) -> bool:
    line.caller = line.caller or match["caller"]
    line.stamped = True
    return _rest(line, match, bare)


def _caller(line: Prefixed, match: re.Match[str], bare: str) -> bool:
    line.caller = line.caller or match["caller"]
    return _rest(line, match, bare)


def _facility(line: Prefixed, match: re.Match[str], bare: str) -> bool:
    line.level = _LEVELS.index(match["level"])
    line.facility = 0 if match["facility"] == "kern" else 1
    line.stamped = True
    return _rest(line, match, bare)


def _dated(line: Prefixed, match: re.Match[str], bare: str) -> bool:
    line.stamped = True
    rest = bare[match.end() :]
    tagged = _TAG.match(rest)
    plain_5424 = _TAG_5424.match(rest) if tagged is None else None
    if plain_5424 is not None and plain_5424["tag"] in _KERNEL_TAGS:
        return _tag_5424(line, rest)
    if tagged is None or rest[:1] == "[" or _LEVEL.match(rest):
        relayed = _RELAYED.match(rest) or _NETCONSOLE.match(rest)
        line.text = rest if relayed is None else rest[relayed.end() :]
    elif tagged["tag"] in _KERNEL_TAGS:
        line.facility = 0 if not line.facility else line.facility
        line.text = rest[tagged.end() :]
    elif _BANNER.fullmatch(tagged["tag"]) and tagged["host"] is not None and tagged["pid"] is None:
        line.text = rest[len(tagged["host"]) + 1 :]  # a host, and the kernel's text without a tag
    elif tagged["host"] is None and (selector := _SELECTOR.fullmatch(tagged["tag"])) is not None:
        line.facility = 0 if selector["facility"] == "kern" else 1
        line.level = _LEVELS.index(selector["level"]) if selector["level"] in _LEVELS else line.level
        line.text = rest[tagged.end() :]
    elif tagged["host"] is not None and tagged["host"][-1:] != ":":
        line.facility = 1
        line.text = rest[tagged.end() :]
    else:
        line.text = rest  # `2024-01-01T00:00:00 BUG: ...`: no host, so no tag
    return True


def _host_kernel(line: Prefixed, match: re.Match[str], bare: str) -> bool:
    line.stamped = True
    return _rest(line, match, bare)


def _logcat_brief(line: Prefixed, match: re.Match[str], bare: str) -> bool:
    if match["tag"] not in _KERNEL_TAGS:
        line.facility = 1
    return _host_kernel(line, match, bare)


def _stamped_cpu(line: Prefixed, match: re.Match[str], bare: str) -> bool:
    return line.usec is not None and _rest(line, match, bare)


def _bold(line: Prefixed, match: re.Match[str], bare: str) -> bool:
    line.text = match["text"]
    return True


def _grepped(line: Prefixed, match: re.Match[str], bare: str) -> bool:
    return not line.stamped and _rest(line, match, bare)


_STEPS = (
    (_KMSG, _kmsg),
    (_LEVEL, _level),
    (_PRINTK, _printk),
    (_HUMAN, _human),
    (_CALLER, _caller),
    (_FACILITY, _facility),
    (_BSD, _dated),
    (_LOGCAT, _host_kernel),
    (_LOGCAT_BRIEF, _logcat_brief),
    (_ISO, _dated),
    (_DAYTIME, _rest),
    (_HOST_KERNEL, _host_kernel),
    (_GREPPED, _grepped),
    (_VENDOR, _rest),
    (_STAMPED_CPU, _stamped_cpu),
    (_PROMPT, _rest),
    (_BOLD, _bold),
    (_QUOTE, _rest),
)
