"""A mail server for tests: aiosmtpd, with a user. Prints its port, and each mail as a line of JSON; it ends with its standard input.

    smtp.py starttls|tls|none|hang CERTIFICATE KEY
"""

import json
import socket
import ssl
import sys
import threading

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

mode, certificate, key = sys.argv[1:]


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("full"):
            return "452 4.2.2 The mailbox is full"
        if address.startswith("nobody"):
            return "550 5.1.1 There is no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        print(json.dumps({
            "from": envelope.mail_from, "to": envelope.rcpt_tos, "text": envelope.content.decode(),
            "sealed": mode == "tls" or session.ssl is not None, "user": session.auth_data and session.auth_data.login.decode(),
        }), flush=True)
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    may = (data.login, data.password) == (b"ops", b"mail-secret")
    # What is not handled is answered by 535.
    return AuthResult(success=may, handled=False, auth_data=data)


if mode == "hang":
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    sys.stdin.read()
    sys.exit()

tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
tls.load_cert_chain(certificate, key)
# A port that was free a moment ago: the controller does not say which one it took.
with socket.create_server(("127.0.0.1", 0)) as probe:
    port = probe.getsockname()[1]
options = {
    "starttls": {"tls_context": tls, "require_starttls": True, "authenticator": authenticate, "auth_required": True},
    "tls": {"ssl_context": tls, "authenticator": authenticate, "auth_required": True, "auth_require_tls": False},
    "none": {},
}[mode]
controller = Controller(Handler(), hostname="127.0.0.1", port=port, **options)
controller.start()
print(port, flush=True)
sys.stdin.read()
controller.stop()
