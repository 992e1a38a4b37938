"""Prints the boards on a network as python-zeroconf reports them, in JSON Lines.

usage: browse.py ADDRESS_OF_THE_INTERFACE; exits at the end of its standard input.
"""

import json
import sys

from zeroconf import IPVersion, ServiceBrowser, ServiceListener, Zeroconf

TYPE = "_tcpctl._tcp.local."


class Printer(ServiceListener):
    def add_service(self, zc, type_, name):
        info = zc.get_service_info(type_, name, timeout=20_000)
        tell(
            event="added",
            name=name,
            host=info.server,
            addresses=info.parsed_addresses(),
            port=info.port,
            txt={key.decode(): value.decode() for key, value in info.properties.items()},
        )

    def update_service(self, zc, type_, name):
        pass

    def remove_service(self, zc, type_, name):
        tell(event="removed", name=name)


def tell(**event):
    print(json.dumps(event), flush=True)


zeroconf = Zeroconf(interfaces=[sys.argv[1]], ip_version=IPVersion.V4Only)
ServiceBrowser(zeroconf, TYPE, listener=Printer())
sys.stdin.read()
zeroconf.close()
