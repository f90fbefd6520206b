#!/usr/bin/python3
"""IPv6 extension headers and fragments on the wire, outside and inside of tunnels, judged by scapy.

    ipv6_oracle.py configuration
    ipv6_oracle.py judge PEER-NS HOST-NS GATEWAY-NS SOCKET

Ports are found behind hop-by-hop options, routing headers, destination options and atomic fragment headers, as many as eight
and 512 octets of them (RFC 4301 section 4.4.1.1, RFC 8200 section 4); a longer chain, one out of order, and a first fragment
that does not show its ports (RFC 7112) are dropped by name, each alone. Fragments of hosts go through tunnels as they
are, unless a tunnel selects by ports that later ones do not show. ESP behind extension headers is taken, ESP in fragments is put
together in whatever order they come, and what is cut behind encryption here is put together there.
"""
import itertools
import logging
import struct
import sys

from esp_oracle import HOST, OUTER, PORT, Tunnel
from judge import Control, Wire, check, drops_since, mac_of, wait_for

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.all import UDP, IPv6, Raw, raw  # noqa: E402

OURS, PEER = OUTER[6]
# One that takes everything, one that takes one port, one whose packets are cut behind encryption.
WIDE, NARROW, CUT = (Tunnel(number, 6, 6, False, "aes128gcm16") for number in (1, 2, 3))
HOPS, ROUTING, FRAGMENT, ESP, DESTINATION = 0, 43, 44, 50, 60
# What the networks behind the peer begin with.
BEHIND = bytes.fromhex("fd000001")
# RFC 8200: options that say nothing, a route without places to go, and a fragment that is the whole.
BODY = {HOPS: bytes([0, 1, 4, 0, 0, 0, 0]), DESTINATION: bytes([0, 1, 4, 0, 0, 0, 0]), ROUTING: bytes(7), FRAGMENT: bytes(7)}


def configuration():
    print('''interface.wan = { device = "af_packet:wan0", addresses = ["192.0.2.2/24", "2001:db8::2/64"] }
interface.lan = { device = "af_packet:lan0", addresses = ["10.2.0.1/24", "fd00:2::1/64"] }''')
    one_port = NARROW.toml().replace('::/64"]', f'::/64 udp/{PORT}"]')
    print(WIDE.toml() + one_port + CUT.toml() + f"[tunnel.{CUT.name}.packets]\nencapsulated-ip-mtu = 1280")


def chained(kinds, last, rest):
    """(first next header, octets): headers of these kinds in front of `rest`, which is of protocol `last`."""
    following = list(kinds[1:]) + [last]
    return (kinds[0] if kinds else last), b"".join(bytes([next_]) + BODY[kind] for kind, next_ in zip(kinds, following)) + rest


def packet(source, destination, kinds, last, rest, hops=64):
    first, octets = chained(kinds, last, rest)
    return raw(IPv6(src=source, dst=destination, nh=first, hlim=hops) / Raw(octets))


def datagram(source, destination, port=PORT, octets=40):
    """UDP, with the checksum that belongs to it."""
    return raw(IPv6(src=source, dst=destination) / UDP(sport=port, dport=port) / Raw(bytes(octets)))[40:]


def pieces(source, destination, protocol, octets, cuts, number, before=()):
    """Fragments of what follows the IPv6 header, cut at these places, behind headers that each of them has."""
    bounds = [0, *cuts, len(octets)]
    made = []
    for start, end in zip(bounds, bounds[1:]):
        head = struct.pack("!BBHI", protocol, 0, start | (end < len(octets)), number)
        made.append(packet(source, destination, before, FRAGMENT, head + octets[start:end]))
    return made


def whole_of(fragments):
    """The packet that these are of; no header of theirs but the fragment header is expected."""
    offset = lambda one: struct.unpack("!H", one[42:44])[0] & ~7
    parts = sorted(fragments, key=offset)
    check([offset(one) for one in parts] == [sum(len(part) - 48 for part in parts[:at]) for at in range(len(parts))], "fragments with a hole")
    return packet(OURS, PEER, (), parts[0][40], b"".join(one[48:] for one in parts))


def hop_later(octets):
    return octets[:7] + bytes([octets[7] - 1]) + octets[8:]


def is_esp_of(tunnel):
    return lambda found: found[0] >> 4 == 6 and found[6] == ESP and found[40:44] == struct.pack("!I", tunnel.spis[1])


class Judge:
    def __init__(self, peer, host, gateway, path):
        self.control = Control(path)
        self.peer = Wire(peer, "wan0", mac_of(gateway, "wan0"))
        self.host = Wire(host, "eth0", mac_of(gateway, "lan0"))

    def awake(self):
        """Neighbours are asked for when they are needed, and what comes before the answer is dropped."""
        def reaches():
            self.peer.send(WIDE.encrypt(WIDE.datagram(b"awake"), WIDE.next_sequence()))
            return any(self.host.receive(lambda came: 0 if came else 0.1, lambda found: b"awake" in found))
        def leaves():
            self.host.send(packet(HOST[6], WIDE.peer, (), 17, datagram(HOST[6], WIDE.peer)))
            return any(self.peer.receive(lambda came: 0 if came else 0.1, is_esp_of(WIDE)))
        wait_for(10, "the way to the host", reaches)
        wait_for(10, "the way to the peer", leaves)

    def arrives(self, what, packets, inner):
        """What the peer sends comes out of its tunnel as this, octet by octet, and nothing is dropped."""
        before = self.dropped()
        for one in packets:
            self.peer.send(one)
        wanted = list(map(hop_later, inner))
        got = list(self.host.receive(lambda came: 0.05 if came >= len(wanted) else 3, lambda found: found[8:12] == BEHIND and found[0] >> 4 == 6))
        check(got == wanted, f"{what}: {len(got)} came, or others")
        check(self.dropped() == before, f"{what}: {self.dropped()}")
        print(f"  holds: {what}", file=sys.stderr)

    def departs(self, what, tunnel, packets):
        """What the host sends leaves under the tunnel as it was."""
        before = self.dropped()
        for one in packets:
            self.host.send(one)
        got = list(self.peer.receive(lambda came: 0.05 if came >= len(packets) else 3, is_esp_of(tunnel)))
        inner = [raw(tunnel.decrypt(found, struct.unpack("!I", found[44:48])[0])) for found in got]
        check(inner == list(map(hop_later, packets)), f"{what}: {len(got)} came, or others")
        check(self.dropped() == before, f"{what}: {self.dropped()}")
        print(f"  holds: {what}", file=sys.stderr)

    def dropped(self):
        return {name: value for name, value in self.control.counters().items() if name.startswith("drop-") and value}

    def drops(self, reason, what, wire, *packets):
        before = self.control.counters()
        for one in packets:
            wire.send(one)
        drops_since(self.control, before, reason, len(packets))
        now = self.control.counters()
        moved = sorted(name for name in now if name.startswith("drop-") and now[name] != before[name])
        check(moved == [f"drop-{reason}"], f"{what}: {moved} moved, not {reason} alone")
        print(f"  holds: {what}: {reason}", file=sys.stderr)

    def sealed(self, tunnel, *inner):
        return [tunnel.encrypt(one, tunnel.next_sequence()) for one in inner]

    def inside(self):
        """Ports behind extension headers, both ways, in a tunnel that selects by them."""
        there, here = NARROW.peer, HOST[6]
        orders = [(), (HOPS,), (DESTINATION,), (ROUTING,), (FRAGMENT,), (HOPS, DESTINATION, ROUTING, FRAGMENT, DESTINATION),
                  *itertools.permutations((DESTINATION, ROUTING, FRAGMENT)), (HOPS, *(DESTINATION,) * 7)]
        inner = [packet(there, here, kinds, 17, datagram(there, here)) for kinds in orders]
        self.arrives(f"{len(orders)} chains of up to eight headers come out", self.sealed(NARROW, *inner), inner)
        self.departs("and go in", NARROW, [packet(here, there, kinds, 17, datagram(here, there)) for kinds in orders])
        # RFC 8200 section 4.2: PadN, twice, because one pads 257 octets at most.
        long = bytes([17, 512 // 8 - 1, 1, 251]) + bytes(251) + bytes([1, 255]) + bytes(255)
        full = raw(IPv6(src=there, dst=here, nh=DESTINATION) / Raw(long + datagram(there, here)))
        self.arrives("options of 512 octets come out", self.sealed(NARROW, full), [full])
        for what, kinds, last in (("nine headers", (DESTINATION,) * 9, 17), ("hop-by-hop options behind others", (DESTINATION, HOPS), 17),
                                  ("two fragment headers", (FRAGMENT, FRAGMENT), 17)):
            bad = packet(there, here, kinds, last, datagram(there, here))
            self.drops("malformed-inner", f"{what} inside", self.peer, *self.sealed(NARROW, bad))
            self.drops("malformed-ip", f"{what} of a host", self.host, packet(here, there, kinds, last, datagram(here, there)))
        kinds = (HOPS, ROUTING, DESTINATION)
        other = lambda source, to: packet(source, to, kinds, 17, datagram(source, to, PORT + 1))
        self.drops("policy-error", "another port behind three headers", self.peer, *self.sealed(NARROW, other(there, here)))
        self.drops("policy-miss", "another port of a host's", self.host, other(here, there))

    def fragments_inside(self):
        """Hosts' own fragments: a tunnel that selects by addresses takes them as they are, one that selects by ports cannot."""
        cut = pieces(WIDE.peer, HOST[6], 17, datagram(WIDE.peer, HOST[6], octets=1800), (800, 1600), 7, before=(HOPS,))
        self.arrives("fragments come out as they are", self.sealed(WIDE, *cut), cut)
        cut = pieces(HOST[6], WIDE.peer, 17, datagram(HOST[6], WIDE.peer, octets=1800), (800, 1600), 8)
        self.departs("and go in", WIDE, cut)
        there, here = NARROW.peer, HOST[6]
        inward = pieces(there, here, 17, datagram(there, here, octets=1800), (800,), 9)
        outward = pieces(here, there, 17, datagram(here, there, octets=1800), (800,), 10)
        self.drops("policy-error", "a later fragment where ports count", self.peer, *self.sealed(NARROW, inward[1]))
        self.drops("policy-miss", "a host's later fragment", self.host, outward[1])
        self.arrives("the first one shows them", self.sealed(NARROW, inward[0]), [inward[0]])
        # RFC 7112: the whole chain belongs into the first fragment.
        headless = struct.pack("!BBHI", DESTINATION, 0, 1, 11) + bytes([17, *BODY[DESTINATION]])
        self.drops("malformed-inner", "a first fragment without ports", self.peer, *self.sealed(WIDE, packet(WIDE.peer, here, (), FRAGMENT, headless)))
        self.drops("malformed-ip", "the same of a host", self.host, packet(here, WIDE.peer, (), FRAGMENT, headless))

    def outside(self):
        """ESP behind extension headers and in fragments."""
        for kinds in ((DESTINATION,), (HOPS, DESTINATION, ROUTING), (FRAGMENT,), (HOPS, *(DESTINATION,) * 7)):
            inner = WIDE.datagram(bytes(kinds) * 9)
            esp, = self.sealed(WIDE, inner)
            self.arrives(f"ESP behind {len(kinds)} headers", [packet(PEER, OURS, kinds, ESP, esp[40:])], [inner])
        self.drops("malformed-ip", "ESP behind nine", self.peer, packet(PEER, OURS, (DESTINATION,) * 9, ESP, self.sealed(WIDE, WIDE.datagram(b"nine"))[0][40:]))
        number = itertools.count(100)
        together = lambda: self.control.counters()["reassembled"]
        before = together()
        for order in itertools.permutations(range(3)):
            inner = WIDE.datagram(bytes([sum(order)]) * 1200)
            cut = pieces(PEER, OURS, ESP, self.sealed(WIDE, inner)[0][40:], (400, 1000), next(number))
            self.arrives(f"ESP in three fragments, {order}", [cut[at] for at in order], [inner])
        inner = WIDE.datagram(bytes(1200))
        cut = pieces(PEER, OURS, ESP, self.sealed(WIDE, inner)[0][40:], (640,), next(number), before=(HOPS, DESTINATION))
        self.arrives("each behind options, one twice", [cut[1], cut[1], cut[0]], [inner])
        check(together() == before + 7, f"{together() - before} datagrams were put together")

    def cut(self):
        """What is too large for the path is cut behind encryption."""
        for octets in (1300, 1390):
            whole = packet(HOST[6], CUT.peer, (DESTINATION,), 17, datagram(HOST[6], CUT.peer, octets=octets))
            self.host.send(whole)
            got = list(self.peer.receive(lambda came: 0.2 if came >= 2 else 3, lambda found: found[0] >> 4 == 6 and found[6] == FRAGMENT))
            check(len(got) == 2 and all(len(one) <= 1280 for one in got), f"{octets}: pieces of {list(map(len, got))}")
            sealed = whole_of(got)
            inner = raw(CUT.decrypt(sealed, struct.unpack("!I", sealed[44:48])[0]))
            check(inner == hop_later(whole), f"{octets}: another packet came")
        print("  holds: what is cut here is put together there", file=sys.stderr)


def judge(*where):
    one = Judge(*where)
    one.awake()
    one.inside()
    one.fragments_inside()
    one.outside()
    one.cut()


if __name__ == "__main__":
    if sys.argv[1:2] == ["configuration"]:
        configuration()
    else:
        judge(*sys.argv[2:6])
