import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.events.report import FaultReason, Frame, LinkedModule
from kmodmon.reports.blame import blame, culprits, plain
from kmodmon.reports.body import LineKind, arch_of, kind_of, parse_modules, parse_task
from kmodmon.reports.frame import first_of_arm, parse_frame, parse_inline, parse_pointer


@pytest.mark.parametrize(
    ("text", "function", "module", "reliable"),
    [
        (" vfs_read+0x9c/0x190", "vfs_read", None, True),
        (" ? vfs_read+0x9c/0x190", "vfs_read", None, False),
        (" foo_read+0x12/0x40 [foo]", "foo_read", "foo", True),
        (" foo_read+0x12/0x40 [foo 0123456789abcdef0123456789abcdef01234567]", "foo_read", "foo", True),
        (" [<ffffffff810a376f>] foo.isra.0+0x1f/0x280 [foo]", "foo.isra.0", "foo", True),
        (" [<ffffffff810a376f>] ? printk+0x23/0x40", "printk", None, False),
        (" <IRQ>  [<ffffffff81604eaa>] dump_stack+0x19/0x1b", "", None, True),
        (" [<ffffffff8836e2c1>] :nfs:nfs_readdir+0x1c1/0x4f0", "nfs_readdir", "nfs", True),
        ("[c00000001a6e7c30] [c00000000050c588] proxy_write+0x68/0xe0 (unreliable)", "proxy_write", None, False),
        ("[c000000000ac0ce8] .dbs_update+0x18/0xf0 [cpufreq]", "dbs_update", "cpufreq", True),
        (" [<000003ff80a5b124>] qeth_poll+0x24/0x60 [qeth] ", "qeth_poll", "qeth", True),
        ("([<00000000a4f5a200>] __napi_poll+0x38/0x180)", "__napi_poll", None, True),
        ("[<80123456>] ag71xx_poll+0x56/0x220", "ag71xx_poll", None, True),
        (" [0000000000427fac] do_one_initcall+0x2c/0x160", "do_one_initcall", None, True),
        (" iris_vpu_power+0x24/0x64 [qcom_iris] (P)", "iris_vpu_power", "qcom_iris", True),
        ("[<c019d604>] (update_vsyscall) from [<c018dcc8>] (tk_update+0xe4/0x258)", "tk_update", None, True),
        ("[<bfa0e748>] (a [bluetooth]) from [<bfa01e9c>] (b_del+0x40/0x21c [bluetooth])", "b_del", "bluetooth", True),
        (" of_get_property from of_device_uevent+0x5c/0x170", "of_device_uevent", None, True),
        (" kmsan_test (mm/kmsan/kmsan_test.c:123 (discriminator 1)) kmsan_test", "kmsan_test", "kmsan_test", True),
        ("[] ? printk+0x23/0x40", "printk", None, False),
        (" lock_acquire+0x190/0x410 kernel/locking/lockdep.c:4487", "lock_acquire", None, True),
    ],
)  # fmt: skip
def test_parse_frame_when_given_an_entry_then_names_function_and_module(
    text: str, function: str, module: str | None, reliable: bool
) -> None:
    frame = parse_frame(text)
    if not function:
        assert frame is None or frame.function == "dump_stack"
        return
    assert frame is not None
    assert (frame.function, frame.module, frame.reliable) == (function, module, reliable)


def test_first_of_arm_when_given_an_entry_then_gives_the_callee() -> None:
    frame = first_of_arm("[<bfa0e748>] (teardown [bluetooth]) from [<bfa01e9c>] (del+0x40/0x21c [bluetooth])")
    assert frame == Frame(function="teardown", module="bluetooth")
    assert parse_inline(" slab_free mm/slub.c:4353 [inline]") == "slab_free"


@pytest.mark.parametrize(
    ("text", "function", "module"),
    [
        ("RIP: 0010:foo_read+0x12/0x40 [foo]", "foo_read", "foo"),
        ("RIP: 0010:[<ffffffff81335e96>]  [<ffffffff81335e96>] sysrq_crash+0x16/0x20", "sysrq_crash", None),
        ("IP: [<ffffffff82d4e304>] __memset+0x24/0x30", "__memset", None),
        ("EIP is at foo_ioctl+0x14/0x80 [foo]", "foo_ioctl", "foo"),
        ("EIP: foo_ioctl+0x14/0x80 [foo]", "foo_ioctl", "foo"),
        ("PC is at update_vsyscall+0x1c/0x380", "update_vsyscall", None),
        ("pc : ath11k_dp_rx+0x24/0x64 [ath11k]", "ath11k_dp_rx", "ath11k"),
        ("epc : foo_probe+0x12/0x40 [foo]", "foo_probe", "foo"),
        ("epc   : 80123456 ag71xx_poll+0x56/0x220", "ag71xx_poll", None),
        ("NIP [c00800000a5b0124] crash_store+0x24/0x60 [lkdtmx]", "crash_store", "lkdtmx"),
        ("Krnl PSW : 0704c00180000000 000003ff80a5b124 (qeth_poll+0x24/0x60 [qeth])", "qeth_poll", "qeth"),
        ("  ERA: 90000000040d1234 foo_show+0x34/0x60", "foo_show", None),
        ("TPC: <foo_init+0x3c/0x60 [foo]>", "foo_init", "foo"),
        (" IAOQ[0]: foo_init+0x3c/0x60 [foo]", "foo_init", "foo"),
        ("PC: [<001b3a84>] strcmp+0x10/0x2c", "strcmp", None),
        ("caller is veth_stats_rx+0x20/0x90 [veth]", "veth_stats_rx", "veth"),
    ],
)  # fmt: skip
def test_parse_pointer_when_given_a_line_of_any_architecture_then_names_the_function(
    text: str, function: str, module: str | None
) -> None:
    pointer = parse_pointer(text)
    assert pointer is not None
    assert pointer.frame is not None
    assert (pointer.frame.function, pointer.frame.module) == (function, module)


@pytest.mark.parametrize("text", ["RIP: 0033:0x7f1234567890", "RIP: 0033:foo+0x1/0x2"])
def test_parse_pointer_when_it_is_user_space_then_says_so(text: str) -> None:
    pointer = parse_pointer(text)
    assert pointer is not None
    assert pointer.user
    assert pointer.frame is None


def test_parse_task_when_given_old_and_new_forms_then_reads_who_and_taint() -> None:
    new = parse_task("CPU: 1 UID: 0 PID: 124 Comm: python3 Tainted: G           OE       7.2.13+deb14 #1 PREEMPT(lazy)")
    assert (new.cpu, new.pid, new.comm, new.release) == (1, 124, "python3", "7.2.13+deb14")
    old = parse_task("Pid: 1742, comm: bash Not tainted 2.6.32-220.el6.x86_64 #1 Red Hat KVM")
    assert (old.pid, old.comm, old.taint) == (1742, "bash", "Not tainted 2.6.32-220.el6.x86_64 #1 Red Hat KVM")
    kasan = parse_task("Read of size 8 at addr ffff88807f1c84c8 by task kworker/1:2/1234")
    assert (kasan.pid, kasan.comm) == (1234, "kworker/1:2")


def test_parse_modules_when_a_list_has_flags_then_reads_them() -> None:
    modules, unloaded = parse_modules("Modules linked in: a b(OE) c(POE+) d(-) [last unloaded: e(O)]")
    assert [(one.name, one.flags, one.tainting) for one in modules] == [
        ("a", "", False), ("b", "OE", True), ("c", "POE+", True), ("d", "-", False),
    ]  # fmt: skip
    assert unloaded == "e"


def test_blame_when_signs_differ_then_the_strongest_wins() -> None:
    core, helper = Frame(function="dev_watchdog"), Frame(function="__list_del_entry_valid")
    ours, theirs = Frame(function="f", module="ours"), Frame(function="g", module="theirs")
    linked = (LinkedModule(name="ours", flags="OE"), LinkedModule(name="theirs"))
    assert blame(ours, theirs, (), linked) == ("ours", FaultReason.BANNER)
    assert blame(None, theirs, (ours,), linked) == ("theirs", FaultReason.INSTRUCTION)
    assert blame(None, helper, (helper, theirs), linked) == ("theirs", FaultReason.BELOW_DETECTOR)
    assert blame(None, core, (theirs, ours), linked) == ("ours", FaultReason.TAINTING_FRAME)
    assert blame(None, core, (theirs,), linked) == (None, None)
    unsure = Frame(function="f", module="ours", reliable=False)
    assert blame(None, helper, (unsure,), linked) == (None, None)


def test_blame_when_a_timer_found_the_cpu_in_the_core_then_the_caller_is_blamed() -> None:
    called, core = Frame(function="read_mostly"), Frame(function="vfs_read")
    theirs = Frame(function="theirs_spin", module="theirs")
    below = ("theirs", FaultReason.BELOW_DETECTOR)
    assert blame(None, called, (theirs,), ()) == (None, None)
    assert blame(None, called, (theirs,), (), sampled=True) == below
    assert blame(None, called, (called, theirs), (), sampled=True) == below, "arm64 has it in the trace"
    assert blame(None, called, (core, theirs), (), sampled=True) == (None, None)
    assert blame(None, None, (core, theirs), (), sampled=True) == (None, None)
    thunk = Frame(function="__x86_indirect_thunk_array")
    assert blame(None, thunk, (Frame(function="ktime_get"), theirs), ()) == below


def test_culprits_when_only_helpers_are_there_then_none() -> None:
    assert culprits((Frame(function="dump_stack"), Frame(function="__warn"), Frame(function="schedule"))) == ()
    assert plain("foo.isra.0.cold.12") == "foo"


def test_arch_of_when_a_register_line_is_typical_then_names_it() -> None:
    assert arch_of("RAX: 0000000000000000 RBX: 0") == "x86"
    assert arch_of("Krnl GPRS: 0000000000000000") == "s390"
    assert arch_of("nothing of the kind") is None


@given(st.text(max_size=300), st.sampled_from(list(LineKind)))
def test_kind_of_when_given_any_text_then_gives_a_kind(text: str, after: LineKind) -> None:
    assert kind_of(text, after) in LineKind
    parse_task(text)
    parse_modules(text)
