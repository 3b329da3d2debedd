"""Tests on real kernels: stock Debian kernels under QEMU. `make test-vm` builds what they need and runs them."""
