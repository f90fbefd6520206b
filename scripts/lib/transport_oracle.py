#!/usr/bin/python3
"""GRE and IP in IP under ESP in transport mode, judged by scapy's ESP and GRE, which share no code with ravelind.

    transport_oracle.py configuration WORKERS
    transport_oracle.py judge PEER-NS HOST-NS GATEWAY-NS SOCKET COUNT

Manual keys. Every ip-tunnel leads to networks of its own and is under an SA of its own, told apart by protocol; each SA has
another suite (RFC 4303 section 3.1.1, RFC 4301 section 4.1). Scapy is the peer at gateway A and the host behind gateway B.
"""
import logging
import random
import struct
import sys

from cryptography.exceptions import InvalidTag
from esp_oracle import Suite, WithNumber
from ip_tunnel_oracle import HOST, OURS, PEER, inner, run
from judge import Control, Wire, check, drops_since, mac_of

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.all import ESP, GRE, IP, UDP, IPv6, Raw, fragment, raw  # noqa: E402
from scapy.layers.ipsec import IPSecIntegrityError, SecurityAssociation  # noqa: E402

GRE_PROTOCOL, V4, V6 = 47, 4, 41
#      name, IPv6 outside, protocol, suite, extended numbers
SAS = [("gre4", False, GRE_PROTOCOL, "aes128gcm16", True), ("four4", False, V4, "aes256-sha256", False),
       ("six4", False, V6, "chacha20poly1305", True), ("gre6", True, GRE_PROTOCOL, "aes256gcm16", False),
       ("four6", True, V4, "null-sha1", False), ("six6", True, V6, "aes128gmac", True)]
# Of ip-tunnels: name, IPv6 outside, GRE.
IP_TUNNELS = [("gre4", False, True), ("ipip4", False, False), ("gre6", True, True), ("ipip6", True, False)]
HEADER = {False: IP, True: IPv6}


def far(number, six):
    return f"fd6{number}::9" if six else f"10.6{number}.0.9"


class Association:
    """One SA as both sides know it; scapy's mode without a tunnel header is transport."""

    def __init__(self, number, name, outer6, protocol, suite, esn):
        self.number, self.name, self.outer6, self.protocol, self.esn = number, name, outer6, protocol, esn
        self.suite, draw = Suite(suite), random.Random(number + 77)
        self.keys = [draw.randbytes(self.suite.key) for _ in range(2)]
        self.hash_keys = [draw.randbytes(self.suite.hash_key) for _ in range(2)]
        self.spis = [3000 + number, 4000 + number]
        self.sent, self.seen = 0, 0

    def toml(self):
        local, remote = OURS[self.outer6], PEER[self.outer6]
        keys = [f'{direction}-{kind} = "{keys[at].hex()}"' for at, direction in enumerate(("inbound", "outbound"))
                for kind, keys in (("key", self.keys), ("integrity-key", self.hash_keys)) if keys[at]]
        return "\n".join([f"[tunnel.{self.name}]", 'mode = "transport"', f'local = "{local}"', f'remote = "{remote}"',
                          f'local-ts = ["{local}/{128 if self.outer6 else 32} {self.protocol}"]',
                          f'remote-ts = ["{remote}/{128 if self.outer6 else 32} {self.protocol}"]',
                          f"[tunnel.{self.name}.manual]", f'suite = "{self.suite.name}"', f"inbound-spi = {self.spis[0]}",
                          f"outbound-spi = {self.spis[1]}", *keys, f"extended-sequence-number = {str(self.esn).lower()}",
                          "replay-window = 1024"])

    def _scapy(self, direction, sequence):
        more = {"esn_en": True, "esn": sequence >> 32} if self.esn else {}
        made = SecurityAssociation(ESP, spi=self.spis[direction], crypt_algo=self.suite.cipher, crypt_key=self.keys[direction],
                                   auth_algo=self.suite.hash, auth_key=self.hash_keys[direction], **more)
        if self.esn and self.suite.hash:
            made.auth_algo = WithNumber(made.auth_algo, struct.pack("!L", sequence >> 32))
        return made, more

    def encrypt(self, packet, sequence=None):
        if sequence is None:
            self.sent += 1
            sequence = self.sent
        association, more = self._scapy(0, sequence)
        association.seq_num = sequence & 0xFFFFFFFF
        return raw(association.encrypt(HEADER[self.outer6](raw(packet)), **more))

    def decrypt(self, packet):
        header = 40 if self.outer6 else 20
        spi, sequence = struct.unpack("!II", packet[header:header + 8])
        check(spi == self.spis[1], f"{self.name}: SPI {spi}")
        check(sequence > self.seen, f"{self.name}: sequence {sequence} after {self.seen}")
        self.seen = sequence
        association, more = self._scapy(1, sequence)
        try:
            return association.decrypt(HEADER[self.outer6](packet[:header]) / ESP(packet[header:]), **more)
        except (IPSecIntegrityError, InvalidTag) as error:
            check(False, f"{self.name}: sequence {sequence} does not decrypt: {error!r}")


def associations():
    return [Association(number, *sa) for number, sa in enumerate(SAS)]


def configuration(workers):
    print(f'''interface.wan = {{ device = "af_packet:wan0", addresses = ["192.0.2.2/24", "2001:db8::2/64"] }}
interface.lan = {{ device = "af_packet:lan0", addresses = ["10.2.0.1/24", "fd00:2::1/64"] }}
[workers]
count = {workers}
cores = {[0, 0][:workers]}''')
    for number, (name, six, gre) in enumerate(IP_TUNNELS):
        print(f'''[ip-tunnel.{name}]
local = "{OURS[six]}"
remote = "{PEER[six]}"
gre-header = {str(gre).lower()}
packets = {{ outer-df = "clear" }}
[[route]]
destination = "10.6{number}.0.0/16"
ip-tunnel = "{name}"
[[route]]
destination = "fd6{number}::/64"
ip-tunnel = "{name}"''')
    for association in associations():
        print(association.toml())


class Judge:
    def __init__(self, peer, host, gateway, path, count):
        self.control = Control(path)
        self.peer = Wire(peer, "wan0", mac_of(gateway, "wan0"))
        self.host = Wire(host, "eth0", mac_of(gateway, "lan0"))
        self.count, self.number = int(count), 0
        self.of = {(sa.outer6, sa.protocol): sa for sa in associations()}

    def mark(self):
        self.number += 1
        return b"ravelin transport %06d" % self.number

    def first(self, wire, wanted, seconds=5):
        return next(wire.receive(lambda came: seconds, wanted), None)

    def association(self, tunnel, six):
        _, outer6, gre = tunnel
        return self.of[outer6, GRE_PROTOCOL if gre else (V6 if six else V4)]

    @staticmethod
    def later(packet):
        packet = packet.copy()
        if IPv6 in packet:
            packet[IPv6].hlim -= 1
        else:
            packet[IP].ttl -= 1
            del packet[IP].chksum
        return raw(packet)

    def outer(self, tunnel, payload, **fields):
        _, six, gre = tunnel
        head = IPv6(src=PEER[1], dst=OURS[1], **fields) if six else IP(src=PEER[0], dst=OURS[0], **fields)
        return head / GRE() / payload if gre else head / payload

    def comes(self, tunnel, packet, pieces=None):
        sa = self.association(tunnel, IPv6 in packet)
        for sealed in pieces or [sa.encrypt(self.outer(tunnel, packet))]:
            self.peer.send(sealed)
        mark = bytes(packet[Raw].load)[:24]
        found = self.first(self.host, lambda found: mark in found)
        check(found == self.later(packet), f"{tunnel[0]}: what comes out is {found and found.hex()}")

    def goes(self, tunnel, packet, seconds=5):
        """From the host to the peer: one ESP packet, with the ip-tunnel's own header in front, and nothing else in it than
        what was behind that."""
        name, six, gre = tunnel
        sa = self.association(tunnel, IPv6 in packet)
        self.host.send(raw(packet))
        is_esp = lambda found: (found[6] if six else found[9]) == 50 and found[40 if six else 20:][:4] == struct.pack("!I", sa.spis[1])
        mark = bytes(packet[Raw].load)[:24]
        for found in self.peer.receive(lambda came: seconds, is_esp):
            opened = sa.decrypt(found)
            if mark in raw(opened):
                break  # what comes before are the host's answers to what it has got
        else:
            return False
        came = (IPv6 if six else IP)(found)
        check((came.src, came.dst) == (OURS[six], PEER[six]), f"{name}: {came.summary()}")
        check((came.hlim if six else came.ttl) == 255, f"{name}: TTL")
        if not six:
            whole = IP(found)
            del whole.chksum
            check(raw(whole) == found, f"{name}: the header's checksum")
        check((opened.nh if six else opened.proto) == sa.protocol, f"{name}: protocol {opened.summary()}")
        inside = opened[GRE].payload if gre else opened.payload
        check(raw(inside) == self.later(packet), f"{name}: inside is {raw(inside).hex()} and not {self.later(packet).hex()}")
        return True

    def awake(self):
        """The gateway asks for its neighbours when it needs them, and drops what comes before the answer."""
        for number in (0, 2):
            tunnel = IP_TUNNELS[number]
            self.host_speaks(tunnel, number)
        for six in (0, 1):
            def arrives():
                mark = self.mark()
                packet = inner(far(0, six), HOST[six], mark, 8)
                self.peer.send(self.association(IP_TUNNELS[0], six).encrypt(self.outer(IP_TUNNELS[0], packet)))
                return self.first(self.host, lambda found: mark in found, 0.3)
            check(any(arrives() for _ in range(30)), f"nothing comes out to {HOST[six]}")

    def host_speaks(self, tunnel, number):
        sa = self.association(tunnel, False)
        for _ in range(30):
            mark = self.mark()
            self.host.send(raw(inner(HOST[0], far(number, 0), mark, 8)))
            header = 40 if sa.outer6 else 20
            found = self.first(self.peer, lambda found: found[header:][:4] == struct.pack("!I", sa.spis[1]), 0.3)
            if found:
                sa.seen = struct.unpack("!I", found[header + 4:header + 8])[0]
                return
        check(False, f"{tunnel[0]}: nothing leaves")

    def both_ways(self):
        for number, tunnel in enumerate(IP_TUNNELS):
            for at in range(2 * self.count):
                six = at & 1
                octets = random.randrange(0, 1280)
                check(self.goes(tunnel, inner(HOST[six], far(number, six), self.mark(), octets)), f"{tunnel[0]}: lost")
                self.comes(tunnel, inner(far(number, six), HOST[six], self.mark(), octets))
        print(f"  holds: {len(IP_TUNNELS)} ip-tunnels under {len(SAS)} suites, {2 * self.count} packets each way in each", file=sys.stderr)

    def pieces(self):
        """Behind encryption the peer may cut: ESP is put together before it is opened."""
        tunnel = IP_TUNNELS[0]
        packet = inner(far(0, 0), HOST[0], self.mark(), 1400)
        sealed = self.of[False, GRE_PROTOCOL].encrypt(self.outer(tunnel, packet))
        self.comes(tunnel, packet, [raw(piece) for piece in fragment(IP(sealed), 800)])
        print("  holds: fragments of ESP", file=sys.stderr)

    def refused(self):
        """Each mistake moves one counter, and nothing arrives."""
        gre, sa = IP_TUNNELS[0], self.of[False, GRE_PROTOCOL]
        fine = lambda: inner(far(0, 0), HOST[0], self.mark(), 40)
        good = sa.encrypt(self.outer(gre, fine()))
        forged = good[:-1] + bytes([good[-1] ^ 1])
        as_udp = IP(src=PEER[0], dst=OURS[0]) / UDP(sport=1, dport=2) / Raw(b"not GRE")
        key = IP(src=PEER[0], dst=OURS[0]) / GRE(key_present=1, key=5) / fine()
        cases = [
            ("in clear", "unprotected", raw(self.outer(gre, fine()))),
            ("IP in IP in clear", "unprotected", raw(self.outer(IP_TUNNELS[1], fine()))),
            ("an altered tag", "bad-icv", forged),
            ("another protocol than agreed on", "policy-error", sa.encrypt(as_udp)),
            ("a GRE key nobody has", "gre-key", sa.encrypt(key)),
            ("another tunnel's network", "ip-tunnel-source", sa.encrypt(self.outer(gre, inner(far(1, 0), HOST[0], self.mark(), 40)))),
            ("congestion unheard of", "ecn-invalid", sa.encrypt(self.outer(gre, fine(), tos=3))),
            ("a stranger's address", "ip-mismatch", self.from_elsewhere(sa.encrypt(self.outer(gre, fine())))),
        ]
        for what, reason, packet in cases:
            self.one_refused(what, reason, packet)
        self.peer.send(good)
        check(self.first(self.host, lambda found: b"ravelin transport" in found), "what was sealed before does not come")
        self.one_refused("a replay", "replay-duplicate", good)
        print(f"  holds: {len(cases) + 1} mistakes, each under its own name", file=sys.stderr)

    def one_refused(self, what, reason, packet):
        before = self.control.counters()
        self.peer.send(packet)
        drops_since(self.control, before, reason, 1)
        now = self.control.counters()
        moved = [name for name in now if name.startswith("drop-") and now[name] != before[name]]
        check(moved == [f"drop-{reason}"], f"{what}: {moved} moved")
        found = self.first(self.host, lambda found: b"ravelin transport" in found, 0.02)
        check(found is None, f"{what}: came through")

    @staticmethod
    def from_elsewhere(sealed):
        packet = IP(sealed)
        packet.src = "192.0.2.77"
        del packet.chksum
        return raw(packet)

    def shown(self):
        rows = [row for row in self.control.call("show.sa")["sas"]]
        check(len(rows) == 2 * len(SAS) and all(row["mode"] == "transport" for row in rows), f"show sa: {rows}")
        entries = self.control.call("show.policy")
        names = {row["name"] for instance in entries["instances"] for row in instance["before_tunnels"]}
        check(names == {f"tunnel.{sa[0]}.{sa[0]}" for sa in SAS}, f"show policy: {names}")


if __name__ == "__main__":
    run(configuration, Judge)
