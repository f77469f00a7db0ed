"""A mail server for tests.

    smtp_server.py FOLDER PORT [--tls none|starttls|wrapper] [--auth USER:PASSWORD]

It prints `ready` when it listens, and ends when its standard input does. In FOLDER it keeps

    1.eml, 2.eml, …    what it was given, byte by byte
    1.json, 2.json, …  the envelope: sender, recipients, whether the connection was encrypted, who was logged in
    refusals           a line for each mail that it refused
    ca.pem             the authority behind its certificate, with --tls

and obeys the file FOLDER/refuse: while it is there, its text, such as `451 4.3.0 Later`, is the answer to every RCPT.
"""

import argparse
import asyncio
import json
import pathlib
import ssl
import sys

import trustme
from aiosmtpd.smtp import SMTP, AuthResult


class Keeper:
    """Keeps every mail."""

    def __init__(self, folder):
        self.folder = folder
        self.count = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        order = self.folder / "refuse"
        if order.exists():
            with (self.folder / "refusals").open("a") as refusals:
                refusals.write(address + "\n")
            return order.read_text().strip()
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server, session, envelope):
        self.count += 1
        login = session.auth_data
        facts = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "encrypted": server.transport.get_extra_info("ssl_object") is not None,
            "user": login if login is None else login.login.decode(),
        }
        (self.folder / f"{self.count}.json").write_text(json.dumps(facts))
        draft = self.folder / "draft"
        draft.write_bytes(envelope.original_content)
        draft.rename(self.folder / f"{self.count}.eml")
        return "250 2.0.0 OK"


def authenticator(expected):
    """Compares with `user:password`."""

    def check(server, session, envelope, mechanism, data):
        given = data.login.decode() + ":" + data.password.decode()
        return AuthResult(success=given == expected, handled=False, auth_data=data)

    return check


def certificate(folder):
    """A certificate for 127.0.0.1, signed by an authority that nobody knows but through ca.pem."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    return context


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("port", type=int)
    parser.add_argument("--tls", default="none", choices=["none", "starttls", "wrapper"])
    parser.add_argument("--auth")
    options = parser.parse_args()

    context = None if options.tls == "none" else certificate(options.folder)
    keeper = Keeper(options.folder)
    settings = {"enable_SMTPUTF8": True}
    if options.auth:
        settings["authenticator"] = authenticator(options.auth)
        settings["auth_required"] = True
        settings["auth_require_tls"] = False
    if options.tls == "starttls":
        settings["tls_context"] = context

    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(keeper, loop=loop, **settings),
        "127.0.0.1",
        options.port,
        ssl=context if options.tls == "wrapper" else None,
    )
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


asyncio.run(main())
