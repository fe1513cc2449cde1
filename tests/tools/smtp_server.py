"""A real SMTP server for the tests: tells its port, then every e-mail that it takes, as lines of JSON."""
import argparse
import asyncio
import json
import ssl

from aiosmtpd.smtp import SMTP, AuthResult


def tell(**facts):
    print(json.dumps(facts), flush=True)


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 5.1.1 no such mailbox"
        if address.startswith("later@"):
            return "451 4.7.1 greylisted, try again"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        tell(sender=envelope.mail_from, recipients=envelope.rcpt_tos, message=envelope.content.decode("ascii"),
             user=session.auth_data, encrypted=session.ssl is not None, hello=session.host_name)
        if b"Subject: refuse me" in envelope.content:
            return "554 5.7.1 not wanted"
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    good = data.login == b"desk" and data.password == "pä$$ word".encode()
    # Not `handled`: the server itself says 535.
    return AuthResult(success=good, handled=False, auth_data=f"{mechanism}:{data.login.decode()}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=["plain", "starttls", "tls"])
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--auth", choices=["PLAIN", "LOGIN"])
    options = parser.parse_args()
    context = None
    if options.mode != "plain":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate, options.key)
    starttls = context if options.mode == "starttls" else None
    without = [way for way in ("PLAIN", "LOGIN") if way != options.auth]

    def session():
        return SMTP(Handler(), tls_context=starttls, require_starttls=starttls is not None, enable_SMTPUTF8=False,
                    authenticator=authenticate, auth_required=options.auth is not None,
                    auth_require_tls=starttls is not None, auth_exclude_mechanism=without)

    async def serve():
        server = await asyncio.get_running_loop().create_server(
            session, "127.0.0.1", 0, ssl=context if options.mode == "tls" else None)
        tell(port=server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


main()
