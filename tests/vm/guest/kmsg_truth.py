"""A second reader of /dev/kmsg, which shares no code with kmodmon: counts records until it is told to stop.

Reads from the oldest record on. On SIGTERM, or at once with --now, it prints as JSON what it counted: records by
"level/origin", the first and last sequence number, and the numbers missing in between. With --after NUMBER it counts
only records behind that one.
"""

import json
import os
import select
import signal
import sys


def main():
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    counts, first, last, missing = {}, None, None, 0
    after = int(sys.argv[sys.argv.index("--after") + 1]) if "--after" in sys.argv else -1
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    print("ready", flush=True)
    while True:
        try:
            record = os.read(fd, 16384)
        except BlockingIOError:
            if stop or "--now" in sys.argv:
                break
            poll.poll(100)
            continue
        except BrokenPipeError:
            continue
        priority, seq = (int(part) for part in record.split(b",", 2)[:2])
        if seq <= after:
            continue
        if first is None:
            first = seq
        elif seq != last + 1:
            missing += seq - last - 1
        last = seq
        key = "%d/%s" % (priority & 7, "kernel" if priority < 8 else "user")
        counts[key] = counts.get(key, 0) + 1
    print(json.dumps({"counts": counts, "first": first, "last": last, "missing": missing}), flush=True)


main()
