"""Tests on real kernels: stock Debian kernels under QEMU. `make test-vm` builds what they need and runs them.

A test takes the fixtures ``boot`` and ``kernel`` (conftest.py) and gets a running :class:`tests.vm.guest.Guest`:

    def test_insmod_when_unsigned_then_tainted(boot: Boot, kernel: Kernel) -> None:
        guest = boot(kernel, "lockdown=none", fresh=True)
        guest.insmod("hello_unsigned")
        assert guest.read("/proc/sys/kernel/tainted").strip() == b"12288"

From the ground up: `lab` (cache, stamps), `suites` (packages of other Debian suites), `root_disk`, `kernels`,
`headers`; `fixtures` and `patch` (the test modules of modules/, and odd copies of them); `qemu` (a machine), `channel`
(its commands), `guest`; `product` (kmodmon as a wheel, for guests). `reports` and `capture` record what kernels say.
"""
