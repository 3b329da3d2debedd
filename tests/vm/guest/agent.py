#!/usr/bin/python3
"""Runs commands for the host: one TCP connection is one command. Goes into the guest; the host's side is tests/vm/channel.py.

The host sends one JSON line {"argv": [...], "timeout": seconds, "cwd": ..., "env": {...}}, then frames; frames come
back. A frame is a type byte, a 4-byte big-endian length, and that many bytes: 0 stdin (empty: end of file), 1 stdout,
2 stderr, 3 the exit code in decimal (last frame). A host that goes away has its command's process group killed.
"""

import json
import os
import signal
import socket
import struct
import subprocess
import threading

STDIN, STDOUT, STDERR, EXIT = range(4)
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def receive(connection, count):
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise ConnectionError
        data += part
    return data


def read_request(connection):
    line = b""
    while not line.endswith(b"\n"):
        line += receive(connection, 1)
    return json.loads(line)


def as_others():
    """Give up, for the command, the agent's own protection from the out-of-memory killer."""
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("0")


def kill(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it ended by itself meanwhile


class Command:
    """One command and the connection it belongs to."""

    def __init__(self, connection, request):
        self.connection = connection
        self.sending = threading.Lock()
        self.moved = 0
        environment = dict(os.environ, HOME="/root", TERM="dumb", LANG="C.UTF-8", PATH=PATH, **request.get("env", {}))
        self.process = subprocess.Popen(
            request["argv"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=environment,
            cwd=request.get("cwd", "/root"),
            start_new_session=True,
            preexec_fn=as_others,
        )

    def send(self, kind, data):
        with self.sending:
            self.connection.sendall(struct.pack(">BI", kind, len(data)) + data)

    def feed(self):
        stdin = self.process.stdin
        try:
            while True:
                kind, length = struct.unpack(">BI", receive(self.connection, 5))
                data = receive(self.connection, length)
                if kind == STDIN and not stdin.closed:
                    try:
                        stdin.write(data) if length else stdin.close()
                    except BrokenPipeError:
                        stdin.close()  # the command reads no more; that is its business
        except OSError:
            if self.process.poll() is None:
                kill(self.process)

    def pump(self, pipe, kind):
        while data := pipe.read(65536):
            self.moved += 1
            try:
                self.send(kind, data)
            except OSError:
                return kill(self.process)

    def run(self, timeout):
        threading.Thread(target=self.feed, daemon=True).start()
        pumps = [
            threading.Thread(target=self.pump, args=(self.process.stdout, STDOUT), daemon=True),
            threading.Thread(target=self.pump, args=(self.process.stderr, STDERR), daemon=True),
        ]
        for pump in pumps:
            pump.start()
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            kill(self.process)
            self.process.wait()
            code = 124
        # A daemon that the command left behind may hold the pipes open: stop when they are quiet.
        seen = -1
        while seen != self.moved:
            seen = self.moved
            for pump in pumps:
                pump.join(0.4)
        self.send(EXIT, str(code if code >= 0 else 128 - code).encode())


def serve(connection):
    with connection:
        try:
            request = read_request(connection)
            try:
                command = Command(connection, request)
            except OSError as error:
                said = f"agent: {error}\n".encode()
                connection.sendall(struct.pack(">BI", STDERR, len(said)) + said)
                connection.sendall(struct.pack(">BI", EXIT, 3) + b"127")
                return
            command.run(request.get("timeout"))
        except (OSError, ValueError, KeyError) as error:
            print(f"agent: {error!r}", flush=True)


server = socket.create_server(("0.0.0.0", 1024), backlog=64)
while True:
    accepted, _ = server.accept()
    threading.Thread(target=serve, args=(accepted,), daemon=True).start()
