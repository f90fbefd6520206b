#!/usr/bin/python3
"""What ESP packets carry besides their payload, and what is said of them by others, judged by scapy on jumbo links.

    marks_oracle.py configuration
    marks_oracle.py judge PEER-NS HOST-NS GATEWAY-NS SOCKET
    marks_oracle.py dummies PEER-NS HOST-NS GATEWAY-NS SOCKET    the tunnel that pads has dummy-packets now

All sixteen pairs of ECN at the end of a tunnel, and the four at its beginning (RFC 6040 sections 4.1 and 4.2); packets padded
against traffic analysis, and dummies, taken and sent (RFC 4303 sections 2.6 and 2.7); a chain of 256 IPv6 extension headers; ICMP errors that quote
packets nobody sent, and one that quotes one that was.
"""
import logging
import random
import socket
import struct
import sys
import time

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from esp_oracle import HEADER, HOST, OUTER, PORT, Judge, Tunnel
from judge import check, drop, drops_since, wait_for

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.all import ESP, ICMP, IP, UDP, ICMPv6PacketTooBig, IPv6, Raw, raw  # noqa: E402

# Plain ones of each family, and one that pads.
FOUR, SIX, PADDED = (Tunnel(1, 4, 4, False, "aes128gcm16"), Tunnel(2, 6, 6, False, "aes128gcm16"), Tunnel(3, 4, 4, False, "aes128gcm16"))
TUNNELS = (FOUR, SIX, PADDED)
PADDED_TO, DUMMIES = 1000, 20
# RFC 6040 figure 4: what comes out, by what is inside (rows) and outside (columns), both as Not-ECT, ECT(1), ECT(0), CE.
OUT = {0: {0: 0, 1: 0, 2: 0, 3: None}, 1: {0: 1, 1: 1, 2: 1, 3: 3}, 2: {0: 2, 1: 1, 2: 2, 3: 3}, 3: {0: 3, 1: 3, 2: 3, 3: 3}}


def configuration():
    print('''interface.wan = { device = "af_packet:wan0", addresses = ["192.0.2.2/24", "2001:db8::2/64"], mtu = 9000 }
interface.lan = { device = "af_packet:lan0", addresses = ["10.2.0.1/24", "fd00:2::1/64"], mtu = 9000 }''')
    for tunnel in TUNNELS:
        print(tunnel.toml())
    print(f"[tunnel.{PADDED.name}.packets]\ntfc-padding = {PADDED_TO}")


def marked(packet, ecn):
    """The packet with this ECN in its outer header."""
    outer = HEADER[4 if packet[0] >> 4 == 4 else 6](packet)
    if packet[0] >> 4 == 4:
        outer.tos, outer.chksum = ecn, None
    else:
        outer.tc = ecn
    return raw(outer)


class Marks(Judge):
    """The judge of raw ESP, over these tunnels, with a host that sees the traffic class."""

    def __init__(self, *where):
        super().__init__(*where)
        self.by_spi = {tunnel.spis[1]: tunnel for tunnel in TUNNELS}
        self.host[4].setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        self.host[6].setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)
        # The class is what is looked at here, and the only thing told besides the payload.
        self.host[4].setsockopt(socket.IPPROTO_IP, 12, 0)
        self.host[6].setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 0)

    def class_at_host(self, family, seconds=0.3):
        """The traffic class of the next datagram the host gets; None if there is none."""
        self.host[family].settimeout(seconds)
        try:
            _, extra, _, _ = self.host[family].recvmsg(65536, 256)
        except (socket.timeout, BlockingIOError):
            return None
        (_, _, value), = extra
        return value[0]

    def out_of_tunnel(self, tunnel):
        for inner in range(4):
            for outer in range(4):
                header = HEADER[tunnel.inner](tunnel.datagram(b"marked"))
                if tunnel.inner == 4:
                    header.tos, header.chksum = 0x48 | inner, None
                else:
                    header.tc = 0x48 | inner
                before = self.control.counters()
                self.wire.send(marked(tunnel.encrypt(raw(header), tunnel.next_sequence()), 0x28 | outer))
                expected = OUT[inner][outer]
                if expected is None:
                    drops_since(self.control, before, "ecn-invalid", 1)
                found = self.class_at_host(tunnel.inner, 0.2 if expected is None else 3)
                expected = None if expected is None else 0x48 | expected
                check(found == expected, f"{tunnel.name}: {inner} inside, {outer} outside: {found}, not {expected}")
        print(f"  holds: {tunnel.name}: sixteen pairs of ECN out of the tunnel", file=sys.stderr)

    def into_tunnel(self, tunnel):
        """Normal mode: the outer header has what the inner one has (RFC 6040 section 4.1)."""
        level = (socket.IPPROTO_IP, socket.IP_TOS) if tunnel.inner == 4 else (socket.IPPROTO_IPV6, socket.IPV6_TCLASS)
        for ecn in range(4):
            self.host[tunnel.inner].setsockopt(*level, 0x48 | ecn)
            self.host[tunnel.inner].sendto(b"marked", (tunnel.peer, PORT))
            packet = next(self.wire.receive(lambda came: 3, lambda found: is_esp_of(found, tunnel)))
            found = packet[1] if packet[0] >> 4 == 4 else struct.unpack("!H", packet[:2])[0] >> 4 & 0xFF
            check(found == 0x48 | ecn, f"{tunnel.name}: {ecn} went in, the outer class is {found:#x}")
        self.host[tunnel.inner].setsockopt(*level, 0)
        print(f"  holds: {tunnel.name}: the four of them into it", file=sys.stderr)

    def padded(self):
        # Taken: whatever is behind the inner packet is padding.
        for behind in (1, 2, 3, 250, 1000, 7000):
            payload = bytes([behind & 0xFF]) * 40
            inner = FOUR.datagram(payload) + random.randbytes(behind)
            self.wire.send(sealed(FOUR, inner, 4))
            self.host[4].settimeout(3)
            found = self.host[4].recv(65536)
            check(found == payload, f"{behind} octets of padding: the host got {len(found)} octets")
        print("  holds: padding behind inner packets is taken off", file=sys.stderr)
        # Sent: all of one length, and what is behind the inner packet says nothing.
        lengths = set()
        for octets in (1, 10, 500, 900):
            payload = random.randbytes(octets)
            self.host[4].sendto(payload, (PADDED.peer, PORT))
            packet = next(self.wire.receive(lambda came: 3, lambda found: is_esp_of(found, PADDED)))
            lengths.add(len(packet))
            text = opened(PADDED, packet)
            length = struct.unpack("!H", text[2:4])[0]
            check(raw(IP(text[:length])[UDP].payload) == payload, f"{octets} octets: another payload came")
            check(len(text) - 2 - text[-2] == PADDED_TO, f"{octets} octets: padded to {len(text) - 2 - text[-2]}")
            check(text[length:PADDED_TO] == bytes(PADDED_TO - length), "the padding is not of zeros")
        check(len(lengths) == 1, f"packets of lengths {lengths}")
        print(f"  holds: what leaves is padded, to {lengths} octets of ESP and its header", file=sys.stderr)

    def of_padded(self, seconds):
        """The texts of what the tunnel that pads sends in that time, and the lengths of its packets."""
        end = time.monotonic() + seconds
        came = list(self.wire.receive(lambda _: max(0, end - time.monotonic()), lambda found: is_esp_of(found, PADDED)))
        numbers = [struct.unpack("!I", packet[24:28])[0] for packet in came]
        check(numbers == list(range(numbers[0], numbers[0] + len(came))), f"sequence numbers {numbers}")
        return [opened(PADDED, packet) for packet in came], set(map(len, came))

    def dummies(self):
        # Taken: whatever is in them.
        before = self.control.counters()
        for octets in (0, 1, 2, 3, 700):
            self.wire.send(sealed(FOUR, random.randbytes(octets), 59))
        wait_for(5, "five dummies are seen", lambda: self.control.counters()["dummies"] == before["dummies"] + 5)
        check(self.class_at_host(4, 0.3) is None, "a dummy came out")
        now = self.control.counters()
        moved = [name for name in now if name.startswith("drop") and now[name] != before[name]]
        check(not moved, f"a dummy was dropped: {moved}")
        # Sent, while nothing else is.
        self.of_padded(1)
        texts, lengths = self.of_padded(3)
        kinds = {text[-1] for text in texts}
        check(kinds == {59}, f"next headers {kinds}")
        check(3 * DUMMIES * 0.75 < len(texts) < 3 * DUMMIES * 1.25, f"{len(texts)} dummies in three seconds, not {3 * DUMMIES}")
        check(all(text[:PADDED_TO] == bytes(PADDED_TO) for text in texts), "something is in a dummy")
        # Not while there is something to say; and nobody sees a difference.
        def speak(packets):
            for _ in range(packets):
                self.host[4].sendto(b"something", (PADDED.peer, PORT))
                yield from self.wire.receive(lambda came: 0 if came else 3, lambda found: is_esp_of(found, PADDED))
                time.sleep(0.01)
        first, *spoken = speak(100)
        kinds = {opened(PADDED, packet)[-1] for packet in spoken}
        check(kinds == {4}, f"next headers {kinds} among packets")
        check(lengths == set(map(len, spoken)), f"dummies of {lengths}, packets of {set(map(len, spoken))}")
        shown = next(sa for sa in self.control.call("show.sa")["sas"] if sa["tunnel"] == PADDED.name and sa["direction"] == "out")
        count = next(count["value"] for count in shown["counts"] if count["name"] == "dummies")
        check(0 <= self.control.counters()["dummies-sent"] - count <= 2, f"{count} dummies of the SA")
        print(f"  holds: {len(texts)} dummies in three seconds of silence, none among {len(spoken)} packets", file=sys.stderr)

    def chain(self):
        """Longer than a router follows: dropped by name, and nothing else happens."""
        before = self.control.counters()
        destination = (bytes([60, 0]) + bytes(6)) * 255 + bytes([17, 0]) + bytes(6)
        datagram = raw(UDP(sport=PORT, dport=PORT) / Raw(b"behind them"))
        packet = IPv6(src=OUTER[6][1], dst=OUTER[6][0], nh=60) / Raw(destination + datagram)
        self.wire.send(raw(packet))
        self.wire.send(raw(IPv6(src=OUTER[6][1], dst=HOST[6], nh=60) / Raw(destination + datagram)))
        drops_since(self.control, before, "malformed-ip", 2)
        print("  holds: a chain of 256 extension headers is dropped as malformed-ip", file=sys.stderr)

    def path(self, tunnel):
        row = next(row for row in self.control.call("show.tunnels")["tunnels"] if row["name"] == tunnel.name)
        return row["path_mtu"], row["path_mtu_learned"]

    def quotes(self, tunnel):
        """Who says that packets are too large is believed if he quotes one that we send, a sane size, and a lower one."""
        router = "192.0.2.77" if tunnel.outer == 4 else "2001:db8::77"
        local, remote = OUTER[tunnel.outer]
        def error(mtu, spi=tunnel.spis[1], source=local, peer=remote, to=local, octets=8):
            esp = struct.pack("!II", spi, 7) + bytes(64)
            if tunnel.outer == 4:
                quote = raw(IP(src=source, dst=peer, proto=50, len=1500) / Raw(esp))[: 20 + octets]
                return raw(IP(src=router, dst=to) / ICMP(type=3, code=4, nexthopmtu=mtu) / Raw(quote))
            quote = raw(IPv6(src=source, dst=peer, nh=50, plen=1460) / Raw(esp))[: 40 + octets]
            return raw(IPv6(src=router, dst=to) / ICMPv6PacketTooBig(mtu=mtu) / Raw(quote))
        least = 576 if tunnel.outer == 4 else 1280
        stranger = "192.0.2.99" if tunnel.outer == 4 else "2001:db8::99"
        forged = [error(1400, spi=1), error(1400, spi=tunnel.spis[0]), error(1400, source=stranger), error(1400, peer=stranger),
                  error(least - 1), error(0), error(65535), error(9000), error(1400, octets=3)]
        for packet in forged:
            self.wire.send(packet)
        seen = lambda: self.control.counters()["path-errors"]
        # Only those count that quote our ESP from our address.
        wait_for(5, "the errors are seen", lambda: seen() >= 7)
        check(self.path(tunnel) == (9000, False), f"{tunnel.name}: a forged quote was believed: {self.path(tunnel)}")
        self.wire.send(error(1400))
        wait_for(5, "a true one is believed", lambda: self.path(tunnel) == (1400, True))
        print(f"  holds: {tunnel.name}: {len(forged)} forged quotes, and none of them believed", file=sys.stderr)


def sealed(tunnel, payload, next_header):
    """ESP over IPv4 around any payload, with padding and trailer (RFC 4106)."""
    fill = -(len(payload) + 2) % 4
    text = payload + bytes(range(1, fill + 1)) + bytes([fill, next_header])
    key, salt = tunnel.keys[0][:-4], tunnel.keys[0][-4:]
    sequence = tunnel.next_sequence()
    header, iv = struct.pack("!II", tunnel.spis[0], sequence), struct.pack("!Q", sequence)
    return raw(IP(src=OUTER[4][1], dst=OUTER[4][0], proto=50) / Raw(header + iv + AESGCM(key).encrypt(salt + iv, text, header)))


def opened(tunnel, packet):
    """The text of ESP over IPv4, trailer included."""
    key, salt = tunnel.keys[1][:-4], tunnel.keys[1][-4:]
    return AESGCM(key).decrypt(salt + packet[28:36], packet[36:], packet[20:28])


def is_esp_of(packet, tunnel):
    at = 20 if packet[0] >> 4 == 4 else 40
    protocol = packet[9] if packet[0] >> 4 == 4 else packet[6]
    return protocol == 50 and packet[at : at + 4] == struct.pack("!I", tunnel.spis[1])


def judge(*where):
    one = Judge(*where)
    one.by_spi = {tunnel.spis[1]: tunnel for tunnel in TUNNELS}
    # Padded packets are read here and not by scapy.
    one.warm_up((FOUR, SIX))
    for socket_ in one.host.values():
        socket_.close()
    one = Marks(*where)
    for tunnel in (FOUR, SIX):
        one.out_of_tunnel(tunnel)
        one.into_tunnel(tunnel)
    one.padded()
    one.chain()
    for tunnel in (FOUR, SIX):
        one.quotes(tunnel)


def dummies(*where):
    # The first judge went further than that.
    FOUR.send_sequence = 10_000
    Marks(*where).dummies()


if __name__ == "__main__":
    if sys.argv[1:2] == ["configuration"]:
        configuration()
    elif sys.argv[1:2] == ["dummies"]:
        dummies(*sys.argv[2:6])
    else:
        judge(*sys.argv[2:6])
