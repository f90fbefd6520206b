"""What the judges of the interop scenarios share: sockets in any namespace from one process,
a client for ravelind's control socket, and waiting for a condition until a deadline.

Nothing here knows ESP or IKE; nothing comes from ravelind but its own answers.
"""
import contextlib
import ctypes
import json
import os
import socket
import struct
import subprocess
import sys
import time

ETH_P_ALL = 3
CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def fail(message):
    """Ends the scenario; the message is what a reader needs to see."""
    print(f"FAILED: {message}", file=sys.stderr)
    sys.exit(1)


def check(condition, message):
    if not condition:
        fail(message)


def wait_for(seconds, what, condition, every=0.05):
    """The first true value of condition(), or the scenario fails after so many seconds."""
    until = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            fail(f"{what}: not within {seconds} s")
        time.sleep(every)


@contextlib.contextmanager
def namespace(name):
    """Makes sockets in that namespace; a socket stays where it was made."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        check(_libc.setns(there, CLONE_NEWNET) == 0, f"cannot enter namespace {name}")
        yield
    finally:
        _libc.setns(home, CLONE_NEWNET)
        os.close(home)
        os.close(there)


def mac_of(name, device):
    """MAC address of a device in a namespace, as bytes."""
    shown = subprocess.run(["ip", "-n", name, "-json", "link", "show", device], check=True, capture_output=True)
    return bytes.fromhex(json.loads(shown.stdout)[0]["address"].replace(":", ""))


class Wire:
    """Frames on one device: whole frames out, the IP packets that came in."""

    def __init__(self, name, device, to_mac):
        with namespace(name):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            self.socket.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
            self.socket.bind((device, ETH_P_ALL))
        self.own = mac_of(name, device)
        self.to = to_mac

    def send(self, packet):
        """Sends an IP packet to the gateway, whatever its bytes are."""
        kind = 0x86DD if packet[:1] and packet[0] >> 4 == 6 else 0x0800
        self.send_frame(self.to + self.own + struct.pack("!H", kind) + packet)

    def send_frame(self, frame):
        while True:
            try:
                return self.socket.send(frame)
            except OSError as error:
                if error.errno != 105:  # ENOBUFS: the device's queue is full
                    raise
                time.sleep(0.001)

    def receive(self, patience, wanted):
        """IP packets from the gateway for which wanted(packet) is true, until none came for
        patience(how many came) seconds."""
        came = 0
        until = time.monotonic() + patience(came)
        while (left := until - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                frame, about = self.socket.recvfrom(65536)
            except (socket.timeout, BlockingIOError):
                return
            if about[2] == socket.PACKET_OUTGOING:
                continue
            kind, packet = frame[12:14], frame[14:]
            if kind == b"\x08\x00" and len(packet) >= 20:
                packet = packet[: struct.unpack("!H", packet[2:4])[0]]
            elif kind == b"\x86\xdd" and len(packet) >= 40:
                packet = packet[: 40 + struct.unpack("!H", packet[4:6])[0]]
            else:
                continue
            if wanted(packet):
                yield packet
                came += 1
                until = time.monotonic() + patience(came)


class Control:
    """ravelind's control socket: JSON-RPC 2.0, one object a line."""

    def __init__(self, path):
        self.path = path

    def call(self, method, params=None, seconds=5):
        call = {"jsonrpc": "2.0", "id": 1, "method": method}
        if params is not None:
            call["params"] = params
        with socket.socket(socket.AF_UNIX) as stream:
            stream.settimeout(seconds)
            stream.connect(self.path)
            stream.sendall(json.dumps(call).encode() + b"\n")
            answer = stream.makefile("rb").readline()
        answer = json.loads(answer)
        check("result" in answer, f"{method} was answered with {answer.get('error')}")
        return answer["result"]

    def counters(self):
        """All counters by name."""
        return {counter["name"]: counter["value"] for counter in self.call("show.counters")["counters"]}

    def answers(self):
        """Whether it answers at all."""
        try:
            return bool(self.call("show.version", seconds=2))
        except (OSError, ValueError):
            return False


def drops_since(control, before, name, at_least, seconds=5):
    """Waits until at_least more packets were dropped for the reason `name`; returns how many."""
    def grown():
        growth = drop(control.counters(), name) - drop(before, name)
        return growth if growth >= at_least else None
    return wait_for(seconds, f"{at_least} packets dropped as {name}", grown)


def drop(counters, reason):
    """Packets dropped for that reason."""
    name = f"drop-{reason}"
    check(name in counters, f"there is no counter {name}; there are {sorted(counters)}")
    return counters[name]
