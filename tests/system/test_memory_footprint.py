"""In a process of its own: what is asked of the kernel cannot be taken back from here."""

import subprocess
import sys

CODE = """
from kmodmon.system.memory_footprint import limit_memory
limit_memory()
print(open("/proc/self/status").read())
"""


def test_process_when_frugal_then_it_gets_no_huge_pages() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    status = dict(line.split(":", 1) for line in done.stdout.splitlines() if ":" in line)
    assert status["Name"].strip() and status.get("THP_enabled", "0").strip() == "0"  # Linux before 5.0 does not say
