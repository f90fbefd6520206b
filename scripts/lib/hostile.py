#!/usr/bin/python3
"""A hostile neighbour of ravelind on the public segment, and hostile clients of its socket.

    hostile.py wire PEER-NS GATEWAY-NS CAPTURE ROUNDS SEED   garbage from the public segment
    hostile.py socket PATH ROUNDS SEED                       garbage into the control socket
    hostile.py incomplete PEER-NS GATEWAY-NS COUNT RATE      datagrams of which the end never comes

The wire: random bytes, truncations and mutations of IKE messages and ESP packets that were
captured from the running tunnel, headers that lie about lengths, payload chains that loop,
fragments that overlap, never end, or exceed the largest packet; IPv4 and IPv6; as IKE on 500
and 4500, as ESP raw and in UDP. Prints how many frames went out. The judge is elsewhere: the
tunnel must go on, the process live, its memory stay flat, and drops be counted by name.
"""
import logging
import random
import socket
import struct
import sys
import threading
import time

from judge import Control, Wire, check, mac_of

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.all import ESP, IP, UDP, IPv6, IPv6ExtHdrFragment, Raw, fragment, raw, rdpcap  # noqa: E402

OURS, PEER = ("192.0.2.2", "2001:db8::2"), ("192.0.2.1", "2001:db8::1")
STRANGER = ("192.0.2.77", "2001:db8::77")


def seeds(path):
    """What the capture of the live tunnel holds: IKE messages and ESP packets."""
    ike, esp = [], []
    for packet in rdpcap(path):
        payload = raw(packet[UDP].payload) if UDP in packet else b""
        if UDP in packet and packet[UDP].dport in (500, 4500):
            (esp if packet[UDP].dport == 4500 and payload[:4] != bytes(4) else ike).append(payload)
        elif IP in packet and packet[IP].proto == 50:
            esp.append(raw(packet[IP].payload))
    check(ike and esp, f"the capture holds {len(ike)} IKE and {len(esp)} ESP packets")
    return ike, esp[:200]


def ip(source, payload, family, protocol, **fields):
    """An IP packet of that family with our address as its destination."""
    if family == 4:
        return raw(IP(src=source[0], dst=OURS[0], proto=protocol, **fields) / Raw(payload))
    return raw(IPv6(src=source[1], dst=OURS[1], nh=protocol) / Raw(payload))


def udp(source, port, payload, family, length=None):
    """A datagram with a right checksum; `length` is what its header claims."""
    header = {"len": length} if length is not None else {}
    outer = IP(src=source[0], dst=OURS[0]) if family == 4 else IPv6(src=source[1], dst=OURS[1])
    return raw(outer / UDP(sport=port, dport=port, **header) / Raw(payload))


def ike_header(draw, length, first=None, exchange=None):
    """An IKEv2 header (RFC 7296 section 3.1) with random SPIs."""
    responder = draw.choice([bytes(8), draw.randbytes(8)])
    return draw.randbytes(8) + responder + struct.pack(
        "!BBBBII", draw.randrange(256) if first is None else first, draw.choice([0x20, 0x20, 0x20, 0x10, 0xFF]),
        exchange if exchange is not None else draw.choice([34, 35, 36, 37, 43, 255]), draw.choice([0, 8, 0x20, 0x28, 0xFF]),
        draw.choice([0, 1, 0xFFFFFFFF]), length)


def mutate(draw, packet):
    """A few bytes changed, cut, doubled or inserted."""
    packet = bytearray(packet)
    for _ in range(draw.randrange(1, 6)):
        place = draw.randrange(len(packet) or 1)
        what = draw.randrange(5)
        if what == 0 and packet:
            packet[place] ^= 1 << draw.randrange(8)
        elif what == 1 and packet:
            packet[place] = draw.choice([0, 1, 0x7F, 0x80, 0xFF])
        elif what == 2:
            del packet[place:]
        elif what == 3:
            packet[place:place] = draw.randbytes(draw.randrange(1, 40))
        else:
            packet += packet[place:]
    return bytes(packet[:1400])


def chains(draw):
    """IKE_SA_INIT whose payload chain lies: lengths of 0 to 3, past the end, onto itself; thousands of payloads."""
    bodies = [b"\x21\x00\x00\x00" * 50, b"\x21\x00\x00\x03", b"\x21\x00\xff\xff" + draw.randbytes(40),
              b"\x29\x00\x00\x04" * 340, b"\x2e\x80\x00\x04" * 300, b"\x22\x00\x00\x08" + bytes(4),
              b"\x21\x00\x00\x30" + b"\x02\x00\x00\x2c\x01\x01\x08\xff" + draw.randbytes(36)]
    body = draw.choice(bodies)
    return ike_header(draw, 28 + len(body), first=body[0], exchange=34) + body


def fragments4(draw, payload):
    """Fragments of one IPv4 packet: shuffled, overlapping, never complete, or beyond 65,535 octets."""
    ident, what = draw.randrange(65536), draw.randrange(6)
    whole = IP(src=PEER[0], dst=OURS[0], proto=draw.choice([17, 50]), id=ident) / Raw(payload * 3)
    parts = fragment(whole, fragsize=draw.choice([8, 64, 256]))
    draw.shuffle(parts)
    if what == 0:
        parts = parts[:-1]
    elif what == 1:
        for part in parts:
            part[IP].frag = max(0, part[IP].frag - draw.randrange(3))
    elif what == 2:
        parts = [IP(src=PEER[0], dst=OURS[0], proto=17, id=ident, frag=8191, flags=draw.choice([0, 1])) / Raw(draw.randbytes(1000))]
    elif what == 3:
        parts = [IP(src=PEER[0], dst=OURS[0], proto=50, id=ident, frag=1, flags=1) / Raw(draw.randbytes(5))]
    return [raw(part) for part in parts[:40]]


def fragments6(draw, payload):
    """The same for IPv6: odd lengths, overlaps, offsets at the end, atomic fragments."""
    ident = draw.getrandbits(32)
    made = []
    for offset, more in draw.choice([[(0, 1), (0, 1)], [(0, 1), (1, 0), (0, 0)], [(8190, 0)], [(0, 0)], [(3, 1)]]):
        header = IPv6ExtHdrFragment(nh=draw.choice([17, 50, 44, 60]), id=ident, offset=offset, m=more)
        made.append(raw(IPv6(src=PEER[1], dst=OURS[1]) / header / Raw(payload[: draw.choice([7, 8, 64, 1200])])))
    return made


def one(draw, ike, esp):
    """The packets of one attack."""
    family, source = draw.choice([4, 6]), draw.choice([PEER, PEER, STRANGER])
    what, port = draw.randrange(12), draw.choice([500, 4500])
    marker = bytes(4) if port == 4500 else b""
    if what == 0:
        return [udp(source, port, marker + draw.randbytes(draw.randrange(1300)), family)]
    if what == 1:
        return [udp(source, port, mutate(draw, draw.choice(ike)), family)]
    if what == 2:
        message = draw.choice(ike)
        return [udp(source, port, message[: draw.randrange(len(message))], family)]
    if what == 3:
        return [udp(source, port, marker + chains(draw), family)]
    if what == 4:
        return [udp(source, port, marker + ike_header(draw, draw.choice([0, 27, 28, 0xFFFFFFFF, 70000])) + draw.randbytes(60), family)]
    if what == 5:
        return [udp(source, port, draw.randbytes(64), family, length=draw.choice([0, 7, 8, 9, 65535]))]
    if what == 6:
        return [ip(source, mutate(draw, draw.choice(esp)), family, 50)]
    if what == 7:
        packet = draw.choice(esp)
        return [ip(source, packet[: draw.randrange(len(packet))], family, 50)]
    if what == 8:
        return [ip(source, draw.randbytes(draw.randrange(100)), family, 50), udp(source, 4500, draw.randbytes(draw.randrange(1, 60)), family)]
    if what == 9:
        return fragments4(draw, draw.choice(esp + ike))
    if what == 10:
        return fragments6(draw, draw.choice(esp + ike))
    packet = bytearray(ip(source, draw.choice(esp), family, 50))
    return [mutate(draw, bytes(packet[:40])) + bytes(packet[40:])]


def wire(peer_ns, gateway_ns, capture, rounds, seed):
    draw = random.Random(seed)
    ike, esp = seeds(capture)
    out = Wire(peer_ns, "wan0", mac_of(gateway_ns, "wan0"))
    sent = 0
    for number in range(rounds):
        for packet in one(draw, ike, esp):
            out.send(packet[:1500])
            sent += 1
        if number % 50 == 0:
            # Frames that are not even IP, or less than a header.
            out.send_frame(out.to + out.own + draw.choice([b"\x08\x00", b"\x86\xdd", b"\x81\x00", b"\x88\xa8", b"\x00\x05"]) + draw.randbytes(draw.randrange(1, 60)))
            time.sleep(0.01)  # so that what follows is looked at too, not lost in a full ring
    print(f"{sent} frames, seed {seed}")


# Strangers who begin datagrams: two of them take an eighth of what a worker holds.
STRANGERS = 2


def incomplete(peer_ns, gateway_ns, count, rate):
    """First fragments of as many IPv6 datagrams, so many a second; IPv4's would be the kernel's to put together."""
    out = Wire(peer_ns, "wan0", mac_of(gateway_ns, "wan0"))
    first = bytearray(raw(IPv6(src="2001:db8::7700", dst=OURS[1], nh=44) / Raw(struct.pack("!BBHI", 50, 0, 1, 0) + bytes(64))))
    frame = bytearray(out.to + out.own + b"\x86\xdd" + first)
    source, ident = 14 + 23, 14 + 40 + 4
    begun = time.monotonic()
    for number in range(count):
        frame[source] = number % STRANGERS
        frame[ident : ident + 4] = struct.pack("!I", number)
        out.send_frame(frame)
        if number % 100 == 99:
            time.sleep(max(0.0, begun + number / rate - time.monotonic()))
    print(f"{count} datagrams begun in {time.monotonic() - begun:.1f} s")


def socket_clients(path, rounds, seed):
    """Malformed, huge, slow and silent clients; the daemon must answer others throughout."""
    draw, control = random.Random(seed), Control(path)

    def attempt(data, read=True):
        try:
            with socket.socket(socket.AF_UNIX) as stream:
                stream.settimeout(2)
                stream.connect(path)
                stream.sendall(data)
                return stream.recv(65536) if read else b""
        except OSError:
            return b""

    good = b'{"jsonrpc":"2.0","id":1,"method":"explain","params":{"tunnel":"net"}}\n'
    deep = b"[" * 100_000 + b"\n"
    fixed = [b"\n", b"{}\n", b"null\n", b"\xff\xfe\x00\n", deep, b'{"jsonrpc":"2.0","id":{"a":1},"method":"show.sa"}\n',
             b'{"jsonrpc":"2.0","id":1,"method":"explain","params":{"tunnel":"' + b"x" * 60_000 + b'"}}\n',
             b'{"jsonrpc":"2.0","id":1,"method":"events","params":{"after":18446744073709551616}}\n',
             b'{"jsonrpc":"2.0","id":1,"method":"rekey","params":{"tunnel":7}}\n', b"x" * (8 << 20)]
    for data in fixed:
        attempt(data)
        check(control.answers(), f"the daemon does not answer after {data[:60]!r}")
    for _ in range(rounds):
        attempt(mutate(draw, good) + b"\n")
    check(control.answers(), "the daemon does not answer after mutated requests")
    crowd = []
    for _ in range(50):  # they say half a line and wait
        stream = socket.socket(socket.AF_UNIX)
        stream.connect(path)
        stream.sendall(good[: draw.randrange(1, len(good) - 1)])
        crowd.append(stream)
    check(control.answers(), "50 slow clients keep the daemon from answering")
    for _ in range(8):  # they ask and never read
        stream = socket.socket(socket.AF_UNIX)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        stream.connect(path)
        stream.setblocking(False)
        try:
            for _ in range(2000):
                stream.send(good)
        except BlockingIOError:
            pass
        crowd.append(stream)
    check(control.answers(), "clients that do not read keep the daemon from answering")
    askers = [threading.Thread(target=attempt, args=(good,)) for _ in range(100)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    for stream in crowd:
        stream.close()
    check(control.answers(), "the daemon does not answer after a crowd")
    print(f"{len(fixed) + rounds + len(crowd) + 100} clients, seed {seed}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["wire"]:
        wire(*sys.argv[2:5], int(sys.argv[5]), int(sys.argv[6]))
    elif sys.argv[1:2] == ["incomplete"]:
        incomplete(*sys.argv[2:4], int(sys.argv[4]), int(sys.argv[5]))
    else:
        socket_clients(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
