#!/usr/bin/python3
"""Collects what a kernel shows while a script runs; runs in the guest, for tests/vm/capture.py.

collect.py log QUIET LIMIT SCRIPT    the kernel log's raw records to stdout, from the script's start until it is quiet
collect.py tree DIRECTORY SCRIPT     the interfaces that kmodmon reads, after the script; and the events while it ran
"""

import errno
import json
import os
import shutil
import socket
import subprocess
import sys
import time

PLAIN = """/proc/modules /proc/cmdline /proc/version /proc/mounts /proc/keys /proc/crypto /proc/vmallocinfo
    /proc/sys/kernel/tainted /proc/sys/kernel/modules_disabled /proc/sys/kernel/kptr_restrict
    /proc/sys/kernel/dmesg_restrict /proc/sys/kernel/perf_event_paranoid /proc/sys/kernel/kexec_load_disabled
    /proc/sys/kernel/unprivileged_bpf_disabled /proc/sys/kernel/sysrq /proc/sys/kernel/panic_on_oops
    /proc/sys/kernel/panic_on_warn /proc/sys/kernel/oops_limit /proc/sys/kernel/warn_limit
    /proc/sys/kernel/random/boot_id /proc/sys/kernel/osrelease /proc/sys/kernel/modprobe
    /proc/sys/kernel/yama/ptrace_scope /proc/sys/kernel/randomize_va_space /proc/sys/kernel/watchdog_thresh
    /sys/kernel/security/lockdown /sys/kernel/security/lsm /sys/kernel/oops_count /sys/kernel/warn_count
    /sys/kernel/uevent_seqnum /sys/kernel/tracing/trace_clock /sys/kernel/tracing/enabled_functions
    /sys/devices/system/clocksource/clocksource0/current_clocksource""".split()


def drain(descriptor, into):
    """Read all that is there; a lost record (EPIPE) is no end."""
    got = False
    while True:
        try:
            data = os.read(descriptor, 65536)
        except BlockingIOError:
            return got
        except BrokenPipeError:
            continue
        into(data)
        got = True


def open_log():
    log = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    os.lseek(log, 0, os.SEEK_END)
    return log


def start(script):
    return subprocess.Popen(["sh", "-c", script], stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=sys.stderr)


def log(quiet, limit, script):
    descriptor = open_log()
    process = start(script)

    def write(data):
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    begun = last = time.monotonic()
    while time.monotonic() - begun < float(limit) and time.monotonic() - last < float(quiet):
        if drain(descriptor, write):
            last = time.monotonic()
        time.sleep(0.05)
    print("exit", process.poll(), file=sys.stderr)


def open_uevents():
    connection = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 15)  # NETLINK_KOBJECT_UEVENT
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUFFORCE if hasattr(socket, "SO_RCVBUFFORCE") else 33, 8 << 20)
    connection.bind((0, 1))
    connection.setblocking(False)
    return connection


def open_trace():
    instance = "/sys/kernel/tracing/instances/collect"
    os.mkdir(instance)
    for name, value in (("trace_clock", "mono"), ("events/module/enable", "1")):
        with open(f"{instance}/{name}", "w") as file:
            file.write(value)
    return instance


def copy(source, target):
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(source, "rb") as file:
        data = file.read()
    with open(target, "wb") as file:
        file.write(data)


def copy_tree(top, directory):
    """Copy what can be read of `top`; what a file is and why it could not be read goes into the manifest."""
    manifest = []
    for where, directories, files in os.walk(os.fsencode(top)):
        os.makedirs(os.fsencode(directory) + where, exist_ok=True)
        links = [name for name in directories if os.path.islink(os.path.join(where, name))]
        for name in sorted(files + links):
            path = os.path.join(where, name)
            entry = {"path": os.fsdecode(path), "mode": oct(os.lstat(path).st_mode)}
            try:
                if os.path.islink(path):
                    entry["link"] = os.fsdecode(os.readlink(path))
                    os.symlink(os.readlink(path), os.fsencode(directory) + path)
                else:
                    copy(path, os.fsencode(directory) + path)
            except OSError as error:
                entry["error"] = errno.errorcode.get(error.errno, str(error.errno))
            manifest.append(entry)
    return manifest


def write_lines(path, lines):
    with open(path, "w", errors="surrogateescape") as file:
        file.writelines(lines)


def module_symbols():
    with open("/proc/kallsyms", errors="surrogateescape") as file:
        return [line for line in file if "[" in line]


def traced_functions():
    with open("/sys/kernel/tracing/available_filter_functions", errors="surrogateescape") as file:
        lines = file.readlines()
    return lines[:500] + [line for line in lines[500:] if "[" in line]


def tree(directory, script):
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    descriptor, uevents, instance = open_log(), open_uevents(), open_trace()
    with open(f"{directory}/kmsg.during", "wb") as during:
        process = start(script)
        while process.poll() is None:
            drain(descriptor, during.write)
            time.sleep(0.02)
        time.sleep(0.5)
        drain(descriptor, during.write)
    received = []
    while True:
        try:
            data, (sender, groups) = uevents.recvfrom(65536)
        except BlockingIOError:
            break
        received.append(json.dumps({"sender": sender, "groups": groups, "hex": data.hex(), "text": repr(data)}) + "\n")
    write_lines(f"{directory}/uevents.jsonl", received)
    copy(f"{instance}/trace", f"{directory}/trace")
    os.rmdir(instance)
    manifest = copy_tree("/sys/module", f"{directory}/root")
    missing = {}
    for path in PLAIN:
        try:
            copy(path, f"{directory}/root{path}")
        except OSError as error:
            missing[path] = errno.errorcode[error.errno]
    write_lines(f"{directory}/manifest.jsonl", [json.dumps(entry) + "\n" for entry in manifest])
    with open(f"{directory}/unreadable.json", "w") as file:
        json.dump(missing, file, indent=1)
    write_lines(f"{directory}/kallsyms.modules", module_symbols())
    write_lines(f"{directory}/available_filter_functions.head", traced_functions())
    everything = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    with open(f"{directory}/kmsg.all", "wb") as file:
        drain(everything, file.write)
    for name, command in (("dmesg", ["dmesg"]), ("lsmod", ["lsmod"]), ("dmesg.json", ["dmesg", "--json"])):
        with open(f"{directory}/{name}", "wb") as file:
            subprocess.run(command, stdout=file, check=False)


if __name__ == "__main__":
    {"log": log, "tree": tree}[sys.argv[1]](*sys.argv[2:])
