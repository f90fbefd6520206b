#!/usr/bin/python3
"""What an ordered policy makes of packets, from both sides, IPv4 and IPv6.

    policy_matrix.py PUBLIC-NS GATEWAY-NS HOST-NS SOCKET

The router on the public segment is the bridge itself; frames of the gateway are seen where they enter it. Each packet
carries a mark of its own, which must be seen in clear on the other side, or not at all.
"""
import logging
import sys

from judge import Control, Wire, check, drop, drops_since, mac_of, wait_for

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.all import (ICMP, IP, UDP, ICMPv6EchoReply, ICMPv6EchoRequest, IPv6, IPv6ExtHdrFragment,  # noqa: E402
                       Raw, raw)

CLEAR, ESP = "clear", "ESP"
#       what, the other end (IPv4, IPv6), packet out, packet in; what becomes of either
DNS, SECRET = ("198.51.100.1", "2001:db8:51::1"), ("198.51.100.65", "2001:db8:51:1::1")
BEHIND, ROUTED = ("10.1.0.2", "fd00:1::2"), ("10.1.0.200", "fd00:1::8001")
NEVER = ("10.1.0.66", "fd00:1::66")
HOST = ("10.2.0.2", "fd00:2::2")
CASES = [
    ("a name server", DNS, "udp 53", CLEAR, CLEAR),
    ("another port of it", DNS, "udp 54", "policy-miss", "policy-miss"),
    # Of IPv4 the kernel shows packet sockets that share a device whole datagrams alone.
    ("a later fragment, which shows no port", (None, DNS[1]), "fragment", "policy-miss", "policy-miss"),
    ("a host that is discarded first", SECRET, "udp 53", "policy-discard", "policy-discard"),
    ("an echo request", DNS, "request", CLEAR, "policy-miss"),
    ("an echo reply", DNS, "reply", "policy-miss", CLEAR),
    ("behind the tunnel", BEHIND, "udp 7000", ESP, "unprotected"),
    ("behind the tunnel, and routed elsewhere", ROUTED, "udp 7000", ESP, "unprotected"),
    ("behind the tunnel, and discarded before it", NEVER, "udp 7000", "policy-discard", "policy-discard"),
]


def upper(kind, six, out, mark):
    """What follows the IP header: ports are those of the far end."""
    if kind in ("request", "reply"):
        echo = {(0, "request"): ICMP(type=8), (0, "reply"): ICMP(type=0),
                (1, "request"): ICMPv6EchoRequest(), (1, "reply"): ICMPv6EchoReply()}[six, kind]
        return echo / Raw(mark)
    far = int(kind.split()[1])
    near = 40000
    return UDP(sport=near if out else far, dport=far if out else near) / Raw(mark)


def packet(kind, ends, out, mark):
    six = int(":" in ends[0])
    source, destination = ends if out else ends[::-1]
    if kind == "fragment":
        text = Raw(bytes(8) + mark.ljust(64, b"."))
        return raw(IPv6(src=source, dst=destination) / IPv6ExtHdrFragment(nh=17, offset=100, id=9) / text)
    header = IPv6(src=source, dst=destination) if six else IP(src=source, dst=destination)
    return raw(header / upper(kind, six, out, mark))


def is_esp(found):
    return (found[9] if found[0] >> 4 == 4 else found[6]) == 50


class Matrix:
    def __init__(self, public, gateway, host, path):
        self.control = Control(path)
        self.router = Wire(public, "br0", mac_of(gateway, "wan0"))
        self.segment = Wire(public, "to-b", mac_of(gateway, "wan0"))
        self.host = Wire(host, "eth0", mac_of(gateway, "lan0"))
        self.number = 0

    def mark(self):
        self.number += 1
        return b"ravelin policy %04d" % self.number

    def seen(self, wire, wanted, patience):
        return list(wire.receive(lambda came: 0 if came else patience, wanted))

    def run(self, what, ends, kind, out, expected):
        mark = self.mark()
        sender, far = (self.host, self.segment) if out else (self.router, self.host)
        for wire in (self.segment, self.host):
            self.seen(wire, lambda _: False, 0.01)
        before = self.control.counters()
        sender.send(packet(kind, ends, out, mark))
        where = f"{what}, {'out' if out else 'in'}, {ends[0]} {kind}"
        if expected == CLEAR:
            check(self.seen(far, lambda found: mark in found, 5), f"{where}: did not arrive")
        elif expected == ESP:
            found = self.seen(far, lambda found: is_esp(found) or mark in found, 5)
            check(found, f"{where}: nothing left")
            check(not any(mark in packet for packet in found), f"{where}: left in clear")
        else:
            drops_since(self.control, before, expected, 1)
            check(not self.seen(far, lambda found: mark in found, 0.05), f"{where}: came through")
        print(f"  holds: {where}: {expected}", file=sys.stderr)

    def awake(self, ends):
        """The gateway asks for its neighbours when it needs them, and drops what comes before the answer."""
        def arrives(sender, far, out):
            mark = self.mark()
            sender.send(packet("udp 53", ends, out, mark))
            return self.seen(far, lambda found: mark in found, 0.2)
        wait_for(10, "the way to the router", lambda: arrives(self.host, self.segment, True))
        wait_for(10, "the way to the host", lambda: arrives(self.router, self.host, False))


def main():
    matrix = Matrix(*sys.argv[1:5])
    for six in (0, 1):
        matrix.awake((HOST[six], DNS[six]))
        for what, far, kind, goes, comes in CASES:
            if far[six] is None:
                continue
            matrix.run(what, (HOST[six], far[six]), kind, True, goes)
            matrix.run(what, (HOST[six], far[six]), kind, False, comes)
    leaked = drop(matrix.control.counters(), "clear-refused")
    check(leaked == 0, f"the last guard had to refuse {leaked} packets")


main()
