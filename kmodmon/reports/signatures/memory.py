"""Kernel memory: corruption, stacks, allocation failures, the OOM killer, reference counts of network devices.

Kernel files: lib/list_debug.c, mm/slub.c, mm/slab.c, mm/usercopy.c, mm/page_alloc.c, mm/memory.c, mm/oom_kill.c,
mm/vmalloc.c, kernel/fork.c, net/core/dev.c. Wordings that changed:

- OOM: `Out of memory: Kill process N` with a second line `Killed process N` in 4.18; later one line, `Out of memory:
  Killed process N`. The summary `oom-kill:constraint=` exists in 5.0 and later.
- `vmalloc: allocation failure: N bytes` up to 5.11, `vmalloc error: size N` later.
- `BUG: stack guard page was hit at` up to 5.11, `BUG: TASK stack guard page was hit at` in 5.13 and later.
"""

from kmodmon.events.event import Severity
from kmodmon.events.report import ReportClass
from kmodmon.reports.signatures.signature import COMM, LogSignature, MatchStage
from kmodmon.reports.signatures.warning import warning_at

_CORRUPT = ReportClass.CORRUPTION
_CRITICAL = Severity.CRITICAL
_SUSPECT = "Reboot soon, test the memory (memtest86+), and suspect the modules in the trace."
_LIST_DEBUG = warning_at(r"lib/list_debug\.c")
_USERCOPY = warning_at(r"mm/usercopy\.c")
# The end of the line: a text that a user chose ends otherwise.
_MODE = r"mode:0x[0-9a-f]+(?:\([\w|]+\))?(?:, ?nodemask=[\w(),-]+?(?:,cpuset=.*,mems_allowed=[\d,-]+)?)?\s*$"
_STACK = "Look for recursion and big local variables in the functions of the trace."

SIGNATURES: tuple[LogSignature, ...] = (
    LogSignature(
        name="list_corruption", report_class=_CORRUPT, severity=_CRITICAL, stage=MatchStage.PREFACE,
        title="{kind} corruption",
        contains=("list_add", "list_del", "list_replace"),
        pattern=r"(?P<kind>h?list_(?:add|del|replace)(?:_entry|_rcu)?)\w*(?: corruption|: corruption| double add)",
        help="A linked list of the kernel does not hold together: an entry was added or removed twice, or overwritten.",
        advice=_SUSPECT,
        origin="lib/list_debug.c",
    ),
    LogSignature(
        name="list_corruption", report_class=_CORRUPT, severity=_CRITICAL,
        title="list corruption",
        contains=("WARNING: ", "ernel BUG at "),
        pattern=rf"(?:{_LIST_DEBUG}|kernel BUG at (?P<file2>[\w./-]*lib/list_debug\.c):\d+)",
        help="A linked list of the kernel does not hold together: an entry was added or removed twice, or overwritten.",
        advice=_SUSPECT,
        origin="lib/list_debug.c",
    ),
    LogSignature(
        name="usercopy", report_class=_CORRUPT, severity=_CRITICAL, stage=MatchStage.PREFACE,
        title="usercopy: kernel memory {kind} attempt",
        contains=("ernel memory exposure", "ernel memory overwrite", "ernel memory over"),
        pattern=r"(?:usercopy: )?(?:Bad or missing usercopy whitelist\? )?[Kk]ernel memory (?P<kind>exposure|"
        r"overwrite) attempt detected",
        help="A copy to or from user space went over the end of its kernel object.",
        advice="An attack, or a bug of the driver in the trace.",
        origin="mm/usercopy.c usercopy_abort()",
    ),
    LogSignature(
        name="usercopy", report_class=_CORRUPT, severity=_CRITICAL,
        title="bad usercopy",
        contains=("WARNING: ", "ernel BUG at "),
        pattern=rf"(?:{_USERCOPY}|kernel BUG at (?P<file2>[\w./-]*mm/usercopy\.c):\d+)",
        help="A copy to or from user space went over the end of its kernel object.",
        advice="An attack, or a bug of the driver in the trace.",
        origin="mm/usercopy.c usercopy_abort()",
    ),
    LogSignature(
        name="fortify", report_class=_CORRUPT, severity=_CRITICAL, stage=MatchStage.PREFACE,
        title="buffer overflow in {kind}",
        contains=("detected buffer overflow in ", ": detected buffer overflow"),
        pattern=r"(?:detected buffer overflow in (?P<kind>\w+)|(?P<kind2>(?:k?mem|str)\w+): detected buffer overflow)",
        help="A string or memory function was about to write or read past the end of its object.",
        advice=_SUSPECT,
        origin="lib/string_helpers.c fortify_panic()",
    ),
    LogSignature(
        name="slab_corruption", report_class=_CORRUPT, severity=_CRITICAL,
        title="BUG in slab cache: {kind}",
        contains=("BUG ",),
        pattern=r"BUG (?P<cache>\S.{0,60}?)(?: \((?:Not tainted|Tainted: .*?)\): (?P<kind>[A-Za-z][A-Za-z ]*[a-z])|"
        r": (?P<kind2>(?:Redzone|Poison|Object|Free|Padding|Invalid|Wrong|Not a valid|Slab |Left |Right )[A-Za-z "
        r"]*[a-z]))",
        help="An object of the slab allocator was overwritten, freed twice, or freed into the wrong cache.",
        advice=_SUSPECT,
        origin="mm/slub.c slab_bug()",
    ),
    LogSignature(
        name="slab_corruption", report_class=_CORRUPT, severity=_CRITICAL,
        title="slab corruption",
        contains=("slab error in ", "Slab corruption", "slab: double free", "kfree_debugcheck: ", "=== BUG ", "SLUB "),
        pattern=r"(?:slab error in \w+\(\): |Slab corruption[ :(]|slab: double free detected|kfree_debugcheck: |"
        r"SLUB \S+: (?:no slab for object|.* slabs counted but))",
        help="An object of the slab allocator was overwritten, freed twice, or freed into the wrong cache.",
        advice=_SUSPECT,
        origin="mm/slab.c slab_error(), check_poison_obj()",
    ),
    LogSignature(
        name="object_already_free", report_class=_CORRUPT, severity=_CRITICAL,
        title="object already free",
        contains=("bject already free", "Poison overwritten", "edzone overwritten", "Right Redzone"),
        pattern=r"(?:BUG:? )?(?:Object already free|(?:Left |Right )?(?:Poison|Redzone) overwritten)",
        help="An object of the slab allocator was freed twice or overwritten.",
        advice=_SUSPECT,
        origin="mm/slub.c",
    ),
    LogSignature(
        name="page_poison", report_class=_CORRUPT, severity=_CRITICAL,
        title="free memory overwritten",
        contains=("pagealloc: ", "mempool element poison"),
        pattern=r"(?:page_owner: )?(?:pagealloc: (?:single bit error|memory corruption)|BUG: mempool element poison "
        r"mismatch)",
        help="Memory was written after it had been freed.",
        advice=_SUSPECT,
        origin="mm/page_poison.c check_poison_mem(), mm/mempool.c poison_error()",
    ),
    LogSignature(
        name="low_memory", report_class=_CORRUPT, severity=_CRITICAL, stage=MatchStage.PREFACE,
        title="low memory overwritten",
        contains=("Corrupted low memory at ", "corruption detected in low memory"),
        pattern=r"(?:Corrupted low memory at |Memory corruption detected in low memory)",
        help="Something, as a rule the firmware, wrote into the first 64 KiB of memory.",
        advice="Update the firmware; `memory_corruption_check=` and `reservelow=` on the command line work around it.",
        origin="arch/x86/kernel/check.c check_for_bios_corruption()",
    ),
    LogSignature(
        name="bad_page", report_class=_CORRUPT, severity=_CRITICAL,
        title="bad {kind}",
        contains=("Bad page ", "Bad pte", "Bad page_state"),
        pattern=r"(?:<\d>)?(?:BUG: )?Bad (?P<kind>page (?:state|map|cache|table)|"
        r"pte)\b(?!.{0,40}messages suppressed)",
        help="A page of memory, or a page table, is in a state that it cannot be in.",
        advice=_SUSPECT,
        origin="mm/page_alloc.c bad_page(), mm/memory.c print_bad_pte()",
    ),
    LogSignature(
        name="bad_mm_counter", report_class=_CORRUPT, severity=_CRITICAL, stage=MatchStage.LINE,
        title="bad memory counter of a process",
        contains=("Bad rss-counter", "BUG: non-zero "),
        pattern=r"(?:<\d>)?BUG: (?:Bad rss-counter state|non-zero (?:nr_ptes|nr_pmds|nr_puds|pgtables_bytes))",
        help="At the end of a process its memory did not add up: a page table was damaged.",
        advice=_SUSPECT,
        origin="kernel/fork.c check_mm()",
    ),
    LogSignature(
        name="page_table", report_class=_CORRUPT, severity=_CRITICAL, stage=MatchStage.LINE,
        title="bad page table entry",
        contains=(": bad pgd ", ": bad pmd ", ": bad pud ", ": bad pte ", ": bad p4d ", "Bad swap file entry",
                  "Bad swap offset entry", "Unused swap", "Unused swap offset", "page_mapcount(page) went negative",
                  ": bogus page at "),
        pattern=r"(?:[\w./-]+:\d+: bad p(?:gd|md|ud|te|4d) |(?:get_swap_device|swap_dup|swap_free|_swap_info_get|"
        r"swap_info_get|[\w]*swap[\w]*): "
        r"(?:Bad swap (?:file|offset) entry|Unused swap)|Eeek! page_mapcount\(page\) went negative|"
        r"do_\w+: bogus page at address )",
        help="A page table entry, or a swap entry, has a value that it cannot have.",
        advice=_SUSPECT,
        origin="mm/pgtable-generic.c pgd_clear_bad(), mm/swapfile.c",
    ),
    LogSignature(
        name="stack_guard_page", report_class=ReportClass.STACK_OVERFLOW, severity=_CRITICAL,
        title="kernel stack overflow",
        contains=("stack guard page was hit",),
        pattern=r"(?:<\d>)?BUG: (?:[\w#-]+ )?stack guard page was hit at ",
        help="Kernel code ran over the end of its stack.",
        advice=_STACK,
        origin="arch/x86/kernel/traps.c handle_stack_overflow()",
        wording="<= 5.12 `BUG: stack guard page`, since 5.13 with the kind of stack",
    ),
    LogSignature(
        name="stack_overflow", report_class=ReportClass.STACK_OVERFLOW, severity=_CRITICAL,
        title="kernel stack overflow",
        contains=("stack overflow", "nsufficient stack space", "overflown the kernel stack", "overran stack"),
        pattern=r"(?:<\d>)?(?:Insufficient stack space to handle exception|(?:do_IRQ|__?do_softirq|\w+)(?:\(\))?: "
        r"stack overflow: ?\d+|"
        r"[Kk]ernel stack overflow(?: in process| detected|[.!:]| -|$)|do_IRQ\(\): .{1,24} has overflown the kernel "
        r"stack|"
        r"(?:do_IRQ|handle_irq)\(?\)?:? .{0,24}has overflown|Thread overran stack, or stack corrupted|CPU\d*: "
        r"stack overflow|"
        r"stack overflow detected in kernel)",
        help="Kernel code ran over the end of its stack.",
        advice=_STACK,
        origin="arch/arm64/kernel/traps.c handle_bad_stack(), arch/*/kernel/irq.c",
    ),
    LogSignature(
        name="oom_kill", report_class=ReportClass.OOM, severity=Severity.ERROR,
        title="out of memory",
        contains=("invoked oom-killer", "oom-killer: gfp_mask"),
        pattern=rf"(?:<\d>)?(?:{COMM} invoked oom-killer: gfp_mask=0x.*(?:order|adj)=-?\d+$|oom-killer: gfp_mask)",
        help="No memory was left, so the kernel killed a process.",
        advice="The table below shows who used the memory; set limits, add memory or swap.",
        origin="mm/oom_kill.c dump_header()",
    ),
    LogSignature(
        name="oom_killed", report_class=ReportClass.OOM, severity=Severity.ERROR, stage=MatchStage.LINE,
        title="out of memory",
        contains=("ut of memory: Kill ", "ut of memory: kill ", "ut of memory: Killed", "ut of Memory: Killed",
            "oom-kill:constraint",
            "lowmemorykiller: Killing",
                  "ut of memory and no killable", "ut of memory (oom_kill_allocating", "Killed process ",
            "VM: killing process ",
                  "killed as a result of limit of "),
        pattern=r"(?:<\d>)?(?:(?:Memory cgroup )?[Oo]ut of [Mm]emory(?: \(oom_kill_allocating_task\))?: [Kk]ill|"
        r"Memory "
        r"cgroup out of memory: |"
        r"oom-kill:constraint=|lowmemorykiller: Killing(?!.*\badj (?:[2-9]\d\d|1000)\b)|"
        r"Out of memory and no killable|VM: killing process \S|Task in \S+ killed as a result of limit of |"
        r"Killed process \d+,? (?:UID \d+, )?\(.{0,24}\)(?:$|,? (?:UID \d+,? )?(?:total-vm:|vsz:|"
        r"in same )))",
        help="No memory was left, in the machine or in a control group, so the kernel killed a process.",
        advice="Look at who used the memory; set limits, add memory or swap.",
        origin="mm/oom_kill.c __oom_kill_process()",
    ),
    LogSignature(
        name="page_allocation", report_class=ReportClass.PAGE_ALLOCATION, severity=Severity.WARNING,
        title="page allocation failure",
        contains=("page allocation failure", "page allocation stalls for", "allocation failure: ",
            "vmalloc: allocation failure",
            "vmap allocation for size",
                  "vmalloc error", "nable to allocate memory on node", "alloc failed, req-size",
            "-order allocation failed",
            "allocation failed, size="),
        pattern=rf"(?:<\d>)?(?:{COMM}: page allocation (?:failure[:.] |stalls for \d+ms, )order:\d+, {_MODE}|"
        rf"page allocation failure: order:\d|"
        rf"warn_alloc: |(?:[^:]{{0,24}}: )?(?:vmalloc: allocation failure|vmalloc error: size)[^'\"]*?, ?{_MODE}|"
        r"(?:vmalloc: )?vmap allocation for size \d+ failed|SL[AUO]B: Unable to allocate memory on node|"
        r"cma: (?:__)?cma_alloc: (?:\S+: )?alloc failed|__alloc_pages: \d+-order allocation failed|"
        r"(?:percpu|PERCPU): allocation failed, size=)",
        help="The kernel asked itself for memory and got none; the caller has to do without.",
        advice="Order 0 means that memory is out; a high order that it is fragmented (raise vm.min_free_kbytes).",
        origin="mm/page_alloc.c warn_alloc()",
    ),
    LogSignature(
        name="unregister_netdevice", report_class=ReportClass.NETDEV_REFCOUNT, severity=Severity.ERROR,
        stage=MatchStage.LINE,
        title="unregister_netdevice: waiting for a device to become free",
        contains=("unregister_netdevice: waiting for ", "netdev_wait_allrefs", "ref_tracker: netdev@"),
        pattern=r"unregister_netdevice: waiting for (?P<dev>.{1,15}?) to become|netdev_wait_allrefs|"
        r"ref_tracker: netdev@[0-9a-fx]+ has \d+/\d+ users at",
        help="A network device is being removed, and something never gave its reference back.",
        advice="Typical of containers' networks: what uses that device leaks references. Only a reboot helps.",
        origin="net/core/dev.c netdev_wait_allrefs_any()",
    ),
    LogSignature(
        name="busy_inodes", report_class=ReportClass.FILESYSTEM, severity=Severity.ERROR,
        title="VFS: {kind}",
        contains=("VFS: Busy inodes after unmount", "VFS: Close: file count is "),
        pattern=r"VFS: (?P<kind>Busy inodes after unmount|Close: file count is (?:0|zero))",
        help="A file system was unmounted while files of it were in use: memory will be used after it is freed.",
        advice="Reboot soon; report it to the file system's authors.",
        origin="fs/super.c generic_shutdown_super()",
    ),
)  # fmt: skip
