"""A WebSocket server and a client of it that comes through the gateway, both of the library `websockets`: `websocket.py GATEWAY PORT`."""

import asyncio
import sys

import websockets


async def echo(connection):
    await connection.send("welcome")
    async for message in connection:
        await connection.send(message)


async def main(gateway, port):
    async with websockets.serve(echo, "127.0.0.1", port, max_size=None):
        async with websockets.connect(f"{gateway}/echo", max_size=None) as connection:
            assert await connection.recv() == "welcome"
            for number in range(200):
                await connection.send(f"message {number}")
                assert await connection.recv() == f"message {number}"
            large = bytes(8 << 20)
            await connection.send(large)
            assert await connection.recv() == large
            await (await connection.ping())
        print("closed with", connection.close_code)


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
