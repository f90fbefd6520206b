#!/usr/bin/python3
"""Judge of a gateway that is about to be measured: what came out, from what went in.

    bench_oracle.py WHO SETUP.json COUNTERS

SETUP is what ravelin-perf told the gateway (perf/src/compare/gateway/setup.rs); the input is a capture of
10,000 packets, one more that must be dropped for its selector, and one that comes twice where a window
guards against that. WHO is `ravelin` or a peer; COUNTERS are the drops that ravelin counted, as JSON.
Nothing here shares code with either: ciphers and hashes are those of python3-cryptography.

Checked: every good packet came out once and the others not at all; Ethernet and IP headers, lengths,
checksums and TTLs; of ESP the SPI, the sequence numbers from 1 without a gap in each association, IVs that
never repeat under a key, tags, padding and next header (RFC 4303, RFC 4106); the inner packet, octet by
octet; and the counters. Exit 1 with the reason otherwise.
"""
import collections
import ipaddress
import json
import struct
import sys

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hmac import HMAC

NEIGHBOUR = bytes.fromhex("020000000022")
GATEWAY = ipaddress.ip_address("192.0.2.1").packed
UINT64 = (1 << 64) - 1


def fail(why):
    print(why, file=sys.stderr)
    sys.exit(1)


def check(truth, why):
    if not truth:
        fail(why)


def frames(path):
    with open(path, "rb") as file:
        data = file.read()
    at, found = 24, []
    while at < len(data):
        length = struct.unpack("=I", data[at + 8 : at + 12])[0]
        found.append(data[at + 16 : at + 16 + length])
        at += 16 + length
    return found


def checksum(header):
    total = sum(struct.unpack(f"!{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def splitmix(state):
    while True:
        state = (state + 0x9E3779B97F4A7C15) & UINT64
        z = state
        z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & UINT64
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & UINT64
        yield z ^ z >> 31


class Gcm:
    """AES-GCM with an ICV of 16 octets (RFC 4106)."""

    iv, block = 8, 4

    def __init__(self, index, key):
        self.cipher, self.salt = AESGCM(key), struct.pack("!I", 0xA5A50000 ^ index)

    def text(self, packet, high):
        return self.cipher.decrypt(self.salt + packet[8:16], packet[16:], packet[:4] + high + packet[4:8])


class Cbc:
    """AES-CBC (RFC 3602) with HMAC (RFC 4868), whose ICV is half of what it makes."""

    iv, block = 16, 16

    def __init__(self, key, bits, hash_key):
        self.key, self.icv, self.hash_key = key, bits // 16, hash_key
        self.hash = {256: hashes.SHA256, 384: hashes.SHA384, 512: hashes.SHA512}[bits]

    def text(self, packet, high):
        code = HMAC(self.hash_key, self.hash())
        code.update(packet[: -self.icv] + high)
        if code.finalize()[: self.icv] != packet[-self.icv :]:
            raise InvalidSignature
        opener = Cipher(algorithms.AES(self.key), modes.CBC(packet[8:24])).decryptor()
        return opener.update(packet[24 : -self.icv]) + opener.finalize()


class Association:
    def __init__(self, index, bits, hash, esn):
        self.index, self.esn = index, esn
        words = splitmix(index)
        material = b"".join(struct.pack("<Q", next(words)) for _ in range(12))
        key = material[: bits // 8]
        self.suite = Cbc(key, hash, material[32 : 32 + hash // 8]) if hash else Gcm(index, key)
        self.spi = 1 << 26 | index
        self.peer = (ipaddress.ip_address("198.18.0.0") + index).packed
        self.last, self.ivs = 0, set()

    def open(self, packet):
        """The inner packet of an ESP packet that starts at its SPI; sequence number and IV are checked."""
        low, iv = struct.unpack("!I", packet[4:8])[0], packet[8 : 8 + self.suite.iv]
        check(low == self.last + 1, f"SPI {self.spi:#x}: sequence number {low} after {self.last}")
        check(iv not in self.ivs, f"SPI {self.spi:#x}: an IV came twice under one key")
        self.last = low
        self.ivs.add(iv)
        return self.inner(packet)

    def inner(self, packet):
        """The inner packet of an ESP packet that starts at its SPI."""
        try:
            text = self.suite.text(packet, struct.pack("!I", 0) if self.esn else b"")
        except (InvalidTag, InvalidSignature):
            fail(f"SPI {self.spi:#x}, sequence number {packet[4:8].hex()}: the tag is wrong")
        return untrailed(text, self.spi, self.suite.block)


def untrailed(text, spi, block):
    """The inner packet of an ESP text (RFC 4303 section 2.4)."""
    padding, following = text[-2], text[-1]
    check(following == 4, f"SPI {spi:#x}: next header {following}")
    check(text[len(text) - 2 - padding : -2] == bytes(range(1, padding + 1)), f"SPI {spi:#x}: padding")
    check(len(text) % block == 0 and padding < block, f"SPI {spi:#x}: {padding} octets of padding")
    return text[: len(text) - 2 - padding]


def ip_of(frame, what):
    check(frame[:6] == NEIGHBOUR, f"{what}: sent to {frame[:6].hex(':')}")
    check(frame[12:14] == b"\x08\x00", f"{what}: not IPv4")
    packet = frame[14:]
    check(packet[0] == 0x45 and checksum(packet[:20]) == 0xFFFF, f"{what}: IP header or its checksum")
    check(struct.unpack("!H", packet[2:4])[0] == len(packet), f"{what}: length")
    return packet


def forwarded(inner, hops):
    """The inner packet so many hops on."""
    made = bytearray(inner)
    made[8] -= hops
    made[10:12] = b"\0\0"
    made[10:12] = struct.pack("!H", ~checksum(made[:20]) & 0xFFFF)
    return bytes(made)


def opened(frame, by_spi, what):
    packet = ip_of(frame, what)
    check(packet[9] == 50, f"{what}: protocol {packet[9]}")
    check(packet[8] > 1, f"{what}: TTL {packet[8]}")
    spi = struct.unpack("!I", packet[20:24])[0]
    association = by_spi.get(spi)
    check(association, f"{what}: unknown SPI {spi:#x}")
    check(packet[12:20] == GATEWAY + association.peer, f"{what}: outer addresses")
    return association.open(packet[20:]), association


def expected(setup, by_spi):
    """Inner packets of the input, good ones only, by their number."""
    good = {}
    for frame in frames(setup["input"]):
        packet = frame[14:]
        if setup["traffic"]["decap"]:
            packet = by_spi[struct.unpack("!I", packet[20:24])[0]].inner(packet[20:])
        number = struct.unpack("!I", packet[28:32])[0]
        if number != 0xFFFFFFFF:
            good[number] = packet
    return good


def judge(who, setup, counters):
    traffic = setup["traffic"]
    associations = [Association(sa["index"], sa["bits"], sa["hash"], sa["esn"]) for sa in traffic["sas"]]
    by_spi = {association.spi: association for association in associations}
    good = expected(setup, by_spi)
    # A peer may leave the TTL alone.
    hops = {1} if who == "ravelin" else {0, 1}
    seen = collections.Counter()
    out = frames(setup["output"])
    for place, frame in enumerate(out):
        what = f"packet {place}"
        if traffic["decap"]:
            inner, network = ip_of(frame, what), None
        else:
            inner, association = opened(frame, by_spi, what)
            network = (ipaddress.ip_address("20.0.0.0") + (association.index << 8)).packed[:3]
        number = struct.unpack("!I", inner[28:32])[0]
        check(number in good, f"{what}: number {number:#x} should not have come out")
        check(any(inner == forwarded(good[number], hop) for hop in hops), f"{what}: the inner packet has changed")
        check(network in (None, inner[16:19]), f"{what}: in the wrong association")
        seen[number] += 1
    check(max(seen.values(), default=0) <= 1, "a packet came out twice")
    check(len(seen) == len(good), f"{len(seen)} of {len(good)} packets came out; dropped: {counters}")
    if who == "ravelin":
        drops = {"policy-error": 1, "replay-duplicate": 1} if traffic["decap"] else None
        if drops:
            check(counters == drops, f"counted are {counters}, not {drops}")
        else:
            check(sum(counters.values()) == 1, f"counted are {counters}, not one drop")


if __name__ == "__main__":
    with open(sys.argv[2]) as file:
        judge(sys.argv[1], json.load(file), json.loads(sys.argv[3]))
