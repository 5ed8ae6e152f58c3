"""A mail server for the browser's walk: aiosmtpd, which is not ours, in a process of its own.

Usage: smtp_server.py FOLDER. Prints the port that it listens on (127.0.0.1), then writes each letter into the folder as
NUMBER.json with `to`, `subject`, `headers`, `text` and `html`. It ends when its standard input does, so that no test leaves
one behind."""

import asyncio
import email
import email.policy
import json
import os
import sys

from aiosmtpd.smtp import SMTP


def as_json(envelope):
    letter = email.message_from_bytes(envelope.content, policy=email.policy.default)

    def part(kind):
        found = letter.get_body((kind,))
        return found and found.get_content()

    return {
        "to": envelope.rcpt_tos,
        "subject": letter["Subject"],
        "headers": {name: str(value) for name, value in letter.items()},
        "text": part("plain"),
        "html": part("html"),
    }


class Folder:
    """Where aiosmtpd hands the letters to."""

    def __init__(self, path):
        self.path = path
        self.count = 0

    async def handle_DATA(self, server, session, envelope):
        self.count += 1
        path = os.path.join(self.path, f"{self.count:04}.json")
        # Renamed when whole: who finds it can read it.
        with open(path + ".part", "w", encoding="utf-8") as file:
            json.dump(as_json(envelope), file)
        os.rename(path + ".part", path)
        return "250 OK"


async def main():
    folder = Folder(sys.argv[1])
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(folder, hostname="mail.example", loop=loop), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


asyncio.run(main())
