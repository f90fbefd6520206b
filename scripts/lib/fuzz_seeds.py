#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets: one small valid input for each shape a parser knows.

Run from the repository's root; the result is committed. Keys are made anew by each run
(they protect nothing), all else comes out the same."""
import base64, datetime, hashlib, ipaddress, pathlib, struct, subprocess

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def write(crate, target, seeds):
    """Writes seeds by name. Those of other names stay: what searches found is kept beside them."""
    folder = pathlib.Path(crate) / "fuzz/corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    for name, octets in seeds.items():
        (folder / name).write_bytes(octets)


# --- IKE (RFC 7296 §3)

def link(following, body, critical=0):
    return struct.pack("!BBH", following, critical, len(body) + 4) + body


def chain(*payloads):
    """(type, body)... to (type of the first, octets)."""
    types = [kind for kind, _ in payloads[1:]] + [0]
    octets = b"".join(link(following, body) for (_, body), following in zip(payloads, types))
    return (payloads[0][0] if payloads else 0), octets


def message(first, octets, exchange=34, flags=8, responder=0, number=0):
    head = struct.pack("!QQBBBBLL", 0x0102030405060708, responder, first, 0x20, exchange, flags, number, 28 + len(octets))
    return head + octets


def transform(kind, number, bits=None, last=False):
    attributes = b"" if bits is None else struct.pack("!HH", 0x8000 | 14, bits)
    return struct.pack("!BBHBBH", 0 if last else 3, 0, 8 + len(attributes), kind, 0, number) + attributes


def proposal(number, protocol, spi, transforms, last=True):
    body = b"".join(transform(*each, last=at == len(transforms) - 1) for at, each in enumerate(transforms))
    return struct.pack("!BBHBBBB", 0 if last else 2, 0, 8 + len(spi) + len(body), number, protocol, len(spi), len(transforms)) + spi + body


def notify(kind, data=b"", protocol=0, spi=b""):
    return 41, struct.pack("!BBH", protocol, len(spi), kind) + spi + data


def selectors(*ranges):
    body = b"".join(struct.pack("!BBHHH", 7 if len(a) == 4 else 8, protocol, 8 + 2 * len(a), start, end) + a + b
                    for protocol, start, end, a, b in ranges)
    return struct.pack("!BBBB", len(ranges), 0, 0, 0) + body


def ike():
    offers = (33, proposal(1, 1, b"", [(1, 20, 256), (2, 6), (4, 20)], last=False)
              + proposal(2, 1, b"", [(1, 12, 128), (2, 5), (3, 12), (4, 14)]))
    key = (34, struct.pack("!HH", 31, 0) + bytes(range(32)))
    nonce = (40, bytes(range(32)))
    init = chain(offers, key, nonce, notify(16388, bytes(20)), notify(16389, bytes(20)), notify(16430),
                 notify(16431, struct.pack("!HHH", 2, 3, 4)), (43, b"vendor"))
    esp = (33, proposal(1, 3, b"\1\2\3\4", [(1, 20, 256), (5, 0)]))
    v4 = selectors((0, 0, 65535, bytes([10, 1, 0, 0]), bytes([10, 1, 255, 255])), (6, 80, 443, bytes(4), b"\xff" * 4))
    v6 = selectors((58, 0x8000, 0x80ff, bytes(16), b"\xff" * 16), (17, 65535, 0, bytes(16), b"\xff" * 16))
    auth = chain((35, b"\2\0\0\0gw.example"), (37, b"\4" + bytes(range(64))), (38, b"\4" + bytes(40)),
                 (36, b"\1\0\0\0\xc0\0\2\1"), (39, b"\2\0\0\0" + bytes(32)), esp, (44, v4), (45, v6),
                 notify(16384), notify(16396, bytes([192, 0, 2, 1])), (47, b"\1\0\0\0\0\1\0\0"), (48, b"\1\0\0\5\1"))
    rekey = chain(notify(16393, protocol=3, spi=b"\1\2\3\4"), esp, nonce, key, (44, v4), (45, v4))
    delete = chain((42, struct.pack("!BBH", 3, 4, 2) + b"\1\2\3\4\5\6\7\x08"))
    delete_ike = chain((42, struct.pack("!BBH", 1, 0, 0)))
    cookie = chain(notify(16390, bytes(24)))
    unknown = 200, link(201, b"x") + link(41, b"yy") + link(0, struct.pack("!BBH", 0, 0, 16384))
    long_form = chain((33, proposal(1, 1, b"", [(1, 20, 128)]).replace(
        struct.pack("!HH", 0x800e, 128), struct.pack("!HH", 15, 4) + b"long")))
    additional = chain((33, proposal(1, 1, b"", [(1, 20, 256), (2, 6), (4, 31), (6, 36), (12, 0)])), key, nonce, notify(16438),
                       notify(16441, bytes(8)))
    chains = {"additional": additional, "init": init, "auth": auth, "rekey": rekey, "delete": delete, "delete-ike": delete_ike,
              "cookie": cookie, "unknown": unknown, "empty": (0, b""), "attribute": long_form}
    sealed = message(46, link(35, bytes(40)), 35, 8, 9, 1)
    fragment = message(53, link(35, struct.pack("!HH", 1, 3) + bytes(40)), 35, 8, 9, 1)
    later = message(53, link(0, struct.pack("!HH", 2, 3) + bytes(40)), 35, 8, 9, 1)
    messages = {name: message(*each) for name, each in chains.items()}
    write("control/ike", "ike-message", messages | {"sealed": sealed, "fragment": fragment, "later": later})
    write("control/ike", "ike-payloads", {name: bytes([first]) + octets for name, (first, octets) in chains.items()})

    def record(identifier, number, total, first, content):
        return struct.pack("!BBBBH", identifier, number, total, first, len(content)) + content
    first, octets = delete
    third = -(-len(octets) // 3)
    pieces = [octets[at:at + third] for at in range(0, len(octets), third)]
    cut = [record(1, at + 1, 3, first if at == 0 else 0, piece) for at, piece in enumerate(pieces)]
    write("control/ike", "ike-fragments", {
        "in-order": b"".join(cut), "reversed": b"".join(reversed(cut)), "repeated": cut[0] + cut[0] + cut[2] + cut[1],
        "single": record(0, 1, 1, first, octets), "finer": record(1, 1, 2, first, octets[:8]) + b"".join(cut),
        "large": b"".join(record(0x81, at, 9, 0, b"piece") for at in range(1, 5)),
        "other": cut[0] + record(5, 2, 3, 0, pieces[1]) + record(2, 1, 2, first, octets)})

    def act(op, argument=0, content=b""):
        return struct.pack("!BBH", op, argument, len(content)) + content

    def say(exchange, chained, response=False):
        first, octets = chained
        return act(1 | exchange << 3 | response << 5, first, octets)
    seal_auth, seal_create, seal_info = range(3)
    esp4 = (33, proposal(1, 3, b"\x21\x22\x23\x24", [(1, 20, 128), (5, 1)]))
    narrow = lambda side: selectors((0, 0, 65535, bytes([10, side, 2, 0]), bytes([10, side, 2, 255])))
    new_child = chain(esp4, nonce, (44, narrow(2)), (45, narrow(1)))
    rekey_child = chain(notify(16393, protocol=3, spi=b"\x12\x34\x56\x78"), esp4, nonce,
                        (44, selectors((0, 0, 65535, bytes([10, 2, 1, 0]), bytes([10, 2, 1, 255])))),
                        (45, selectors((0, 0, 65535, bytes([10, 1, 1, 0]), bytes([10, 1, 1, 255])))))
    ike_offer = (33, proposal(1, 1, bytes(range(8)), [(1, 20, 128), (2, 5), (4, 31)]))
    rekey_ike = chain(ike_offer, nonce, (34, struct.pack("!HH", 31, 0) + b"\x09" + bytes(31)))
    gone = chain((42, struct.pack("!BBH", 3, 4, 1) + b"\x12\x34\x56\x78"))
    up = act(2)
    natd = notify(16388, bytes(20)), notify(16389, bytes(20))
    move = chain(notify(16400), *natd, notify(16397, bytes([192, 0, 2, 9])))

    def from_elsewhere(said):
        return bytes([said[0] | 0x80]) + said[1:]
    moved = up + from_elsewhere(say(seal_info, move))
    write("control/ike", "ike-engine", {
        "up": up, "up-repeated": up + act(4) + act(4), "forged": say(seal_auth, auth), "empty": up + say(seal_info, (0, b"")),
        "new-child": up + say(seal_create, new_child), "rekey-child": up + say(seal_create, rekey_child) + say(seal_info, gone),
        "rekey-ike": up + say(seal_create, rekey_ike), "delete-child": up + say(seal_info, gone),
        "delete-ike": up + say(seal_info, delete_ike), "time": up + act(3, 100) + say(seal_info, (0, b""), True) + act(3, 255),
        "own-rekey": up + act(5, 4) + say(seal_create, rekey_child, True), "own-ike-rekey": up + act(5, 2) + say(seal_create, rekey_ike, True),
        "own-call": act(5, 0) + act(3, 50), "closed": up + act(5, 3), "expiry": up + act(6, 0) + act(6, 1) + act(6, 3),
        "refused": act(7, 1) + up, "never": act(7, 2) + up + act(3, 200), "stranger": act(0, 1, messages["init"]) + act(0, 2, messages["cookie"]),
        "move": moved + act(2), "move-unanswered": moved + act(3, 255), "move-back": moved + say(seal_info, move) + act(2),
        "move-answered-wrong": moved + say(seal_info, chain(notify(16401, bytes(32))), True), "own-move": up + act(5, 6),
        "move-no-nat": up + say(seal_info, chain(notify(16400), notify(16402, bytes(12)))),
        "auth-lifetime": up + say(seal_info, chain(notify(16403, bytes(4)))) + act(3, 255), "own-proof": up + act(5, 7) + act(3, 50),
        "twice-up": up + act(5, 0) + act(3, 100) + act(5, 7) + act(3, 255),
        "error": up + say(seal_info, chain(notify(24))) + say(seal_info, chain(notify(16384)))})

    def follow(exchange, chained):
        first, octets = chained
        return act(1 | exchange << 3 | 0x40, first, octets)
    seal_intermediate, seal_followup = range(2)
    value = chain((34, struct.pack("!HH", 35, 0) + bytes(800)))
    bad_link = chain((34, struct.pack("!HH", 35, 0) + bytes(800)), notify(16441, bytes(8)))
    next_step, proven = act(2), act(2) * 2
    write("control/ike", "ike-additional", {
        "up": proven, "child": proven + next_step * 2, "again": next_step + act(4) + next_step + act(4), "twice": next_step * 9,
        "skipped": say(seal_auth, auth), "value": follow(seal_intermediate, value) + proven, "late": proven + next_step + act(3, 255) + next_step,
        "link": proven + next_step + follow(seal_followup, bad_link) + next_step, "no-link": proven + next_step + follow(seal_followup, value),
        "own-rekey": proven + act(5, 4), "own-ike-rekey": proven + act(5, 2), "refused": act(7, 1) + proven, "never": act(7, 2) + next_step + act(3, 200),
        "refused-later": proven + next_step + act(7, 1) + next_step, "closed": proven + next_step + act(5, 3) + next_step,
        "expiry": proven + next_step * 2 + act(6, 0) + act(6, 1)})

    def certificate(encoding, data):
        return 37, bytes([encoding]) + data
    who, word = (35, b"\2\0\0\0peer.example"), certificate(14, bytes(8))
    # A signature by ECDSA with SHA-256 (RFC 7427 §3) that nobody made, and what a first request asks for.
    wrong = (39, bytes([14, 0, 0, 0]) + bytes.fromhex("0c300a06082a8648ce3d040302") + bytes(8))
    asked = esp4, (44, narrow(2)), (45, narrow(1))
    here, elsewhere, by_key = (chain(who, shown, word, wrong, notify(16405), *asked) for shown in (
        certificate(4, b"another"), certificate(12, bytes(20) + b"http://192.0.2.2/peer"), certificate(15, b"another")))
    # The certificate's octets as a key, a key behind a certificate, and neither.
    mixed = [chain(who, *shown, wrong, notify(16405), *asked) for shown in (
        [certificate(15, b"the certificate of the peer")], [certificate(4, b"another"), certificate(15, b"the key of the peer")], [])]
    key_first = act(2, 1)
    both = act(2) * 2
    write("control/ike", "ike-certificates", {
        "up": both, "child": both + act(2), "repeated": act(2) + act(4) + act(2) + act(4), "first-alone": act(2) + act(3, 255),
        "other": say(seal_auth, here) + both, "elsewhere": say(seal_auth, elsewhere) + both,
        "key-alone": say(seal_auth, auth), "second-wrong": act(2) + say(seal_auth, auth) + act(2), "second-none": act(2) + say(seal_auth, (0, b"")),
        "refused": act(7, 1) + both, "refused-later": act(2) + act(7, 1) + act(2), "never": act(7, 2) + act(2) + act(3, 200),
        "own-call": act(5, 0) + act(3, 50), "own-proof": both + act(5, 7) + act(3, 50), "own-rekey": both + act(5, 2), "ticket": both + act(0, 0x80),
        "key": key_first + act(2), "key-child": key_first + act(2) * 2, "key-other": say(seal_auth, by_key) + key_first + act(2),
        "key-refused": key_first + act(7, 1) + act(2), "key-proof": key_first + act(2) + act(5, 7) + act(3, 50),
        **{f"key-{name}": say(seal_auth, said) + both for name, said in zip(("mistaken", "behind", "none"), mixed)}})


# --- packets

def checksum(octets):
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def v4(protocol, payload, flags=0x4000, options=b""):
    length = 20 + len(options)
    head = struct.pack("!BBHHHBBH4s4s", 0x40 | length // 4, 0, length + len(payload), 7, flags, 64, protocol, 0,
                       bytes([192, 0, 2, 1]), bytes([198, 51, 100, 1])) + options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def v6(following, payload):
    return (struct.pack("!LHBB", 6 << 28, len(payload), following, 64)
            + ipaddress.ip_address("2001:db8::1").packed + ipaddress.ip_address("2001:db8::2").packed + payload)


def packets():
    udp = struct.pack("!HHHH", 500, 4500, 12, 0) + b"data"
    tcp = struct.pack("!HHLLBBHHH", 1, 2, 3, 4, 0x70, 2, 5, 0, 0) + b"\2\4\5\xb4\1\1\1\0"
    icmp = struct.pack("!BBHL", 8, 0, 0, 1) + b"ping"
    esp = struct.pack("!LL", 0x04000001, 1) + bytes(32)
    frame = bytes(6) + b"\2\0\0\0\0\1" + struct.pack("!H", 0x0800)
    vlan = struct.pack("!HH", 0x6064, 0x0800)
    arp = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + bytes(20)
    gre = struct.pack("!HH", 0xb000, 0x0800) + bytes(12) + b"inner"
    trailer = b"payload!" + b"\1\2\2\4"
    fragment = struct.pack("!BBHL", 17, 0, 8 | 1, 7)
    extended = v6(0, b"\x2b\0" + bytes(6) + b"\x3c\0" + bytes(6) + b"\x2c\0" + bytes(6) + struct.pack("!BBHL", 17, 0, 1, 7) + udp)
    whole = {"udp4": v4(17, udp), "tcp4": v4(6, tcp), "icmp4": v4(1, icmp), "esp4": v4(50, esp),
             "options4": v4(17, udp, options=b"\1\1\1\0"), "later4": v4(17, bytes(16), 0x2001),
             "udp6": v6(17, udp), "icmp6": v6(58, icmp), "later6": v6(44, fragment + bytes(16)), "extended6": extended}
    single = {"eth": (0, frame), "vlan": (1, vlan), "arp": (2, arp), "udp": (3, udp), "icmp": (4, icmp),
              "gre": (5, gre), "tcp": (6, tcp), "esp": (7, esp), "trailer": (7, trailer)}
    seeds = {name: bytes([choice]) + octets for name, (choice, octets) in single.items()}
    for name, octets in whole.items():
        own = 9 if name.endswith("6") else 8
        seeds |= {name: bytes([own]) + octets, f"summary-{name}": b"\x0a" + octets, f"quoted-{name}": b"\x0b" + octets}
    write("dataplane", "packet-headers", seeds)

    def piece(kind, offset, length, more, octets=False):
        return struct.pack("!BHBBB", kind, offset, length, (1 if more else 0) | (2 if octets else 0), 1)
    write("dataplane", "packet-reassembly", {
        "whole4": piece(0, 0, 4, True) + piece(0, 4, 4, True) + piece(0, 8, 13, False, True),
        "whole6": piece(1, 8, 13, False, True) + piece(1, 4, 4, True) + piece(1, 0, 4, True),
        "repeated": piece(0, 0, 4, True) * 3 + piece(0, 4, 2, False),
        "overlap": piece(0, 0, 8, True) + piece(0, 4, 8, False) + piece(0, 12, 2, False),
        "flood": b"".join(piece(number << 2, 4, 4, True) for number in range(8)),
        "raw": b"".join(struct.pack("!BHBBB", 3, 0, len(octets), 0, 1) + octets for octets in whole.values())})

    def act(op, argument, octets):
        return struct.pack("!BBH", op, argument, len(octets)) + octets
    here, there = bytes([10, 1, 0, 9]), bytes([10, 2, 0, 9])
    inner = v4(17, udp)[:12] + here + there + udp
    back = v4(17, udp)[:12] + there + here + udp
    syn = v4(6, tcp)[:12] + here + there + tcp
    inner6 = v6(17, udp)
    for at, site in ((8, 1), (24, 2)):
        inner6 = inner6[:at] + ipaddress.ip_address(f"fd0{site}::9").packed + inner6[at + 16:]
    to_us = v4(17, struct.pack("!HHHH", 500, 500, 40, 0) + bytes(32))[:12] + bytes([192, 0, 2, 2, 192, 0, 2, 1]) + struct.pack("!HHHH", 500, 500, 40, 0) + bytes(32)
    large = v4(17, udp + bytes(1400))[:12] + here + there + udp + bytes(1400)
    cut = lambda flags, octets: v4(50, octets, flags)[:12] + bytes([192, 0, 2, 2, 192, 0, 2, 1]) + octets
    behind = bytes([10, 3, 0, 9])
    summed = lambda octets: octets[:10] + struct.pack("!H", checksum(octets[:10] + bytes(2) + octets[12:20])) + octets[12:]
    in_gre = lambda flags, words, octets: v4(47, gre_of(flags, words, octets))[:12] + bytes([192, 0, 2, 2, 192, 0, 2, 1]) + gre_of(flags, words, octets)
    gre_of = lambda flags, words, octets: struct.pack("!HH", flags, 0x0800) + words + octets
    from_gre = summed(v4(17, udp)[:12] + behind + here + udp)
    stories = {
        "gre": act(0x0a, 0, in_gre(0, b"", from_gre)), "gre-numbered": act(0x0a, 0, in_gre(0x1000, bytes(4), from_gre)), "gre-key": act(0x1a, 0, in_gre(0x2000, bytes(4), from_gre)),
        "gre-spoofed": act(0x0a, 0, in_gre(0, b"", summed(inner))), "gre-out": act(2, 0, inner[:16] + behind + inner[20:]), "gre-out-large": act(2, 0, large[:16] + behind + large[20:]),
        "out": act(2, 0, inner), "out6": act(2, 0, inner6), "syn": act(2, 0, syn), "out-large": act(2, 0, large), "second-queue": act(0x12, 0, inner),
        "in": act(4, 0x42, back), "in-twice": act(4, 0x42, back) + act(4, 2, back), "dummy": act(3, 0x40, b"x"), "foreign": act(4, 0x42, inner),
        "ike": act(0x0a, 0, to_us), "keepalive": act(0x0a, 0, to_us[:20] + struct.pack("!HHHH", 4500, 4500, 9, 0) + b"\xff"),
        "fragments": act(0x0a, 0, cut(0x2000, bytes(64))) + act(0x1a, 0, cut(8, bytes(64))), "late": act(0x0a, 0, cut(0x2000, bytes(64))) + act(7, 200, b""),
        "arp": act(8, 0, b"\xff" * 6 + b"\2\0\0\0\2\1" + struct.pack("!H", 0x0806) + arp), "vlan": act(8, 0, bytes([2, 0, 0, 0, 1, 1]) + bytes(6) + struct.pack("!HH", 0x8100, 7) + b"\x08\0" + inner),
        "twin": act(5, 4, bytes([2, 0, 0, 0, 2, 1]) + bytes(6) + b"\x08\0" + inner), "rv": act(5, 3, inner), "control": act(6, 0, to_us[:12] + to_us[16:20] + to_us[12:16] + to_us[20:]),
        "ttl": act(2, 0, inner[:8] + b"\1" + inner[9:]), "icmp": act(2, 0, v4(1, icmp)[:12] + here + there + icmp)}
    # Behind the ip-tunnel in transport mode, and what comes out of it.
    guarded = bytes([10, 4, 0, 9])
    from_guarded = summed(v4(17, udp)[:12] + guarded + here + udp)
    stories |= {
        "guarded-out": act(2, 0, inner[:16] + guarded + inner[20:]), "guarded-out-large": act(2, 0, large[:16] + guarded + large[20:]),
        "guarded-in": act(3, 0x46, from_guarded), "guarded-in-twice": act(3, 0x46, from_guarded) + act(3, 6, from_guarded),
        "guarded-spoofed": act(3, 0x46, inner), "guarded-udp": act(3, 0x45, udp), "guarded-gre": act(3, 0x44, gre_of(0, b"", from_guarded)),
        "guarded-not-in-tunnel-mode": act(3, 0x42, from_guarded)}
    # Of AES-128-GCM, the first suite; of each other one a story of both ways.
    frames = {name: bytes([at & 1]) + octets for at, (name, octets) in enumerate(stories.items())}
    ways = b"".join(stories[name] for name in ("in-twice", "dummy", "out", "out6", "out-large", "foreign", "guarded-out", "guarded-in"))
    frames |= {f"suite-{number}": bytes([number << 1 | 1]) + ways for number in range(1, 23)}
    write("dataplane", "packet-frames", frames)

    def selector(family, side, protocol, start, end, low, high):
        return struct.pack("!BBHH16s16s", family | side << 1, protocol, start, end, low, high)
    any4 = bytes(4), b"\xff" * 4
    any6 = bytes(16), b"\xff" * 16
    both = lambda *each: selector(each[0], 0, *each[1:]) + selector(each[0], 1, *each[1:])
    write("dataplane", "packet-selectors", {
        "any4": b"\2" + both(0, 0, 0, 65535, *any4) + whole["udp4"],
        "any6": b"\2" + both(1, 0, 0, 65535, *any6) + whole["udp6"],
        "ports": b"\2" + selector(0, 0, 17, 500, 500, *any4) + selector(0, 1, 17, 4000, 5000, *any4) + whole["udp4"],
        "icmp": b"\2" + both(0, 1, 0x0800, 0x08ff, *any4) + whole["icmp4"],
        "opaque": b"\2" + both(0, 17, 65535, 0, *any4) + whole["later4"],
        "many": bytes([32]) + both(0, 6, 1, 2, *any4) * 16 + whole["tcp4"]})


# --- certificates

def certificates():
    def name(text):
        return x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"), x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def issue(subject, issuer, key, issuer_key, ca):
        usage = x509.KeyUsage(digital_signature=not ca, content_commitment=False, key_encipherment=False,
                              data_encipherment=False, key_agreement=False, key_cert_sign=ca, crl_sign=ca,
                              encipher_only=False, decipher_only=False)
        builder = (x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer)).public_key(key.public_key())
                   .serial_number(4711).not_valid_before(datetime.datetime(2020, 1, 1)).not_valid_after(datetime.datetime(2049, 1, 1))
                   .add_extension(x509.BasicConstraints(ca, 1 if ca else None), True).add_extension(usage, True))
        if not ca:
            names = [x509.DNSName("gw.example"), x509.IPAddress(ipaddress.ip_address("192.0.2.1")), x509.RFC822Name("op@gw.example")]
            builder = (builder.add_extension(x509.SubjectAlternativeName(names), False)
                       .add_extension(x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.3.6.1.5.5.7.3.17")]), False))
        return builder.sign(issuer_key, hashes.SHA256())
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
    names = ["Root", "Intermediate", "Gateway"]
    made = [issue(names[at], names[max(0, at - 1)], keys[at], keys[max(0, at - 1)], at < 2) for at in range(3)]
    pathlib.Path("pki/fuzz/chain.pem").write_bytes(b"".join(each.public_bytes(serialization.Encoding.PEM) for each in made))
    root, middle, leaf = (each.public_bytes(serialization.Encoding.DER) for each in made)
    prefixed = lambda *each: b"".join(struct.pack("!H", len(der)) + der for der in each)
    write("pki", "pki-path", {"whole": prefixed(leaf, middle), "with-root": prefixed(leaf, root, middle),
                              "missing": prefixed(leaf), "pinned": prefixed(root)})

    data = pathlib.Path("pki/tests/data")
    files = {path.name: path.read_bytes() for path in sorted(data.glob("*.pem")) if path.stat().st_size < 2000}
    ders = {path: x509.load_pem_x509_certificate(octets) for path, octets in files.items() if path.endswith(".cert.pem")}
    ders = {path.removesuffix(".cert.pem"): each.public_bytes(serialization.Encoding.DER) for path, each in ders.items()}
    write("pki", "pki-certificate", ders | {"leaf": leaf, "root": root})
    write("pki", "pki-pem", {"bundle": files["p256.cert.pem"] + files["ed25519.cert.pem"], "key": files["p256.sec1.pem"],
                             "encrypted": files["encrypted.pkcs1.pem"], "der": leaf, "text": b"words\n" + files["ed25519.pkcs8.pem"]})
    write("pki", "pki-private-key", {path: octets for path, octets in files.items() if ".cert" not in path}
          | {"rsa.pkcs8.der": (data / "rsa.pkcs8.der").read_bytes()})
    algorithms = {"rsa": "300d06092a864886f70d01010b0500", "ecdsa": "300a06082a8648ce3d040302", "ed25519": "300506032b6570",
                  "pss": "304106092a864886f70d01010a3034a00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d"
                         "06096086480165030402010500a203020120"}
    identities = {"ipv4": (1, bytes([192, 0, 2, 1])), "fqdn": (2, b"gw.example"), "mail": (3, b"op@gw.example"), "ipv6": (5, bytes(16)),
                  "dn": (9, name("gw").public_bytes()), "general": (10, b"\x82\x0agw.example"), "keyid": (11, b"key"),
                  "hashes": (17, bytes(60)), "text": (18, b"CN=gw,O=Ex\\2cample,C=DE"), "slashes": (18, b"/C=DE/CN=gw+serialNumber=7"),
                  "spki": (20, made[2].public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)),
                  "der": (255, leaf[:200])}
    write("pki", "pki-identifiers", {key: bytes([choice]) + octets for key, (choice, octets) in identities.items()}
          | {key: b"\x10" + bytes.fromhex(digits) for key, digits in algorithms.items()})


# --- revocation (RFC 5280 §5, RFC 6960): what strangers send, and what the authority of the fixtures signs

def tlv(tag, *parts):
    content = b"".join(parts)
    octets = len(content).to_bytes(max(1, (len(content).bit_length() + 7) // 8), "big")
    return bytes([tag]) + (octets if len(content) < 128 else bytes([0x80 | len(octets)]) + octets) + content


def revocation():
    data = pathlib.Path("pki/tests/data")
    der = lambda path: x509.load_pem_x509_certificate((data / path).read_bytes())
    authority, gateway = der("ed25519.cert.pem"), der("p256.cert.pem")
    sha1 = lambda octets: tlv(4, hashlib.sha1(octets).digest())
    later, before = tlv(0x18, b"20400101000000Z"), tlv(0x18, b"20291231000000Z")
    extension = lambda octets, value, critical=b"": tlv(0x30, tlv(6, bytes(octets)), critical, tlv(4, value))
    critical = b"\1\1\xff"

    def entry(serial, *extensions):
        return tlv(0x30, tlv(2, serial), tlv(0x17, b"291230000000Z"), tlv(0x30, *extensions) if extensions else b"")
    reason = extension(b"\x55\x1d\x15", b"\x0a\1\1")
    entries = tlv(0x30, entry(b"\x12\x67", reason), entry(bytes(range(1, 21))), entry(b"\x07"))
    extensions = lambda *each: tlv(0xa0, tlv(0x30, *each))
    number = extension(b"\x55\x1d\x14", b"\2\1\7")
    scope = lambda *fields: extension(b"\x55\x1d\x1c", tlv(0x30, *fields), critical)
    at = tlv(0xa0, tlv(0xa0, tlv(0x86, b"http://crl.example/")))
    signed = {"entries": later + entries + extensions(number), "empty": later, "endless": entries, "nothing": b"",
              "scope": later + extensions(scope(at, b"\x81\1\xff", b"\x83\2\6\x40")), "indirect": later + extensions(scope(b"\x84\1\xff")),
              "delta": later + extensions(extension(b"\x55\x1d\x1b", b"\2\1\1", critical)),
              "others": later + tlv(0x30, entry(b"\7", extension(b"\x55\x1d\x1d", tlv(0x30, b"\x82\1x"), critical)))}
    blocks = (data / "pkits-crls.pem").read_text().split("-----BEGIN X509 CRL-----")
    bodies = [base64.b64decode(block.split("-----END")[0]) for block in blocks[1:]]
    strange = {f"suite-{at}": bodies[at] for at in (5, 9, 27, 76, 82, 87)}
    write("pki", "pki-crl", {name: b"\1" + octets for name, octets in signed.items()}
          | {name: b"\0" + octets for name, octets in strange.items()})

    key = authority.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    name = authority.subject.public_bytes()
    algorithm = tlv(0x30, tlv(6, b"\x2b\x0e\3\2\x1a"), b"\5\0")
    identifier = tlv(0x30, algorithm, sha1(gateway.issuer.public_bytes()), sha1(key), tlv(2, b"\x12\x67"))
    single = lambda status, *more: tlv(0x30, tlv(0x30, identifier, status, before, tlv(0xa0, later), *more))
    nonce = tlv(0xa1, tlv(0x30, extension(b"\x2b\6\1\5\5\7\x30\1\2", tlv(4, b"\x5a" * 32))))
    good, by_name = b"\x80\0", tlv(0xa1, name)
    answers = {"good": by_name + before + single(good), "nonce": by_name + before + single(good) + nonce,
               "by-key": tlv(0xa2, sha1(key)) + before + single(good), "unknown": by_name + before + single(b"\x82\0"),
               "revoked": by_name + before + single(tlv(0xa1, before, tlv(0xa0, b"\x0a\1\1")))}
    responses = {path.name.removesuffix(".response.der"): path.read_bytes() for path in sorted((data / "ocsp").glob("*.response.der"))}
    write("pki", "pki-ocsp", {name: b"\1" + octets for name, octets in answers.items()}
          | {f"openssl-{name}": b"\0" + octets for name, octets in responses.items()} | {"later": b"\0\x30\3\x0a\1\3"})


def containers():
    """Files of OpenSSL's with one step of key derivation, so that a search is not spent on it."""
    def openssl(*arguments):
        return subprocess.run(["openssl", *arguments], check=True, capture_output=True).stdout

    def inside(octets, *path):
        """The contents of the element that the path leads to, counted from 0 at each depth."""
        for number in path:
            at = 0
            for _ in range(number + 1):
                length, head = octets[at + 1], 2
                if length & 0x80:
                    head += length & 0x7f
                    length = int.from_bytes(octets[at + 2:at + head], "big")
                element = octets[at + head:at + head + length]
                at += head + length
            octets = element
        return octets
    file = lambda name: f"pki/tests/data/{name}"
    one, two = file("p256.cert.pem"), file("ed25519.cert.pem")
    bundle = ["crl2pkcs7", "-nocrl", "-certfile", one]
    write("pki", "pki-pkcs7", {"one": openssl(*bundle, "-outform", "DER"), "two": openssl(*bundle, "-certfile", two),
                               "der": openssl("x509", "-in", two, "-outform", "DER"), "pem": pathlib.Path(two).read_bytes()})
    key = ["pkcs8", "-topk8", "-in", file("p256.pkcs8.pem"), "-passout", "pass:test", "-outform", "DER"]
    write("pki", "pki-pkcs8", {"pbkdf2": openssl(*key, "-iter", "1"), "pbes1": openssl(*key, "-v1", "PBE-SHA1-3DES"),
                               "scrypt": openssl(*key, "-scrypt", "-scrypt_N", "2", "-scrypt_r", "1", "-scrypt_p", "1")})
    pair = ["pkcs12", "-export", "-inkey", file("p256.pkcs8.pem"), "-in", one, "-passout", "pass:test", "-iter", "1"]
    sealed, clear = openssl(*pair), openssl(*pair, "-certpbe", "NONE", "-keypbe", "NONE")
    write("pki", "pki-pkcs12", {"sealed": sealed, "clear": clear,
                                "sealed.safes": inside(sealed, 0, 1, 1, 0), "clear.safes": inside(clear, 0, 1, 1, 0)})


# --- text

def control():
    short = """interface.wan = { device = "af_packet:eth1", addresses = ["192.0.2.2/24"] }
interface.lan = { device = "af_packet:eth2", addresses = ["10.2.0.1/24"] }
[tunnel.branch]
local = "192.0.2.2"
remote = "192.0.2.1"
psk = "a key for a fuzzer"
local-ts = ["10.2.0.0/24"]
remote-ts = ["10.1.0.0/24"]
"""
    rich = """[workers]
count = 2
cores = [0, 1]
idle = "adaptive"
[control]
log = "info"
group = "adm"
[instance.blue]
namespace = "blue"
[port.p]
device = "vdev:net_null0"
[interface.v]
port = "p"
vlan = 7
instance = "blue"
addresses = ["fd00::1/64"]
mtu = 9000
[[route]]
destination = "10.9.0.0/16"
via = "192.0.2.254"
[ike-policy.fast]
proposals = ["aes256gcm16-prfsha384-ecp384", "aes128-sha256-modp2048"]
lifetime = 14400
dpd-interval = 30
fragment-size = 1200
udp-encapsulation = "force"
[ipsec-transform.esn]
proposals = ["aes256gcm16", "aes128gcm16-x25519"]
lifetime-bytes = 1000000
replay-window = 1024
extended-sequence-number = true
"""
    tail = """local-id = "gw.example"
remote-id = "C=DE, CN=peer"
ike-policy = "fast"
ipsec-transform = "esn"
auto-establish = true
child-limit = 8
dscp = 10
[tunnel.branch.child.voice]
ts-pairs = ["10.2.0.0/24 udp/5060 === 10.3.0.0/24 17", "10.2.0.0/24 udp/5061 === 10.3.0.0/25"]
dscp = 46
"""
    manual = """[tunnel.branch.manual]
suite = "aes128gcm16"
inbound-spi = 256
inbound-key = "KEY"
outbound-spi = 300
outbound-key = "KEY"
udp-encapsulation = true
""".replace("KEY", "ab" * 20)
    files = {"short": short, "rich": short + tail + rich, "manual": short.replace('psk = "a key for a fuzzer"\n', "") + manual,
             "any": short.replace('"192.0.2.1"', '"any"').replace("psk =", "psk-file =")}
    write("control", "config-text", {name: text.encode() for name, text in files.items()})
    lines = ['{"jsonrpc":"2.0","id":1,"method":"show.tunnels"}', '{"jsonrpc":"2.0","id":"a","method":"explain","params":{"tunnel":"branch"}}',
             '{"jsonrpc":"2.0","id":2,"method":"rekey","params":{"tunnel":"branch","child":"voice"}}',
             '{"jsonrpc":"2.0","id":3,"method":"events","params":{"after":7,"wait_ms":100}}',
             '{"jsonrpc":"2.0","id":1,"schema":1,"result":{"kind":"done","message":"begun"}}',
             '{"jsonrpc":"2.0","id":1,"schema":1,"error":{"code":3,"message":"no","data":{"error":"not-found","name":"x","known":"a"}}}']
    write("control", "control-line", {f"line-{at}": line.encode() for at, line in enumerate(lines)})


# --- fetching: what servers say (RFC 4511, RFC 1350), URLs, and what is kept

def fetching():
    text = lambda octets: tlv(4, octets)
    values = tlv(0x31, text(b"one"), text(bytes(300)))
    entry = tlv(0x64, text(b"cn=ca"), tlv(0x30, tlv(0x30, text(b"certificateRevocationList;binary"), values)))
    done = lambda tag, code: tlv(tag, tlv(10, bytes([code])), text(b""), text(b"no such object"))
    number = tlv(2, b"\2")
    seeds = {"ldap-entry": b"\0" + number + entry, "ldap-reference": b"\0" + number + tlv(0x73, text(b"ldap://other/")),
             "ldap-bound": b"\0" + number + done(0x61, 0), "ldap-done": b"\0" + number + done(0x65, 32),
             "ldap-extended": b"\0" + number + done(0x78, 0)}
    packets = lambda *each: b"\1" + b"".join(struct.pack("!H", len(packet)) + packet for packet in each)
    block = lambda number, content: struct.pack("!HH", 3, number) + content
    seeds |= {"tftp-plain": packets(block(1, bytes(512)), block(1, bytes(512)), block(2, b"end")),
              "tftp-options": packets(b"\0\6blksize\x001428\0tsize\x00100\0", block(1, bytes(100))),
              "tftp-error": packets(b"\0\5\0\1File not found\0")}
    for at, url in enumerate((b"http://crl.example/a.crl ../b.crl", b"https://user@[2001:db8::1]:8443/a?b=c //other/x",
                              b"ldap://ldap.example/cn=ca,o=x?certificateRevocationList;binary", b"file:///a%20b /c",
                              b"tftp://198.51.100.1/a;mode=octet", b"ftp://user:pw@h/%2e%2e/x #f")):
        seeds[f"url-{at}"] = b"\2" + url
    seeds["kept-for"] = b"\3max-age=3600, must-revalidate\n60"
    seeds["kept-not"] = b"\3no-store\n"
    write("pki/fetch", "fetch-answers", seeds)


ike()
packets()
certificates()
revocation()
containers()
fetching()
control()
