"""Carries bytes between two hosts and compares what arrived with what left.

serve PORT                          answers on TCP and UDP, IPv4 and IPv6, until it is killed
send PORT SOURCE_PORT KIND@ADDRESS  KIND is tcp, udp (a datagram a call), uso (many datagrams in one call, UDP_SEGMENT)
     ...                            or big (datagrams that leave in fragments); fails when the other end's hash is another
"""

import hashlib
import random
import selectors
import socket
import struct
import sys

UDP_SEGMENT = 103
#: A datagram's number and the count of all.
HEAD = struct.Struct("!II")
#: Datagrams of one call.
BATCH = 32
PATIENCE = 15


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def take(connection):
    """Reads to the end of a TCP stream and answers with the hash of it."""
    digest = hashlib.sha256()
    while data := connection.recv(1 << 20):
        digest.update(data)
    connection.sendall(digest.digest())
    connection.close()


def serve(port):
    selector = selectors.DefaultSelector()
    heard = {}
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        # One for both families.
        sock = socket.socket(socket.AF_INET6, kind)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(("::", port))
        if kind == socket.SOCK_STREAM:
            sock.listen()
        selector.register(sock, selectors.EVENT_READ, kind)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            if key.data == socket.SOCK_STREAM:
                connection, _ = key.fileobj.accept()
                connection.settimeout(PATIENCE)
                try:
                    take(connection)
                except OSError:
                    connection.close()
                continue
            data, sender = key.fileobj.recvfrom(1 << 16)
            number, count = HEAD.unpack_from(data)
            got = heard.setdefault(sender, {})
            got[number] = data[HEAD.size :]
            answer = data[: HEAD.size]
            if len(got) == count:
                whole = b"".join(got[i] for i in range(count))
                answer += hashlib.sha256(whole).digest()
            key.fileobj.sendto(answer, sender)


def send_stream(address, port, source_port, data):
    sock = socket.socket(family_of(address), socket.SOCK_STREAM)
    sock.settimeout(PATIENCE)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("", source_port))
    sock.connect((address, port))
    sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)
    answer = b""
    while part := sock.recv(64):
        answer += part
    return answer


def send_datagrams(address, port, source_port, data, datagram, in_one_call):
    size = datagram - HEAD.size
    count = -(-len(data) // size)
    pieces = [HEAD.pack(i, count) + data[i * size : (i + 1) * size] for i in range(count)]
    sock = socket.socket(family_of(address), socket.SOCK_DGRAM)
    sock.settimeout(0.5)
    sock.bind(("", source_port))
    sock.connect((address, port))
    missing = set(range(count))
    for _ in range(PATIENCE * 2):
        for start in range(0, count, BATCH):
            batch = [i for i in range(start, min(count, start + BATCH)) if i in missing]
            if not batch:
                continue
            if in_one_call:
                segment = struct.pack("=H", datagram)
                sock.sendmsg([pieces[i] for i in batch], [(socket.IPPROTO_UDP, UDP_SEGMENT, segment)])
            else:
                for i in batch:
                    sock.send(pieces[i])
            try:
                while not missing.isdisjoint(batch):
                    answer = sock.recv(1 << 16)
                    missing.discard(HEAD.unpack_from(answer)[0])
                    if len(answer) > HEAD.size:
                        return answer[HEAD.size :]
            except TimeoutError:
                pass
    return b""


#: Bytes to carry, and of a datagram, by kind.
KINDS = {"tcp": (1 << 20, 0), "udp": (24_000, 1200), "uso": (240_000, 1200), "big": (60_000, 6000)}


def send(port, source_port, kind, address):
    size, datagram = KINDS[kind]
    data = random.Random(source_port).randbytes(size)
    if kind == "tcp":
        answer = send_stream(address, port, source_port, data)
    else:
        answer = send_datagrams(address, port, source_port, data, datagram, kind == "uso")
    digest = hashlib.sha256(data).digest()
    if answer != digest:
        sys.exit(f"{kind} to {address}: sent {digest.hex()}, the other end has {answer.hex() or 'nothing'}")


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    else:
        port, source_port = map(int, sys.argv[2:4])
        for i, what in enumerate(sys.argv[4:]):
            send(port, source_port + i, *what.split("@"))
