"""Publishes a board with python-zeroconf.

usage: publish.py ADDRESS_OF_THE_INTERFACE NAME PORT; exits at the end of its standard input.
"""

import socket
import sys

from zeroconf import IPVersion, ServiceInfo, Zeroconf

TYPE = "_tcpctl._tcp.local."

address, name, port = sys.argv[1:]
zeroconf = Zeroconf(interfaces=[address], ip_version=IPVersion.V4Only)
zeroconf.register_service(
    ServiceInfo(
        TYPE,
        f"{name}.{TYPE}",
        addresses=[socket.inet_aton(address)],
        port=int(port),
        properties={"chip": "esp32c6", "mode": "sta", "fw": "7"},
        server="snake.local.",
    )
)
print("published", flush=True)
sys.stdin.read()
zeroconf.close()
