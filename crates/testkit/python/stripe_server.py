"""localstripe on loopback, with what it knows kept in memory only, until standard input ends.

    stripe_server.py PORT
"""

import os
import sys
import threading

from aiohttp import web
from localstripe import resources, server


def watch():
    sys.stdin.read()
    os._exit(0)


resources.Store.dump_to_disk = lambda store: None
threading.Thread(target=watch, daemon=True).start()
web.run_app(server.app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
