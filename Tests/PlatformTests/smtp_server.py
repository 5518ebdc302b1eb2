"""A mail server for tests: aiosmtpd on a free port of the loopback interface.

Prints the port as its first line, then a line of JSON for each mail that it has taken, as Python's email package reads
it. Ends when its standard input does, so that it never outlives the test that started it.
"""

import argparse
import asyncio
import base64
import json
import os
import queue
import ssl
import sys
import threading
from email import message_from_bytes, policy

from aiosmtpd.smtp import SMTP, AuthResult, syntax

outgoing = queue.SimpleQueue()


class Handler:
    def __init__(self, mode):
        self.mode = mode
        self.has_stalled = False

    async def handle_RCPT(self, server, session, envelope, address, options):
        if self.mode in ("refusing", "sulking"):
            return "550 5.1.1 No such user here"
        if self.mode == "greylisting":
            return "451 4.7.1 Greylisted, come back later"
        if self.mode == "slow":
            await asyncio.sleep(600)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if self.mode == "refusing-content":
            return "554 5.7.1 This looks like spam"
        if self.mode == "stalling" and not self.has_stalled:
            self.has_stalled = True
            await asyncio.sleep(600)
        # Not printed here: a pipe holds 64 KiB, and the test reads it only after this answer.
        mail = json.dumps(describe(server, session, envelope))
        if self.mode == "hanging-up":
            asyncio.get_running_loop().call_later(0.05, hang_up, server.transport, mail)
        else:
            outgoing.put(mail)
        return "250 Accepted"


def hang_up(transport, mail):
    transport.close()
    asyncio.get_running_loop().call_soon(outgoing.put, mail)


class Server(SMTP):
    """aiosmtpd's, with two bad ends: in the middle of a mail, and without an answer to the client's farewell."""

    @syntax("DATA")
    async def smtp_DATA(self, arg):
        if self.event_handler.mode == "dying":
            await self.push("354 Go on")
            await self._reader.read(100)
            os._exit(1)
        await super().smtp_DATA(arg)

    @syntax("QUIT")
    async def smtp_QUIT(self, arg):
        if self.event_handler.mode == "sulking":
            await asyncio.sleep(600)
        await super().smtp_QUIT(arg)


class Greeter(asyncio.Protocol):
    """Refuses every client before it has said anything."""

    def connection_made(self, transport):
        transport.write(b"554 5.3.2 Closed for today\r\n")


def structure(part):
    if part.is_multipart():
        return [part.get_content_type()] + [structure(each) for each in part.iter_parts()]
    return part.get_content_type()


def describe(server, session, envelope):
    content = envelope.original_content
    message = message_from_bytes(content, policy=policy.default)
    leaves = [part for part in message.walk() if not part.is_multipart()]
    files = [part for part in leaves if part.get_content_disposition()]

    def text(subtype):
        found = [part for part in leaves if part.get_content_type() == "text/" + subtype and part not in files]
        return found[0].get_content() if found else None

    lines = content.split(b"\r\n")
    return {
        "peer": session.peer[1],
        "isEncrypted": server.transport.get_extra_info("ssl_object") is not None,
        "isAuthenticated": bool(session.authenticated),
        "sender": envelope.mail_from,
        "recipients": envelope.rcpt_tos,
        "fromName": message["From"].addresses[0].display_name,
        "fromAddress": message["From"].addresses[0].addr_spec,
        "toName": message["To"].addresses[0].display_name,
        "toAddress": message["To"].addresses[0].addr_spec,
        "subject": message["Subject"],
        "date": message["Date"].datetime.isoformat(),
        "messageID": message["Message-ID"],
        "headers": {name: str(value) for name, value in message.items()},
        "structure": json.dumps(structure(message)),
        "text": text("plain"),
        "html": text("html"),
        "attachments": [
            {
                "fileName": part.get_filename(),
                "contentType": part.get_content_type(),
                "disposition": part.get_content_disposition(),
                "contentID": part["Content-ID"],
                "data": base64.b64encode(part.get_payload(decode=True)).decode(),
            }
            for part in files
        ],
        "defects": [str(defect) for part in message.walk() for defect in part.defects]
        + [str(defect) for part in message.walk() for value in part.values() for defect in value.defects],
        "longestLine": max(len(line) for line in lines),
        "isSevenBit": all(byte < 128 for byte in content),
        "hasBareLineEnd": any(b"\n" in line or b"\r" in line for line in lines),
    }


def authenticate(server, session, envelope, mechanism, data):
    # Not "handled": aiosmtpd answers.
    is_known = (data.login, data.password) == (b"ticketflow", b"correct horse")
    return AuthResult(success=is_known, handled=False)


async def serve(arguments):
    context = None
    if arguments.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(arguments.certificate, arguments.key)
    handler = Handler(arguments.mode)
    starts_tls = arguments.mode == "starttls"

    def protocol():
        if arguments.mode == "closed":
            return Greeter()
        return Server(
            handler,
            hostname="mail.test",
            data_size_limit=20_000_000,
            tls_context=context if starts_tls else None,
            require_starttls=starts_tls,
            authenticator=authenticate,
            auth_required=arguments.mode == "auth",
            auth_require_tls=False,
        )

    loop = asyncio.get_running_loop()
    implicit = context if arguments.mode == "tls" else None
    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=implicit)
    outgoing.put(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def print_outgoing():
    while True:
        print(outgoing.get(), flush=True)


def end_with_standard_input():
    sys.stdin.read()
    os._exit(0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "mode",
        choices=[
            "plain", "starttls", "tls", "auth", "refusing", "refusing-content", "greylisting", "slow", "stalling",
            "sulking", "dying", "closed", "hanging-up",
        ],
    )
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    arguments = parser.parse_args()
    threading.Thread(target=print_outgoing, daemon=True).start()
    threading.Thread(target=end_with_standard_input, daemon=True).start()
    asyncio.run(serve(arguments))


main()
