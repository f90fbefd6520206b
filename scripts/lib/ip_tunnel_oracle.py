#!/usr/bin/python3
"""What ip-tunnels put on the wire and take from it, judged by scapy's GRE and IP, which share no code with ravelind.

    ip_tunnel_oracle.py configuration WORKERS
    ip_tunnel_oracle.py judge PEER-NS HOST-NS GATEWAY-NS SOCKET COUNT

Scapy is the peer at gateway A and the host behind gateway B. Every tunnel leads to a network of its own, named by its
number.
"""
import logging
import random
import sys

from judge import Control, Wire, check, drops_since, mac_of

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.all import GRE, IP, UDP, IPv6, Raw, fragment, raw  # noqa: E402

#        name, IPv6 outside, GRE, key sent, key received
TUNNELS = [("ipip4", False, False, None, None), ("ipip6", True, False, None, None),
           ("gre4", False, True, None, None), ("gre6", True, True, None, None),
           ("keyed4", False, True, 7, 4294967295), ("keyed6", True, True, 0, 1)]
PEER, OURS = ("192.0.2.1", "2001:db8::1"), ("192.0.2.2", "2001:db8::2")
HOST = ("10.2.0.2", "fd00:2::2")
SIZE = 1400  # what a tunnel's outer packet has at most


def far(number, six):
    return f"fd5{number}::9" if six else f"10.5{number}.0.9"


def configuration(workers):
    print(f'''interface.wan = {{ device = "af_packet:wan0", addresses = ["192.0.2.2/24", "2001:db8::2/64"] }}
interface.lan = {{ device = "af_packet:lan0", addresses = ["10.2.0.1/24", "fd00:2::1/64"] }}
[workers]
count = {workers}
cores = {[0, 0][:workers]}''')
    for number, (name, six, gre, send, receive) in enumerate(TUNNELS):
        keys = "".join(f"{word} = {key}\n" for word, key in (("send-key", send), ("receive-key", receive)) if key is not None)
        print(f'''[ip-tunnel.{name}]
local = "{OURS[six]}"
remote = "{PEER[six]}"
gre-header = {str(gre).lower()}
{keys}addresses = ["10.9.{number}.1/30"]
dest-ip = ["10.9.{number}.2"]
packets = {{ encapsulated-ip-mtu = {SIZE}, outer-df = "clear" }}
[[route]]
destination = "10.5{number}.0.0/16"
ip-tunnel = "{name}"
[[route]]
destination = "fd5{number}::/64"
ip-tunnel = "{name}"''')


def inner(source, destination, mark, octets):
    head = IPv6(src=source, dst=destination) if ":" in source else IP(src=source, dst=destination)
    return head / UDP(sport=7000, dport=7001) / Raw(mark + bytes(octets))


def outer(tunnel, payload, source=None, **bits):
    """A packet as the peer sends it."""
    _, six, gre, _, key = tunnel
    head = IPv6(src=source or PEER[1], dst=OURS[1]) if six else IP(src=source or PEER[0], dst=OURS[0])
    if not gre:
        return head / payload
    keyed = {} if key is None else {"key_present": 1, "key": key}
    return head / GRE(**{**keyed, **bits}) / payload


def run(configuration, judged):
    """What such a judge is called for: its configuration, or all that it holds a gateway to."""
    if sys.argv[1] == "configuration":
        return configuration(int(sys.argv[2]))
    random.seed(seed := random.randrange(1 << 32))
    print(f"    seed {seed}", file=sys.stderr)
    judge = judged(*sys.argv[2:7])
    judge.awake()
    judge.both_ways()
    judge.pieces()
    judge.refused()
    judge.shown()


class Judge:
    def __init__(self, peer, host, gateway, path, count):
        self.control = Control(path)
        self.peer = Wire(peer, "wan0", mac_of(gateway, "wan0"))
        self.host = Wire(host, "eth0", mac_of(gateway, "lan0"))
        self.count = int(count)
        self.number = 0

    def mark(self):
        self.number += 1
        return b"ravelin ip-tunnel %06d" % self.number

    def first(self, wire, wanted, seconds=5):
        return next(wire.receive(lambda came: seconds, wanted), None)

    def goes(self, number, tunnel, packet, seconds=5):
        """From the host to the peer: the headers asked for, and the packet a hop later."""
        name, six, gre, key, _ = tunnel
        mark = bytes(packet[Raw].load)[:24]
        self.host.send(raw(packet))
        found = self.first(self.peer, lambda found: mark in found, seconds)
        if found is None:
            return False
        came = (IPv6 if six else IP)(found)
        check((came.src, came.dst) == (OURS[six], PEER[six]), f"{name}: {came.summary()}")
        check((came.hlim if six else came.ttl) == 255, f"{name}: TTL")
        if gre:
            head = came[GRE]
            check((head.chksum_present, head.seqnum_present, head.routing_present, head.version) == (0, 0, 0, 0), f"{name}: flags")
            check((head.key if head.key_present else None) == key, f"{name}: key {head.key} for {key}")
            check(head.proto == (0x86DD if IPv6 in packet else 0x0800), f"{name}: payload type {head.proto:#x}")
            check(raw(head.payload) == self.later(packet), f"{name}: the packet inside is another")
        else:
            check(raw(came.payload) == self.later(packet), f"{name}: the packet inside is another")
        return True

    def later(self, packet):
        packet = packet.copy()
        if IPv6 in packet:
            packet[IPv6].hlim -= 1
        else:
            packet[IP].ttl -= 1
            del packet[IP].chksum
        return raw(packet)

    def comes(self, tunnel, packet, pieces=None):
        """From the peer to the host: the packet a hop later."""
        mark = bytes(packet[Raw].load)[:24]
        for piece in pieces or [outer(tunnel, packet)]:
            self.peer.send(raw(piece))
        found = self.first(self.host, lambda found: mark in found)
        check(found == self.later(packet), f"{tunnel[0]}: what comes out is {found and found.hex()}")

    def awake(self):
        """The gateway asks for its neighbours when it needs them, and drops what comes before the answer."""
        for number, tunnel in enumerate(TUNNELS[:2]):
            packet = lambda: inner(HOST[0], far(number, 0), self.mark(), 8)
            check(any(self.goes(number, tunnel, packet(), 0.3) for _ in range(30)), f"{tunnel[0]}: nothing leaves")
        for six in (0, 1):
            ends = (far(0, six), HOST[six])
            def arrives():
                mark = self.mark()
                self.peer.send(raw(outer(TUNNELS[0], inner(*ends, mark, 8))))
                return self.first(self.host, lambda found: mark in found, 0.3)
            check(any(arrives() for _ in range(30)), f"nothing comes out to {ends[1]}")

    def both_ways(self):
        for number, tunnel in enumerate(TUNNELS):
            room = SIZE - (40 if tunnel[1] else 20) - (4 if tunnel[2] else 0) - (4 if tunnel[3] is not None else 0)
            for at in range(self.count):
                six = at & 1
                octets = random.randrange(0, room - 24 - (48 if six else 28)) if at > 1 else room - 24 - (48 if six else 28)
                check(self.goes(number, tunnel, inner(HOST[six], far(number, six), self.mark(), octets)), f"{tunnel[0]}: lost")
                self.comes(tunnel, inner(far(number, six), HOST[six], self.mark(), octets))
        print(f"  holds: {len(TUNNELS)} tunnels, {self.count} packets each way in each", file=sys.stderr)

    def pieces(self):
        """Larger than fits: the gateway cuts its outer packets, or puts the peer's together."""
        for number, tunnel in enumerate(TUNNELS):
            if tunnel[1]:
                continue
            packet = inner(far(number, 0), HOST[0], self.mark(), 1400)
            self.comes(tunnel, packet, fragment(IP(raw(outer(tunnel, packet))), 800))
            mark = self.mark()
            self.host.send(raw(inner(HOST[0], far(number, 0), mark, 1400)))
            found = list(self.peer.receive(lambda came: 5 if came < 2 else 0, lambda found: found[9] in (4, 47)))
            check(len(found) == 2 and all(len(one) <= SIZE for one in found), f"{tunnel[0]}: cut into {[len(one) for one in found]}")
        print("  holds: outer fragments both ways", file=sys.stderr)

    def refused(self):
        """Each mistake moves one counter, and nothing arrives."""
        gre, keyed = TUNNELS[2], TUNNELS[4]
        fine = lambda number=2: inner(far(number, 0), HOST[0], self.mark(), 40)
        cases = [
            ("another key", "gre-key", outer(keyed, fine(4), key=7)),
            ("no key of two tunnels", "ip-tunnel-source", outer(keyed, fine(4), key_present=0)),
            ("version 1", "gre-header", outer(gre, fine(), version=1)),
            ("routing", "gre-header", outer(gre, fine(), routing_present=1)),
            ("a wrong checksum", "gre-header", outer(gre, fine(), chksum_present=1, chksum=0x1234)),
            ("bridged Ethernet", "gre-header", outer(gre, fine(), proto=0x6558)),
            ("a stranger", "ip-tunnel-miss", outer(gre, fine(), source="192.0.2.99")),
            ("another tunnel's network", "ip-tunnel-source", outer(gre, fine(0))),
            ("a packet cut short", "malformed-inner", outer(gre, Raw(raw(fine())[:30]), proto=0x0800)),
            ("IPv6 that is IPv4", "malformed-inner", outer(gre, Raw(raw(fine())), proto=0x86DD)),
            ("congestion unheard of", "ecn-invalid", IP(src=PEER[0], dst=OURS[0], tos=3) / GRE() / fine()),
        ]
        for what, reason, packet in cases:
            before = self.control.counters()
            self.peer.send(raw(packet))
            drops_since(self.control, before, reason, 1)
            now = self.control.counters()
            moved = [name for name in now if name.startswith("drop-") and now[name] != before[name]]
            check(moved == [f"drop-{reason}"], f"{what}: {moved} moved")
            found = self.first(self.host, lambda found: b"ravelin ip-tunnel" in found, 0.02)
            check(found is None, f"{what}: came through")
        # What a peer may add: a right checksum, and numbers that nobody looks at.
        self.comes(gre, packet := fine(), [outer(gre, packet, chksum_present=1)])
        self.comes(gre, packet := fine(), [outer(gre, packet, seqnum_present=1, sequence_number=9)])
        print(f"  holds: {len(cases)} mistakes, each under its own name", file=sys.stderr)

    def shown(self):
        rows = {row["name"]: row for row in self.control.call("show.ip-tunnels", {})["ip_tunnels"]}
        for name, *_ in TUNNELS:
            row = rows[name]
            check(row["up"] and row["in_packets"] >= self.count and row["out_packets"] >= self.count, f"{name} shows {row}")
        wrong = rows["gre4"]["in_errors"] + rows["keyed4"]["in_errors"]
        check(wrong > 0, "a wrong key is counted with a tunnel between these ends")


if __name__ == "__main__":
    run(configuration, Judge)
