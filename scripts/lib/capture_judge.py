#!/usr/bin/python3
"""Judge of a capture: what `ravelin capture --side both` wrote against what tcpdump saw, and scapy's ESP.

    capture_judge.py BOTH.pcapng PUBLIC.pcap HOST.pcap KEY

Every encrypted copy is an ESP packet of the public segment, octet by octet; scapy decrypts it, and the copy in clear of
the same SPI and number is what it finds. Copies in clear that were on their way to the host are what reached it, one hop
later. The comment of each says SPI, number, worker, tunnel and verdict.
"""
import logging
import re
import struct
import sys

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.all import ESP, IP, rdpcap, raw  # noqa: E402
from scapy.layers.ipsec import SecurityAssociation  # noqa: E402

COMMENT = re.compile(r"side=(clear|encrypted) verdict=forward spi=(0x[0-9a-f]{8}) sequence=(\d+) worker=(\d+) tunnel=net$")


def blocks(path):
    """(interface, octets, direction, comment) of each packet; scapy's reader knows no options."""
    data, at, interfaces = open(path, "rb").read(), 0, []
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        body = data[at + 8:at + length - 4]
        if kind == 1:
            interfaces.append(dict(options(body[8:]))[2].decode())
        elif kind == 6:
            interface, _, _, captured, original = struct.unpack_from("<IIIII", body)
            more = dict(options(body[20 + (captured + 3) // 4 * 4:]))
            assert captured == original, "cut, and nobody asked for it"
            yield interfaces[interface], body[20:20 + captured], struct.unpack("<I", more[2])[0], more[1].decode()
        at += length


def options(data):
    while len(data) >= 4:
        code, length = struct.unpack_from("<HH", data)
        if code == 0:
            return
        yield code, data[4:4 + length]
        data = data[4 + (length + 3) // 4 * 4:]


def one_hop_later(packet):
    later = IP(packet)
    later.ttl -= 1
    del later.chksum
    return raw(later)


def main(both, public, host, key):
    on_wire = {raw(packet[IP]) for packet in rdpcap(public) if IP in packet and packet[IP].proto == 50}
    at_host = {raw(packet[IP]) for packet in rdpcap(host) if IP in packet}
    clear, sealed, workers = {}, {}, set()
    for interface, octets, way, comment in blocks(both):
        found = COMMENT.match(comment)
        assert found, f"comment is {comment!r}"
        assert interface == "tunnels", f"of interface {interface}"
        spi, sequence = int(found[2], 16), int(found[3])
        workers.add(found[4])
        (clear if found[1] == "clear" else sealed)[spi, sequence] = (octets, way)
    assert clear and sealed, "one side is missing"
    pairs = sorted(clear.keys() & sealed.keys())
    assert len(pairs) * 2 >= len(clear) + len(sealed) - 2, "copies without their other side"
    for at in pairs:
        (inner, way), (esp, other_way) = clear[at], sealed[at]
        assert way == other_way == (1 if at[0] == 3002 else 2), f"{at}: direction {way}"
        assert esp in on_wire, f"{at}: no such packet passed the public segment"
        association = SecurityAssociation(ESP, spi=at[0], crypt_algo="AES-GCM", crypt_key=bytes.fromhex(key),
                                          tunnel_header=IP(src="192.0.2.1", dst="192.0.2.2"))
        assert raw(association.decrypt(IP(esp))) == inner, f"{at}: it decrypts to something else"
        if at[0] == 3002:
            assert one_hop_later(inner) in at_host, f"{at}: no such packet reached the host"
    print(f"  {len(pairs)} packets on both sides, by worker {', '.join(sorted(workers))}", file=sys.stderr)


main(*sys.argv[1:5])
