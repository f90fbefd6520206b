#!/usr/bin/python3
"""Each reason for which a packet is dropped, provoked from a wire by scapy: that counter moves, and no other.

    drops_oracle.py configuration           prints ravelind's configuration
    drops_oracle.py judge PEER-NS HOST-NS GATEWAY-NS SOCKET

Scapy is the peer at gateway A, a neighbour on the public segment, and the host behind gateway B. A reason without a case
here must say in ELSEWHERE where it is shown, so that none is added without being seen. At the end the ledger of
docs/counters.md is even: nothing came that did not go somewhere.
"""
import logging
import struct
import sys

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from esp_oracle import PORT, Tunnel
from judge import Control, Wire, check, drop, drops_since, mac_of, wait_for

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.all import ESP, ICMP, IP, UDP, Dot1Q, Ether, IPv6, IPv6ExtHdrFragment, Raw, raw  # noqa: E402

PEER, OURS = ("192.0.2.1", "2001:db8::1"), ("192.0.2.2", "2001:db8::2")
HOST = ("10.2.0.2", "fd00:2::2")
ROUTER, NOBODY = "192.0.2.1", "192.0.2.250"
# The end of a tunnel that answers its peer alone.
CLOSED = "192.0.2.3"
# Of the gateway: a tunnel for the attacks, one at the end of its numbers, one that has no SA.
ATTACKED = Tunnel(1, 4, 4, False, "aes128gcm16")
LAST = Tunnel(2, 4, 4, False, "aes128gcm16", first=(1 << 32) - 2)
WITHOUT = "10.1.3.2"
# How long a datagram may stay incomplete, and how many one source may have.
REASSEMBLY = 2
SHARE = 64

# Not from this wire. What is shown nowhere yet says so: nothing that can be sent here leads there.
ELSEWHERE = {
    "malformed-ethernet": "not shown: the kernel takes a frame with half a VLAN tag before a packet socket sees it",
    "overload": "ravelin-overload.sh",
    "no-room": "not shown: buffers have the room", "burst-full": "not shown: bursts have the room",
    "punt-ike-full": "not shown: as punt-init-full, another ring",
    "handoff-full": "dataplane/tests/link.rs", "tx-full": "dataplane/tests/link.rs",
    "punt-init-full": "dataplane/tests/link.rs", "punt-rest-full": "dataplane/tests/link.rs",
    "no-buffer": "dataplane/src/node/reassemble/tests.rs",
    "worker-stalled": "scripts/interop/stalled-worker.sh",
    "ip-tunnel-miss": "scripts/lib/ip_tunnel_oracle.py", "gre-header": "scripts/lib/ip_tunnel_oracle.py",
    "gre-key": "scripts/lib/ip_tunnel_oracle.py", "ip-tunnel-source": "scripts/lib/ip_tunnel_oracle.py",
    "ip-tunnel-down": "scripts/interop/ip-tunnels.sh", "transport-mode": "dataplane/tests/transport.rs",
    "lifetime-expired": "dataplane/tests/rekey.rs: keys by hand have no lifetime",
    "clear-refused": "dataplane/tests/leaks.rs: the last guard, which nothing reaches from outside",
}


def configuration():
    # Groups are within its selectors, so that it is not those that refuse them.
    attacked = ATTACKED.toml().replace('local-ts = ["10.2.0.0/24"]', 'local-ts = ["10.2.0.0/24", "224.0.0.0/4"]')
    print(f'''interface.wan = {{ device = "af_packet:wan0", addresses = ["192.0.2.2/24", "{CLOSED}/24", "2001:db8::2/64"] }}
interface.lan = {{ device = "af_packet:lan0", addresses = ["10.2.0.1/24", "fd00:2::1/64"] }}
[[route]]
destination = "198.51.100.0/24"
via = "{ROUTER}"
[[route]]
destination = "203.0.113.0/24"
via = "{NOBODY}"
[[policy]]
name = "refused"
action = "discard"
remote = ["198.51.100.64/26"]
[[policy]]
name = "out"
action = "bypass"
remote = ["203.0.113.0/24", "100.64.0.0/10"]
{attacked}{LAST.toml()}[ip-tunnel.whole]
local = "2001:db8::2"
remote = "2001:db8::1"
reassembly = "none"
[tunnel.without]
local = "192.0.2.2"
remote = "192.0.2.1"
psk = "correct horse"
on-demand = false
local-ts = ["10.2.0.0/24"]
remote-ts = ["10.1.3.0/24"]
[tunnel-group.several]
mode = "multi-active"
members = [0]
[tunnel.closed]
local = "{CLOSED}"
remote = "192.0.2.9"
tunnel-group = "several"
psk = "correct horse"
on-demand = false
local-ts = ["10.2.0.0/24"]
remote-ts = ["10.1.4.0/24"]''')


def udp(source, destination, octets=40, **bits):
    head = IPv6(src=source, dst=destination, **bits) if ":" in source else IP(src=source, dst=destination, **bits)
    return head / UDP(sport=PORT, dport=PORT) / Raw(bytes(octets))


def sealed(text, sequence, **outer):
    """ESP of the attacked tunnel around any text at all, padding and trailer included (RFC 4106)."""
    key, salt = ATTACKED.keys[0][:-4], ATTACKED.keys[0][-4:]
    header, iv = struct.pack("!II", ATTACKED.spis[0], sequence), struct.pack("!Q", sequence)
    esp = header + iv + AESGCM(key).encrypt(salt + iv, text, header)
    return IP(src=PEER[0], dst=OURS[0], proto=50, **outer) / Raw(esp)


def trailed(packet, next_header=4, padding=None):
    padding = bytes(range(1, 1 + -(len(packet) + 2) % 4)) if padding is None else padding
    return packet + padding + bytes([len(padding), next_header])


def piece(number, offset, more, octets, protocol=17):
    """A fragment of an IPv6 datagram for the gateway."""
    return IPv6(src=PEER[1], dst=OURS[1]) / IPv6ExtHdrFragment(nh=protocol, id=number, offset=offset // 8, m=more) / Raw(bytes(octets))


class Judge:
    def __init__(self, peer, host, gateway, path):
        self.control = Control(path)
        self.gateway = gateway
        self.peer = Wire(peer, "wan0", mac_of(gateway, "wan0"))
        self.host = Wire(host, "eth0", mac_of(gateway, "lan0"))
        self.shown = set()

    def awake(self):
        """Neighbours are asked for when they are needed, and what comes before the answer is dropped."""
        def reaches():
            self.peer.send(ATTACKED.encrypt(ATTACKED.datagram(b"awake"), ATTACKED.next_sequence()))
            return any(self.host.receive(lambda came: 0 if came else 0.1, lambda found: b"awake" in found))
        def leaves():
            self.host.send(raw(udp(HOST[0], ATTACKED.peer)))
            return any(self.peer.receive(lambda came: 0 if came else 0.1, lambda found: found[9] == 50))
        base = drop(self.control.counters(), "bad-source")
        def known():
            self.peer.send(raw(udp(OURS[1], HOST[1])))
            return drop(self.control.counters(), "bad-source") > base
        wait_for(10, "the gateway's last address", known)
        wait_for(10, "the way to the host", reaches)
        wait_for(10, "the way to the peer", leaves)

    def frame(self, wire, packet, **bits):
        return raw(Ether(src=wire.own, dst=bits.get("dst", wire.to)) / packet)

    def drops(self, reason, what, send, least=1, seconds=5):
        """What `send` sends is dropped for this reason, and nothing for another."""
        before = self.control.counters()
        send()
        drops_since(self.control, before, reason, least, seconds)
        now = self.control.counters()
        moved = sorted(name for name in now if name.startswith("drop-") and now[name] != before[name])
        check(moved == [f"drop-{reason}"], f"{what}: {moved} moved, not {reason} alone")
        self.shown.add(reason)
        print(f"  holds: {what}: {reason}", file=sys.stderr)

    def by_peer(self, reason, what, *packets, **more):
        self.drops(reason, what, lambda: [self.peer.send(raw(packet)) for packet in packets], **more)

    def by_host(self, reason, what, *packets, **more):
        self.drops(reason, what, lambda: [self.host.send(raw(packet)) for packet in packets], **more)

    def frames(self):
        tagged = self.frame(self.peer, Dot1Q(vlan=77) / udp(PEER[0], OURS[0]))
        self.drops("unknown-interface", "a VLAN nobody has", lambda: self.peer.send_frame(tagged))
        elsewhere = self.frame(self.peer, udp(PEER[0], HOST[0]), dst="02:00:00:00:00:77")
        self.drops("other-station", "another station's frame", lambda: self.peer.send_frame(elsewhere))

    def headers(self):
        # The bridge between peer and gateway takes no such headers; the host's link is one cable.
        far = ATTACKED.peer
        self.by_host("malformed-ip", "a header of 16 octets", udp(HOST[0], far, ihl=4))
        self.by_host("malformed-ip", "a length beyond the frame", udp(HOST[0], far, len=900))
        self.by_host("malformed-ip", "IPv6 with a length beyond the frame", udp(HOST[1], PEER[1], plen=900))
        chain = IPv6(src=HOST[1], dst=PEER[1], nh=60) / Raw((bytes([60, 0]) + bytes(6)) * 180)
        self.by_host("malformed-ip", "a chain of 180 extension headers, as many as fit", chain)
        self.by_host("ip-checksum", "a wrong checksum", udp(HOST[0], far, chksum=0x1234))
        for source in ("127.0.0.1", "224.0.0.5", "255.255.255.255", OURS[0]):
            self.by_peer("bad-source", f"from {source}", udp(source, HOST[0]))
        for source in ("::1", "ff02::5", OURS[1]):
            self.by_peer("bad-source", f"from {source}", udp(source, HOST[1]))
        short = IP(src=PEER[0], dst=OURS[0]) / UDP(sport=4500, dport=4500, len=900) / Raw(bytes(40))
        self.by_peer("malformed-udp", "a length beyond the packet", short)
        self.by_host("ttl-expired", "a last hop", udp(HOST[0], ATTACKED.peer, ttl=1))
        self.by_host("ttl-expired", "none left", udp(HOST[0], ATTACKED.peer, ttl=0))

    def fragments(self):
        self.by_peer("fragment-malformed", "a piece of 12 octets before others", piece(1, 0, 1, 12))
        self.by_peer("fragment-too-long", "an end beyond 65,535 octets", piece(2, 65528, 0, 8))
        self.by_peer("fragment-overlap", "the end over the beginning", piece(3, 0, 1, 800), piece(3, 792, 0, 64), least=2)
        self.by_peer("fragment-overlap", "teardrop: the end inside the beginning", piece(4, 0, 1, 800), piece(4, 80, 0, 8), least=2)
        self.by_peer("reassembly-timeout", "a beginning without an end", piece(5, 0, 1, 800), seconds=REASSEMBLY + 5)
        for number, (offset, more) in enumerate(((0, 1), (800, 0))):
            self.by_peer("reassembly-off", f"piece {number} for an ip-tunnel without reassembly", piece(77, offset, more, 800, protocol=4))
        flood = [piece(1000 + number, 0, 1, 64) for number in range(SHARE + 8)]
        self.by_peer("reassembly-full", f"more than {SHARE} beginnings of one source", *flood, least=8)

    def security(self):
        inner = lambda **bits: raw(udp(ATTACKED.peer, HOST[0], **bits))
        fine = lambda: sealed(trailed(inner()), ATTACKED.next_sequence())
        self.by_peer("esp-length", "shorter than header and ICV", IP(src=PEER[0], dst=OURS[0], proto=50) / Raw(struct.pack("!II", ATTACKED.spis[0], 1) + bytes(8)))
        guessed = lambda spi: IP(src=PEER[0], dst=OURS[0]) / ESP(spi=spi, seq=1, data=bytes(64))
        self.by_peer("sa-miss", "every SPI below 256", *map(guessed, range(256)), least=256)
        self.by_peer("sa-miss", "an SPI that nobody has", guessed(54321))
        stranger = fine()
        stranger.src = "192.0.2.99"
        self.by_peer("ip-mismatch", "from elsewhere", stranger)
        once = fine()
        self.peer.send(raw(once))
        self.by_peer("replay-duplicate", "a second time", once)
        late = fine()
        ATTACKED.send_sequence += 3000
        self.peer.send(raw(fine()))
        self.by_peer("replay-too-old", "left of the window", late)
        altered = bytearray(raw(fine()))
        altered[-1] ^= 1
        self.by_peer("bad-icv", "an altered ICV", Raw(bytes(altered)))
        number = ATTACKED.next_sequence
        self.by_peer("bad-padding", "padding that does not count", sealed(trailed(inner(), padding=b"\x01\x03"), number()))
        self.by_peer("bad-padding", "padding beyond the packet", sealed(inner()[:-2] + bytes([250, 4]), number()))
        self.by_peer("bad-next-header", "UDP without a header of its own", sealed(trailed(inner()[20:], 17), number()))
        self.by_peer("malformed-inner", "an inner length that lies", sealed(trailed(raw(udp(ATTACKED.peer, HOST[0], len=900))), number()))
        self.by_peer("malformed-inner", "IPv4 announced, IPv6 inside", sealed(trailed(raw(udp(PEER[1], HOST[1]))), number()))
        self.by_peer("policy-error", "from outside the selectors", sealed(trailed(raw(udp("10.9.9.9", HOST[0]))), number()))
        self.by_peer("ecn-invalid", "congestion the sender does not know of", sealed(trailed(inner()), number(), tos=3))
        self.by_peer("not-forwardable", "for a group", sealed(trailed(raw(udp(ATTACKED.peer, "239.1.2.3"))), number()))

    def ways(self):
        self.by_peer("unprotected", "a tunnel's network in clear", udp(ATTACKED.peer, HOST[0]))
        self.by_peer("echo-stranger", "a ping of nobody's", IP(src=PEER[0], dst=CLOSED) / ICMP() / Raw(bytes(40)))
        self.by_host("policy-miss", "a network nothing is said of", udp(HOST[0], "198.51.100.1"))
        self.by_host("policy-discard", "a network that is refused", udp(HOST[0], "198.51.100.65"))
        self.by_host("no-route", "let out, and nowhere to go", udp(HOST[0], "100.64.0.1"))
        self.by_host("neighbour-miss", "a next hop that is not there", udp(HOST[0], "203.0.113.1"))
        self.by_host("no-sa", "a tunnel that is down", udp(HOST[0], WITHOUT))
        self.by_host("mtu-exceeded", "too large for its tunnel, and not to be cut", udp(HOST[0], ATTACKED.peer, 1472, flags="DF"))
        for _ in range(2):
            self.host.send(raw(udp(HOST[0], LAST.peer)))
        self.by_host("sequence-exhausted", "behind the last number", udp(HOST[0], LAST.peer))
        twin = Wire(self.gateway, "wan", self.peer.own)
        broken = self.frame(twin, Raw(b"\x45" + bytes(8)))[:12] + b"\x08\x00\x45" + bytes(8)
        self.drops("malformed-injected", "half a packet by the kernel's twin", lambda: twin.send_frame(broken))

    def even(self):
        """The ledger, when nothing is held any more."""
        def settled():
            now = self.control.counters()
            return now if now["held"] == 0 else None
        now = wait_for(REASSEMBLY + 5, "nothing is held", settled)
        came = sum(now[name] for name in ("received", "injected", "handed-in", "made"))
        went = sum(now[name] for name in ("transmitted", "dropped", "punted", "handed-out", "absorbed"))
        check(came == went, f"{came} came, {went} went: {now}")
        every = {name.removeprefix("drop-") for name in now if name.startswith("drop-")}
        unseen = every - self.shown - ELSEWHERE.keys()
        check(not unseen, f"no case for {sorted(unseen)}")
        check(not (self.shown | ELSEWHERE.keys()) - every, "a case for a reason that is not there")
        print(f"  holds: {len(self.shown)} reasons, each alone; {came} frames, all accounted for", file=sys.stderr)


def main():
    if sys.argv[1] == "configuration":
        return configuration()
    judge = Judge(*sys.argv[2:6])
    judge.awake()
    judge.frames()
    judge.headers()
    judge.security()
    judge.ways()
    judge.fragments()
    judge.even()


if __name__ == "__main__":
    main()
