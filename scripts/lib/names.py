#!/usr/bin/env python3
"""names.py NAME=ADDRESS,... ...: a name server on port 53 for scenarios (RFC 1035). It answers A and AAAA of the names
it is told, is silent about those without an address, and says of all others that there are none."""
import ipaddress, socket, struct, sys

NAMES = {name: [ipaddress.ip_address(text) for text in addresses.split(",") if text]
         for name, addresses in (word.split("=", 1) for word in sys.argv[1:])}
TYPES = {1: 4, 28: 6}
RESPONSE, NO_SUCH_NAME = 0x8400, 3


def question(packet):
    """The name and type asked for, and where the question ends."""
    labels, at = [], 12
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode())
        at += 1 + packet[at]
    return ".".join(labels).lower(), struct.unpack_from("!H", packet, at + 1)[0], at + 5


def answer(packet):
    name, kind, end = question(packet)
    if NAMES.get(name) == []:
        return None
    addresses = [address for address in NAMES.get(name, []) if address.version == TYPES.get(kind)]
    flags = RESPONSE if name in NAMES else RESPONSE | NO_SUCH_NAME
    head = packet[:2] + struct.pack("!HHHHH", flags, 1, len(addresses), 0, 0)
    records = [b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(one.packed)) + one.packed for one in addresses]
    return head + packet[12:end] + b"".join(records)


def main():
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("", 53))
    while True:
        packet, client = server.recvfrom(512)
        if reply := answer(packet):
            server.sendto(reply, client)


main()
