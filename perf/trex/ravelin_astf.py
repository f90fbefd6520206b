"""TRex stateful profile: HTTP transfers over TCP through every tunnel of the bench in docs/benchmarking.md.

    start -f perf/trex/ravelin_astf.py -m 1000 -d 60 -t --tunnels 1000 --octets 100000

Clients are hosts behind gateway A, servers one host in the /24 of each tunnel behind gateway B. What to look at:
retransmissions (`show stats`), which a lossless gateway does not cause, and transfers a second.
"""
import argparse

from trex.astf.api import (
    ASTFAssociationRule, ASTFIPGen, ASTFIPGenDist, ASTFIPGenGlobal, ASTFProfile, ASTFProgram,
    ASTFTCPClientTemplate, ASTFTCPServerTemplate, ASTFTemplate,
)

REQUEST = b"GET / HTTP/1.1\r\nHost: ravelin.example\r\n\r\n"
FIRST = 20 << 24


def address(number):
    return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))


def response(octets):
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % octets + b"r" * octets


class Ravelin:
    def get_profile(self, tunables=(), **_):
        parser = argparse.ArgumentParser(prog="ravelin_astf.py")
        parser.add_argument("--tunnels", type=int, default=1)
        parser.add_argument("--octets", type=int, default=100_000)
        options = parser.parse_args(list(tunables))
        if not 1 <= options.tunnels <= 32000:
            raise ValueError("tunnels: 1 to 32000")
        answer = response(options.octets)
        client, server = ASTFProgram(), ASTFProgram()
        client.send(REQUEST)
        client.recv(len(answer))
        server.recv(len(REQUEST))
        server.send(answer)
        clients = ASTFIPGenDist(ip_range=["10.1.0.9", "10.1.255.250"], distribution="seq")
        servers = ASTFIPGenDist(
            ip_range=[address(FIRST + 1), address(FIRST + (options.tunnels << 8) - 2)], distribution="rand")
        addresses = ASTFIPGen(
            glob=ASTFIPGenGlobal(ip_offset="0.0.0.0"), dist_client=clients, dist_server=servers)
        template = ASTFTemplate(
            client_template=ASTFTCPClientTemplate(program=client, ip_gen=addresses, cps=1, port=80),
            server_template=ASTFTCPServerTemplate(program=server, assoc=ASTFAssociationRule(port=80)),
        )
        return ASTFProfile(default_ip_gen=addresses, templates=template)


def register():
    return Ravelin()
