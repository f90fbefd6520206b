#!/usr/bin/python3
"""Judge of raw ESP: scapy's ESP as an oracle that shares no code with ravelind.

    esp_oracle.py configuration WORKERS                          prints ravelind's configuration
    esp_oracle.py judge PEER-NS HOST-NS GATEWAY-NS SOCKET COUNT  judges a running ravelind
    esp_oracle.py configuration WORKERS 9000                     the same on jumbo links
    esp_oracle.py sizes PEER-NS HOST-NS GATEWAY-NS SOCKET COUNT  so many packets of all sizes to 9000, and no attack

One manual tunnel for every combination of outer family, inner family, extended sequence
numbers and key length of AES-GCM, one for each other suite, some in UDP, and two at the ends
of the sequence space. The oracle
plays the peer on the public segment and the host behind ravelind: it encrypts an inner UDP
datagram of random size, receives it on the host's socket, echoes it there, and decrypts what
ravelind sends back. Every byte of the payload, the addresses, the TTLs, the sequence numbers
and the IVs are compared (RFC 4303, RFC 4106 section 4, RFC 4301 section 5.1.2).
"""
import itertools
import logging
import random
import socket
import struct
import sys
import time

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from judge import Control, Wire, check, drop, drops_since, fail, mac_of, namespace, wait_for

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.all import ESP, IP, UDP, IPv6, Raw, raw  # noqa: E402
from scapy.layers.ipsec import CRYPT_ALGOS, AuthAlgo, CryptAlgo, IPSecIntegrityError, SecurityAssociation  # noqa: E402

PORT = 9000
WINDOW = 1024
OUTER = {4: ("192.0.2.2", "192.0.2.1"), 6: ("2001:db8::2", "2001:db8::1")}
HOST = {4: "10.2.0.2", 6: "fd00:2::2"}
HEADER = {4: IP, 6: IPv6}


# Of a hash: scapy's name, octets of key.
HASHES = {"sha1": ("HMAC-SHA1-96", 20), "sha256": ("SHA2-256-128", 32), "sha384": ("SHA2-384-192", 48),
          "sha512": ("SHA2-512-256", 64), "md5": ("HMAC-MD5-96", 16), "aescmac": ("AES-CMAC-96", 16)}
# Of a cipher: scapy's name, octets of salt, octets of IV.
CIPHERS = {"gcm16": ("AES-GCM", 4, 8), "ccm16": ("AES-CCM", 3, 8), "gmac": ("AES-NULL-GMAC", 4, 8), "poly1305": ("CHACHA20-POLY1305", 4, 8),
           "cbc": ("AES-CBC", 0, 16), "null": ("NULL", 0, 0), "3des": ("3DES", 0, 8), "des": ("DES", 0, 8)}
# Bits of key where the name does not say.
BITS = {"null": 0, "poly1305": 256, "3des": 192, "des": 64}


class Suite:
    """An ESP suite by ravelind's name for it, as scapy takes it."""

    def __init__(self, name):
        self.name, (cipher, _, hashed) = name, name.partition("-")
        aes = cipher.removeprefix("aes")
        kind = next((kind for kind in CIPHERS if cipher.endswith(kind)), "cbc")
        self.cipher, salt, self.iv = CIPHERS[kind]
        bits = BITS[kind] if kind in BITS else int(aes[:3])
        self.key = bits // 8 + salt
        self.hash, self.hash_key = HASHES.get(hashed, (None, 0))


class WithNumber(AuthAlgo):
    """HMAC over a packet and the half of its number that is not sent (RFC 4303 section 2.2.1): scapy leaves that out."""

    def __init__(self, of, high):
        super().__init__(of.name, of.mac, of.digestmod, of.icv_size)
        self.high = high

    def new_mac(self, key):
        mac, high = super().new_mac(key), self.high

        class Mac:
            update = staticmethod(mac.update)

            @staticmethod
            def finalize():
                mac.update(high)
                return mac.finalize()
        return Mac


class Gmac(CryptAlgo):
    """RFC 4543, which scapy has not: AES-GCM of nothing, over everything in front of the ICV."""

    def __init__(self):
        super().__init__("AES-NULL-GMAC", cipher=AESGCM, key_size=(16, 24, 32), mode=None, salt_size=4, block_size=1, iv_size=8, icv_size=16)

    @staticmethod
    def _associated(esp, esn_en, esn, rest):
        return struct.pack("!L", esp.spi) + (struct.pack("!L", esn) if esn_en else b"") + struct.pack("!L", esp.seq) + rest

    def encrypt(self, sa, esp, key, icv_size=None, esn_en=False, esn=0):
        text = esp.iv + esp.data_for_encryption()
        icv = AESGCM(key).encrypt(sa.crypt_salt + esp.iv, b"", self._associated(esp, esn_en, esn, text))
        return ESP(spi=esp.spi, seq=esp.seq, data=text + icv)

    def decrypt(self, sa, esp, key, icv_size=None, esn_en=False, esn=0):
        text, icv = esp.data[:-16], esp.data[-16:]
        AESGCM(key).decrypt(sa.crypt_salt + text[:8], icv, self._associated(esp, esn_en, esn, text))
        return CRYPT_ALGOS["NULL"].decrypt(sa, ESP(spi=esp.spi, seq=esp.seq, data=text[8:]), None, icv_size=0)


CRYPT_ALGOS["AES-NULL-GMAC"] = Gmac()


class Tunnel:
    """One manual tunnel as both sides know it; `sa` of ravelind's point of view in and out."""

    def __init__(self, number, outer, inner, esn, suite, first=1, udp=False):
        self.number, self.outer, self.inner, self.esn, self.suite = number, outer, inner, esn, Suite(suite)
        self.first, self.udp = first, udp
        self.name = f"t{number}-o{outer}-i{inner}-{'esn' if esn else 'noesn'}-{suite}" + ("-udp" if udp else "")
        draw = random.Random(number)
        self.keys = [draw.randbytes(self.suite.key) for _ in range(2)]
        self.hash_keys = [draw.randbytes(self.suite.hash_key) for _ in range(2)]
        self.spis = [1000 + number, 2000 + number]
        self.peer = f"10.1.{number}.2" if inner == 4 else f"fd00:1:0:{number:x}::2"
        self.send_sequence, self.seen, self.ivs = first, [], set()

    def toml(self):
        local, remote = OUTER[self.outer]
        ours, theirs = ("10.2.0.0/24", f"10.1.{self.number}.0/24") if self.inner == 4 else \
                       ("fd00:2::/64", f"fd00:1:0:{self.number:x}::/64")
        lines = [f"[tunnel.{self.name}]", f'local = "{local}"', f'remote = "{remote}"', f'local-ts = ["{ours}"]',
                 f'remote-ts = ["{theirs}"]', f"[tunnel.{self.name}.manual]", f'suite = "{self.suite.name}"',
                 f"inbound-spi = {self.spis[0]}", f"outbound-spi = {self.spis[1]}",
                 *(f'{direction}-{kind} = "{keys[at].hex()}"' for at, direction in enumerate(("inbound", "outbound"))
                   for kind, keys in (("key", self.keys), ("integrity-key", self.hash_keys)) if keys[at]),
                 f"extended-sequence-number = {str(self.esn).lower()}", f"replay-window = {WINDOW}",
                 f"first-sequence = {self.first}", f"udp-encapsulation = {str(self.udp).lower()}"]
        return "\n".join(lines) + "\n"

    def _association(self, direction, sequence):
        """scapy's SA; the upper half of an extended sequence number is handed to it."""
        local, remote = OUTER[self.outer]
        header = HEADER[self.outer](src=remote, dst=local)
        more = {"esn_en": True, "esn": sequence >> 32} if self.esn else {}
        made = SecurityAssociation(ESP, spi=self.spis[direction], crypt_algo=self.suite.cipher, crypt_key=self.keys[direction],
                                   auth_algo=self.suite.hash, auth_key=self.hash_keys[direction], tunnel_header=header, **more)
        if self.esn and self.suite.hash:
            made.auth_algo = WithNumber(made.auth_algo, struct.pack("!L", sequence >> 32))
        return made

    def encrypt(self, inner, sequence):
        more = {"esn_en": True, "esn": sequence >> 32} if self.esn else {}
        packet = HEADER[self.inner](raw(inner))
        association = self._association(0, sequence)
        association.seq_num = sequence & 0xFFFFFFFF  # as an argument scapy takes 0 for absent
        sealed = association.encrypt(packet, **more)
        return self._into_udp(sealed) if self.udp else raw(sealed)

    def _into_udp(self, sealed):
        """RFC 3948: checksum zero over IPv4; over IPv6 a true one."""
        udp = UDP(sport=4500, dport=4500, **({"chksum": 0} if self.outer == 4 else {}))
        local, remote = OUTER[self.outer]
        return raw(HEADER[self.outer](src=remote, dst=local) / udp / Raw(raw(sealed[ESP])))

    def decrypt(self, packet, sequence):
        more = {"esn_en": True, "esn": sequence >> 32} if self.esn else {}
        header = 20 if self.outer == 4 else 40
        local, remote = OUTER[self.outer]
        sealed = HEADER[self.outer](src=local, dst=remote) / ESP(packet[header + (8 if self.udp else 0):])
        return self._association(1, sequence).decrypt(HEADER[self.outer](raw(sealed)), **more)

    def datagram(self, payload, source=None):
        """An inner datagram from the peer's network to the host."""
        header = HEADER[self.inner](src=source or self.peer, dst=HOST[self.inner])
        return raw(header / UDP(sport=PORT, dport=PORT) / Raw(payload))

    def next_sequence(self):
        self.send_sequence += 1
        return self.send_sequence - 1


def tunnels():
    combinations = itertools.product((4, 6), (4, 6), (False, True), (f"aes{bits}gcm16" for bits in (128, 192, 256)))
    made = [Tunnel(number, *what) for number, what in enumerate(combinations, 1)]
    made.append(Tunnel(len(made) + 1, 4, 4, False, "aes128gcm16", udp=True))
    made.append(Tunnel(len(made) + 1, 6, 4, False, "aes256gcm16", udp=True))
    made.append(Tunnel(len(made) + 1, 4, 4, True, "aes128gcm16", first=(1 << 32) - 8))
    others = [f"{cipher}-{hashed}" for cipher in ("aes128", "aes192", "aes256", "null") for hashed in HASHES]
    others += ["chacha20poly1305", *(f"aes{bits}{mode}" for bits in (128, 192, 256) for mode in ("gmac", "ccm16"))]
    others += ["3des-sha1", "3des-md5", "3des-sha256", "des-md5", "aes128-md5", "null-md5"]
    for at, suite in enumerate(others):
        # Each of the families outside and inside, numbers of either length, bare and in UDP; some cross 2^32.
        esn = at % 3 > 0
        first = (1 << 32) - 8 if at % 3 == 2 else 1
        made.append(Tunnel(len(made) + 1, (4, 6)[at & 1], (4, 6)[at >> 1 & 1], esn, suite, first=first, udp=at % 5 == 0))
    return made


def last():
    """The tunnel that begins five packets before its sequence numbers end."""
    return Tunnel(100, 4, 4, False, "aes128gcm16", first=(1 << 32) - 5)


def configuration(workers, mtu=1500):
    cores = ", ".join("0" if core == 0 else "1" for core in range(workers))
    print("allow-legacy = true")
    print('interface.wan = { device = "af_packet:wan0", addresses = ["192.0.2.2/24", "2001:db8::2/64"], mtu = MTU }'.replace("MTU", str(mtu)))
    print('interface.lan = { device = "af_packet:lan0", addresses = ["10.2.0.1/24", "fd00:2::1/64"], mtu = MTU }'.replace("MTU", str(mtu)))
    print(f"[workers]\ncount = {workers}\ncores = [{cores}]\n")
    print('[ike]\nprofile = "legacy"\n')
    for tunnel in [*tunnels(), last()]:
        print(tunnel.toml())


class Judge:
    """The peer's wire, the host's sockets, and what is true of every packet."""

    def __init__(self, peer_ns, host_ns, gateway_ns, path):
        self.control = Control(path)
        self.wire = Wire(peer_ns, "wan0", mac_of(gateway_ns, "wan0"))
        self.host = {4: self._socket(host_ns, 4), 6: self._socket(host_ns, 6)}
        self.by_spi = {tunnel.spis[1]: tunnel for tunnel in [*tunnels(), last()]}

    @staticmethod
    def _socket(name, family):
        with namespace(name):
            made = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
        made.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
        if family == 4:
            made.setsockopt(socket.IPPROTO_IP, 12, 1)  # IP_RECVTTL
        else:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        made.bind((HOST[family], PORT))
        return made

    def at_host(self, family, seconds=0.2, echo=False, expected=0):
        """(payload, from, ttl) of every datagram the host gets, until none came for so long; patient
        while fewer than expected have come."""
        host, got = self.host[family], []
        while True:
            host.settimeout(3 if len(got) < expected else seconds)
            try:
                payload, extra, _, source = host.recvmsg(65536, 256)
            except (socket.timeout, BlockingIOError):
                return got
            ttl = next(struct.unpack("i", value[:4])[0] for _, _, value in extra)
            got.append((payload, source[0], ttl))
            if echo:
                host.sendto(payload, source)

    def at_peer(self, seconds=0.2, expected=0):
        """(tunnel, sequence, inner packet) of all ESP the peer gets, decrypted and checked; patient as above."""
        patience = lambda got: 3 if got < expected else seconds
        return [self.open(packet) for packet in self.wire.receive(patience, is_esp)]

    def open(self, packet):
        payload = packet[20:] if packet[0] >> 4 == 4 else packet[40:]
        udp = (packet[9] if packet[0] >> 4 == 4 else packet[6]) == 17
        spi, low = struct.unpack("!II", payload[8:16] if udp else payload[:8])
        tunnel = self.by_spi.get(spi)
        check(tunnel, f"ESP with SPI {spi}, which no tunnel sends on")
        check(udp == tunnel.udp, f"{tunnel.name}: UDP encapsulation is {udp}")
        outer = HEADER[tunnel.outer](packet)
        check((outer.src, outer.dst) == OUTER[tunnel.outer], f"{tunnel.name}: outer addresses are {outer.src} and {outer.dst}")
        sequence = low
        if tunnel.esn:  # what the receiver must guess: the sender never goes back
            least = tunnel.seen[-1] if tunnel.seen else tunnel.first
            sequence += (least >> 32) << 32
            sequence += 1 << 32 if sequence < least else 0
        try:
            inner = tunnel.decrypt(packet, sequence)
        except (IPSecIntegrityError, InvalidTag) as error:
            fail(f"{tunnel.name}: sequence {sequence} does not decrypt: {error!r}")
        front = 16 if udp else 8
        iv = payload[front : front + tunnel.suite.iv]
        check(not iv or iv not in tunnel.ivs, f"{tunnel.name}: an IV was used twice (RFC 4106 section 3.1)")
        tunnel.ivs.add(iv)
        check(not tunnel.seen or sequence > tunnel.seen[-1], f"{tunnel.name}: sequence {sequence} after {tunnel.seen[-1:]}")
        tunnel.seen.append(sequence)
        return tunnel, sequence, inner

    def warm_up(self, all_tunnels):
        """Until each outer and inner neighbour is resolved, packets may be lost."""
        for tunnel in all_tunnels:
            def answered(tunnel=tunnel):
                self.wire.send(tunnel.encrypt(tunnel.datagram(b"warm up!"), tunnel.next_sequence()))
                self.at_host(tunnel.inner, 0.05, echo=True)
                return any(which is tunnel for which, _, _ in self.at_peer(0.05))
            wait_for(10, f"{tunnel.name}: first answer", answered)

    def round_trips(self, tunnel, count, largest=1300):
        """Random sizes there and back, in bursts; everything must come, once, unchanged."""
        before = len(tunnel.seen)
        payloads = [number.to_bytes(8, "big") + random.randbytes(random.randrange(largest)) for number in range(count)]
        for payload in payloads:
            self.wire.send(tunnel.encrypt(tunnel.datagram(payload), tunnel.next_sequence()))
        got = self.at_host(tunnel.inner, 0.05, echo=True, expected=count)
        check([payload for payload, _, _ in got] == payloads, f"{tunnel.name}: {count} sent in up to sequence {tunnel.send_sequence - 1:#x}, the host got {[int.from_bytes(payload[:8], 'big') for payload, _, _ in got]}")
        check({(source, ttl) for _, source, ttl in got} == {(tunnel.peer, 63)}, f"{tunnel.name}: source or TTL changed: {got[0][1:]}")
        back = self.at_peer(0.05, expected=count)
        check([raw(inner[UDP].payload) for _, _, inner in back] == payloads, f"{tunnel.name}: {count} sent back, {len(back)} came, or others")
        for which, _, inner in back:
            check(which is tunnel, f"{which.name} carried a packet of {tunnel.name}")
            left = inner.ttl if tunnel.inner == 4 else inner.hlim
            check((inner.src, inner.dst, left) == (HOST[tunnel.inner], tunnel.peer, 63), f"{tunnel.name}: inner header is {inner.summary()}, TTL {left}")
        sequences = tunnel.seen[before:]
        check(sequences == list(range(sequences[0], sequences[0] + count)), f"{tunnel.name}: sequence numbers {sequences}")

    def over_all(self, tunnels, count, largest):
        """So many round trips at least, as many over each tunnel; how many that is."""
        each = -(-count // len(tunnels))
        for tunnel in tunnels:
            for begun in range(0, each, BURST):
                self.round_trips(tunnel, min(BURST, each - begun), largest)
        return each

    def refused(self, tunnel, packets, counter):
        """None of these packets reaches the host; each is counted under that name."""
        before = self.control.counters()
        for packet in packets:
            self.wire.send(packet)
        got = self.at_host(tunnel.inner, 0.1)
        check(not got, f"{tunnel.name}: {len(got)} packets came through that had to end under {counter}")
        drops_since(self.control, before, counter, len(packets))

    def accepted(self, tunnel, packet):
        self.wire.send(packet)
        got = self.at_host(tunnel.inner, 0.05, expected=1)
        check(len(got) == 1, f"{tunnel.name}: a good packet came through {len(got)} times")

    def replays(self, tunnel):
        """RFC 4303 section 3.4.3: once only, and only inside the window."""
        seal = lambda sequence: tunnel.encrypt(tunnel.datagram(b"replayed"), sequence)
        once = seal(tunnel.next_sequence())
        self.accepted(tunnel, once)
        self.refused(tunnel, [once] * 3, "replay-duplicate")
        late = tunnel.next_sequence()
        tunnel.send_sequence += WINDOW // 2
        self.accepted(tunnel, seal(tunnel.next_sequence()))
        self.accepted(tunnel, seal(late))
        too_late = tunnel.next_sequence()
        tunnel.send_sequence += 2 * WINDOW
        self.accepted(tunnel, seal(tunnel.next_sequence()))
        if not tunnel.esn:  # with ESN it is taken for a number of the next 2^32 (RFC 4304 appendix A)
            self.refused(tunnel, [seal(too_late)], "replay-too-old")
        else:
            self.refused(tunnel, [seal(too_late)], "bad-icv")

    def forgeries(self, tunnel):
        """Altered anywhere, a packet is refused, and leaves the window where it was."""
        good = tunnel.encrypt(tunnel.datagram(b"tampered"), tunnel.next_sequence())
        start = (20 if tunnel.outer == 4 else 40) + (8 if tunnel.udp else 0)
        for place in (start + 7, start + 8, start + 20, len(good) - 17, len(good) - 1):
            forged = bytearray(good)
            forged[place] ^= 0x40
            if place == start + 7:  # the sequence number: keep it inside the window
                forged[place] = good[place] ^ 1
            self.refused(tunnel, [bytes(forged)], "replay-duplicate" if self.known(forged, start, tunnel) else "bad-icv")
        far = bytearray(good)
        far[start + 4 : start + 8] = struct.pack("!I", (tunnel.send_sequence + 100_000) & 0xFFFFFFFF)
        self.refused(tunnel, [bytes(far)] * 2, "bad-icv")
        self.accepted(tunnel, good)
        stranger = bytearray(good)
        stranger[start : start + 4] = struct.pack("!I", 54321)
        self.refused(tunnel, [bytes(stranger)], "sa-miss")
        outside = tunnel.datagram(b"outside!", source="10.9.9.9" if tunnel.inner == 4 else "fd00:9::9")
        self.refused(tunnel, [tunnel.encrypt(outside, tunnel.next_sequence())], "policy-error")

    @staticmethod
    def known(forged, start, tunnel):
        """Whether the altered sequence number is one that came before."""
        low = struct.unpack("!I", forged[start + 4 : start + 8])[0]
        return low < (tunnel.send_sequence - 1) & 0xFFFFFFFF

    def end_of_numbers(self, tunnel):
        """RFC 4303 section 3.3.3: without ESN the last sequence number is 2^32-1; then nothing leaves."""
        before = self.control.counters()
        for number in range(9):
            self.host[4].sendto(number.to_bytes(8, "big"), (tunnel.peer, PORT))
        out = [sequence for _, sequence, _ in self.at_peer(expected=5)]
        check(out == list(range((1 << 32) - 5, 1 << 32)), f"{tunnel.name}: sequence numbers at the end: {out}")
        drops_since(self.control, before, "sequence-exhausted", 4)


def is_esp(packet):
    """ESP to the peer: raw, or in UDP 4500 with an SPI (RFC 3948 section 2.2)."""
    protocol, payload = (packet[9], packet[20:]) if packet[0] >> 4 == 4 else (packet[6], packet[40:])
    return protocol == 50 or (protocol == 17 and payload[2:4] == b"\x11\x94" and len(payload) > 12 and payload[8:12] != bytes(4))


def judge(peer_ns, host_ns, gateway_ns, path, count):
    seed = time.time_ns() & 0xFFFF
    random.seed(seed)
    one = Judge(peer_ns, host_ns, gateway_ns, path)
    every = [tunnel for spi, tunnel in one.by_spi.items() if tunnel.number != 100]
    one.warm_up(every)
    each = one.over_all(every, count, 1300)
    hard = [tunnel for tunnel in every if tunnel.suite.name not in ("aes192gcm16", "aes256gcm16")]
    for tunnel in hard:
        one.replays(tunnel)
        one.forgeries(tunnel)
        one.round_trips(tunnel, 3)
    one.end_of_numbers(one.by_spi[last().spis[1]])
    wrapped = [tunnel for tunnel in every if tunnel.first > 1 and tunnel.seen[-1] >> 32]
    check(wrapped, "no tunnel crossed 2^32")
    spread = sum(1 for worker in one.control.call("show.workers")["workers"] if worker["forwarded"])
    drops = {name: value for name, value in one.control.counters().items() if value and name.startswith("drop-")}
    print(f"  {len(every)} tunnels, {each * len(every)} packets each way equal, {len(hard)} of them attacked, "
          f"{spread} workers forwarded, drops {drops}, seed {seed}", file=sys.stderr)


# Payload of a datagram whose ESP packet fits 9000 octets whatever is around it.
LARGEST = 9000 - 40 - 8 - 8 - 16 - 40 - 8 - 16 - 32 - 8
# Packets under way at a time.
BURST = 50


def sizes(peer_ns, host_ns, gateway_ns, path, count):
    """So many packets each way over all tunnels, of all sizes."""
    seed = time.time_ns() & 0xFFFF
    random.seed(seed)
    one = Judge(peer_ns, host_ns, gateway_ns, path)
    every = [tunnel for tunnel in one.by_spi.values() if tunnel.number != 100]
    one.warm_up(every)
    before = {name: value for name, value in one.control.counters().items() if name.startswith("drop-")}
    sent = one.over_all(every, count, LARGEST) * len(every)
    dropped = {name: value - before[name] for name, value in one.control.counters().items() if name.startswith("drop-") and value > before[name]}
    check(not dropped, f"packets were dropped: {dropped}")
    print(f"  {len(every)} tunnels, {sent} packets of up to {LARGEST + 36} octets each way equal, seed {seed}", file=sys.stderr)


if __name__ == "__main__":
    if sys.argv[1:2] == ["configuration"]:
        configuration(*map(int, sys.argv[2:]))
    elif sys.argv[1:2] == ["sizes"]:
        sizes(*sys.argv[2:6], int(sys.argv[6]))
    else:
        judge(*sys.argv[2:6], int(sys.argv[6]))
