"""The body of an event (actor, evidence, fields) as text, and its compressed form on disk.

The *body* is three lines of canonical JSON: actor, evidence, fields (JSON text holds no raw newline). The hash of the
event covers this text, so the text itself is stored and never produced again from parsed values: verification needs no
JSON parser, and neither a float nor the order of keys can change between writing and reading.

On disk it is one byte, the index of a preset dictionary in DICTIONARIES, followed by a raw deflate stream that uses it
(zlib's `zdict`). An event of 600 bytes, most of them keys that every event has, takes 200 bytes. DICTIONARIES is
append-only, because a row is read with the dictionary that it was written with.
"""

import zlib

from kmodmon.events.codec import ShapeError, canonical_json
from kmodmon.events.event import Event

MAX_BODY_BYTES = 1 << 20  # uncompressed; a hundred times the longest kernel report
_WINDOW_BITS = -12  # raw deflate, 4 KiB window: 32 KiB of working memory instead of 256
_MEMORY_LEVEL = 5

# The most frequent texts come last: deflate encodes shorter distances in fewer bits.
DICTIONARIES: tuple[bytes, ...] = (
    b'"fields":"setting":"parameter":"class":"title":"function":"fingerprint":"reason":"while_down":true,"why":"source":'
    b'"old_srcversion":"old_build_id":"old_taints":"tier":"cause":"module:"flag":"letter":"bit":"old":"new":"value":'
    b'"/lib/modules/kernel/drivers/net/updates/dkms.ko.xz"/usr/lib/modules/"/usr/sbin/insmod"/usr/sbin/modprobe'
    b'"dracut"udevadm"/usr/bin/bash"/usr/bin/python3"/usr/bin/sudo"/usr/bin/dockerd"/usr/bin/containerd'
    b'"/user.slice/user-1000.slice/session-1.scope"/system.slice/docker.service"/kubepods.slice/'
    b'"systemd-udevd.service"/system.slice/systemd-udevd.service"systemd-modules-load.service"sshd"-bash"(udev-worker)'
    b'"/usr/lib/systemd/systemd-udevd"/usr/lib/systemd/systemd"/lib/systemd/systemd","--system","--deserialize",'
    b'null\n["tainted was 0, now 12288","trace: module_load","uevent: add@/module/","/sys/module/","/proc/modules"]\n'
    b'{"build_id":null,"signature":"unsigned","signature":"signed","signature":"unknown","signature":"valid","size":'
    b'16384,"srcversion":null,"srcversion":"0123456789ABCDEF","state":"live","taints":"OE","taints":"","version":null}'
    b'{"cgroup":null,"cgroup":"/system.slice/","cmdline":["/sbin/modprobe","-q","--","comm":"modprobe","comm":"insmod",'
    b'"container":null,"exe":"/usr/bin/kmod","exited":false,"login_uid":1000,"login_uid":null,"parents":['
    b'{"cmdline":null,"comm":"bash","exe":"/usr/bin/bash","pid":1},{"cmdline":["/sbin/init"],"comm":"systemd",'
    b'"exe":"/usr/lib/systemd/systemd","pid":1}],"pid":1234,"requester":null,"uid":0,"unit":"session-1.scope"}\n[]\n{}',
)


def body_of(event: Event) -> bytes:
    """Give the body of an event; raises ShapeError for a value that JSON cannot hold, or beyond MAX_BODY_BYTES."""
    whole = event.to_json()
    body = b"\n".join(canonical_json(whole[name]) for name in ("actor", "evidence", "fields"))
    if len(body) > MAX_BODY_BYTES:
        raise ShapeError("event", f"at most {MAX_BODY_BYTES} bytes")
    return body


def split(body: bytes) -> tuple[bytes, bytes, bytes]:
    """Give actor, evidence and fields; raises ValueError unless there are three lines."""
    actor, evidence, fields = body.split(b"\n")
    return actor, evidence, fields


def pack(body: bytes) -> bytes:
    """Compress a body for the disk, with the newest dictionary."""
    number = len(DICTIONARIES) - 1
    deflate = zlib.compressobj(6, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL, zlib.Z_DEFAULT_STRATEGY, DICTIONARIES[-1])
    return bytes((number,)) + deflate.compress(body) + deflate.flush()


def unpack(packed: bytes) -> bytes:
    """Undo :func:`pack`; raises ValueError for other bytes, and for more than MAX_BODY_BYTES of text."""
    try:
        inflate = zlib.decompressobj(_WINDOW_BITS, DICTIONARIES[packed[0]])
        body = inflate.decompress(packed[1:], MAX_BODY_BYTES)
    except (zlib.error, IndexError, TypeError) as error:
        raise ValueError(f"not a packed body: {error}") from None
    if not inflate.eof or inflate.unused_data:
        raise ValueError("not a packed body: cut, too long, or followed by other bytes")
    return body
