"""``python -m benchmarks.overload.engine PORT SLOTS SECONDS``: an engine that works on ``SLOTS`` requests at once, each for ``SECONDS``.

Further ones wait in a queue without end, first come, first served, as servers of own weights do. It never refuses: whoever sends more
than it can do makes everyone wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys

WORDS = 32
REPLY = json.dumps(
    {
        "id": "chatcmpl-engine",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "word " * WORDS}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 20, "completion_tokens": WORDS, "total_tokens": 20 + WORDS},
    }
).encode()
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(REPLY), REPLY)


async def serve(port: int, slots: int, seconds: float) -> None:
    """Until the process is ended."""
    free = asyncio.Semaphore(slots)

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length")), 0)
                await reader.readexactly(length)
                async with free:
                    await asyncio.sleep(seconds)
                writer.write(WHOLE)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", port, backlog=4096)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
