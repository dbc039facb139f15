"""Pods as processes of this machine, the store that tells of them, and the WebSockets that attach to them."""

import json
import os
import signal
import struct
import subprocess
import threading
import time

STDIN, STDOUT, STDERR, ERROR, CLOSE = 0, 1, 2, 3, 255
# Objects by path, the pods among them, and all that ever happened, which is what a watch shows.
CHANGED, OBJECTS, PODS, EVENTS = threading.Condition(), {}, {}, []


def put(event, path, item):
    with CHANGED:
        item["metadata"]["resourceVersion"] = str(len(EVENTS) + 1)
        # An event keeps the object as it was then.
        EVENTS.append((event, path, json.loads(json.dumps(item))))
        if event == "DELETED":
            OBJECTS.pop(path), PODS.pop(path, None)
        else:
            OBJECTS[path] = item
        CHANGED.notify_all()


class Pod:
    """A pod and its process."""

    def __init__(self, path, item, seconds):
        self.path, self.item, self.container = path, item, item["spec"]["containers"][0]
        # It is noticed after so many that it was made, has begun or has ended.
        self.seconds = seconds
        self.lock, self.over, self.deleted = threading.Lock(), threading.Event(), threading.Event()
        self.log, self.attached, self.process = bytearray(), None, None
        self.show("Pending", waiting={"reason": "ContainerCreating"})
        put("ADDED", path, item)
        threading.Thread(target=self.run, daemon=True).start()

    def show(self, phase, **state):
        with CHANGED:
            container = {"name": self.container["name"], "ready": phase == "Running", "state": state}
            ready = {"type": "Ready", "status": str(phase == "Running")}
            self.item["status"] = {"phase": phase, "conditions": [ready], "containerStatuses": [container]}
            if OBJECTS.get(self.path) is self.item:
                put("MODIFIED", self.path, self.item)

    def run(self):
        time.sleep(self.seconds)
        words = self.container.get("command", []) + self.container.get("args", [])
        stdin = subprocess.PIPE if self.container.get("stdin") else subprocess.DEVNULL
        try:
            with self.lock:
                if self.deleted.is_set():
                    return
                self.process = subprocess.Popen(words, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                                bufsize=0, cwd="/", env={"PATH": os.environ["PATH"]},
                                                start_new_session=True)
        except OSError as error:
            self.log += str(error).encode()
            self.over.set()
            return self.show("Failed", terminated={"exitCode": 128, "reason": "StartError"})
        pipes = [(STDOUT, self.process.stdout), (STDERR, self.process.stderr)]
        readers = [threading.Thread(target=self.read, args=pipe, daemon=True) for pipe in pipes]
        for reader in readers:
            reader.start()
        time.sleep(self.seconds)
        self.show("Running", running={})
        code = self.process.wait()
        self.kill(signal.SIGKILL)
        for reader in readers:
            reader.join()
        self.over.set()
        with self.lock:
            self.end_attached()
        time.sleep(self.seconds)
        reason = "Error" if code else "Completed"
        code = code if code >= 0 else 128 - code
        self.show("Failed" if code else "Succeeded", terminated={"exitCode": code, "reason": reason})

    def read(self, channel, pipe):
        while data := pipe.read(1 << 16):
            with self.lock:
                self.log += data
                if self.attached:
                    self.attached.send(bytes([channel]) + data)

    def end_attached(self):
        if self.attached and self.over.is_set():
            self.attached.send(bytes([ERROR]) + b'{"metadata":{},"status":"Success"}')
            self.attached.send(struct.pack(">H", 1000), opcode=8)

    def serve(self, socket):
        """Attaches somebody until one of the two ends."""
        with self.lock:
            self.attached = socket
            self.end_attached()
        stdin = self.process.stdin
        for data in socket.messages():
            try:
                if data[0] == STDIN and not stdin.closed:
                    stdin.write(data[1:])
                elif data[0] == CLOSE:
                    stdin.close()
            except OSError:
                stdin.close()
        with self.lock:
            self.attached = None
        stdin.close()

    def kill(self, name):
        try:
            # A container's first process alone gets SIGTERM; all of them end with it.
            (os.killpg if name == signal.SIGKILL else os.kill)(self.process.pid, name)
        except ProcessLookupError:
            pass

    def delete(self, grace):
        with self.lock:
            self.deleted.set()
        if self.process and not self.over.is_set():
            self.kill(signal.SIGTERM)
            if not self.over.wait(grace):
                self.kill(signal.SIGKILL)
        put("DELETED", self.path, self.item)


class Socket:
    """A WebSocket to a client, from the server's side."""

    def __init__(self, reading, writing):
        self.reading, self.writing = reading, writing

    def send(self, data, opcode=2):
        long = (b"\x7e", ">H") if len(data) < 1 << 16 else (b"\x7f", ">Q")
        size = bytes([len(data)]) if len(data) < 126 else long[0] + struct.pack(long[1], len(data))
        try:
            self.writing.write(bytes([0x80 | opcode]) + size + data)
        except OSError:
            pass

    def messages(self):
        """What the client says, until it has said all."""
        message = b""
        while len(head := self.reading.read(2)) == 2:
            opcode, size = head[0] & 0x0F, head[1] & 0x7F
            if size > 125:
                size = int.from_bytes(self.reading.read(2 if size == 126 else 8), "big")
            mask, data = self.reading.read(4), self.reading.read(size)
            mask = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
            data = (int.from_bytes(data, "big") ^ mask).to_bytes(size, "big")
            if opcode == 8:
                return
            if opcode == 9:
                self.send(data, opcode=10)
            elif opcode < 3:
                message += data
                if head[0] & 0x80:
                    yield message
                    message = b""
