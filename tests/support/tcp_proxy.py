"""A bad line, to order: a TCP proxy that delays, throttles, cuts, swallows answers, freezes and resets.

A Proxy listens on a loopback port of the system's choice and carries every connection to its target. Directions are
"up" (from the one who connected to the target) and "down". What it does to bytes is set while it runs, from any thread,
and holds for connections that are open as well as for new ones, unless said otherwise. It sees bytes, not messages: what
it carries here is TLS.

Bounded: at most MOST_CONNECTIONS at once (more are reset), at most one piece in memory a direction, small socket buffers
so that what the proxy holds back is held back at the sender too. `close` ends everything it started.
"""

import asyncio
import random
import socket
import struct
import threading
import time

MOST_CONNECTIONS = 256
PIECE = 16384  # bytes carried at once


class _Reset(Exception):
    """This connection is to end with RST on both sides."""


class _Connection:
    def __init__(self, proxy, near, reset_after):
        self.proxy, self.near, self.far = proxy, near, None
        self.passed = {"up": 0, "down": 0}
        self.reset_after = reset_after  # bytes of both directions; None: never
        self.swallows = False
        self.task = None

    async def run(self, target):
        loop = asyncio.get_running_loop()
        pumps = []
        try:
            if target is None:
                raise _Reset
            self.far = _small(socket.socket())
            self.far.setblocking(False)
            await loop.sock_connect(self.far, target)
            pumps = [asyncio.ensure_future(self._pump(self.near, self.far, "up")),
                     asyncio.ensure_future(self._pump(self.far, self.near, "down"))]
            await asyncio.gather(*pumps)
            self._close(reset=False)
        except (_Reset, OSError, asyncio.CancelledError):
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self._close(reset=True)

    async def _pump(self, source, sink, direction):
        loop = asyncio.get_running_loop()
        while True:
            await self.proxy._moving.wait()
            data = await loop.sock_recv(source, self.proxy._piece())
            await self.proxy._moving.wait()
            if not data:
                return sink.shutdown(socket.SHUT_WR)
            await self.proxy._slow_down(len(data))
            await self._pass(data, sink, direction)

    async def _pass(self, data, sink, direction):
        whole = data
        for left in (self.proxy._left_to_cut(self, direction), self._left_to_reset()):
            if left is not None:
                data = data[:left]
        if not (self.swallows and direction == "down"):
            await asyncio.get_running_loop().sock_sendall(sink, data)
        self.passed[direction] += len(data)
        self.proxy._count(self, direction, len(data))
        if len(data) < len(whole) or self._left_to_reset() == 0:
            raise _Reset

    def _left_to_reset(self):
        return None if self.reset_after is None else max(0, self.reset_after - sum(self.passed.values()))

    def _close(self, reset):
        for end in (self.near, self.far):
            if end is None:
                continue
            if reset:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.close()


def _small(sock):
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        sock.setsockopt(socket.SOL_SOCKET, option, 65536)
    return sock


class Proxy:
    def __init__(self, seed=None):
        self.seed = random.randrange(2**32) if seed is None else seed
        self._random = random.Random(self.seed)
        self._target = None
        self._delay, self._rate = 0.0, None
        self._cut = {}  # direction -> bytes of one connection; taken by the first that gets there
        self._swallow_after = None
        self._reset_chance, self._reset_within = 0.0, 0
        self._changed = threading.Condition()
        self._totals = {"up": 0, "down": 0}
        self.connections = self.resets = self.cuts = self.swallowing = 0
        self._open = set()
        self._listener = _small(socket.socket())
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(128)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait()

    # ---- orders

    def set_target(self, host, port):
        self._call(lambda: setattr(self, "_target", (host, int(port))))

    def delay(self, seconds):
        """Every piece waits so long, in both directions."""
        self._call(lambda: setattr(self, "_delay", seconds))

    def throttle(self, bytes_per_second):
        """Each direction of each connection; None: no limit."""
        self._call(lambda: setattr(self, "_rate", bytes_per_second))

    def cut_after(self, direction, count):
        """The first connection that has carried `count` bytes in this direction is reset there, once."""
        self._call(lambda: self._cut.update({direction: count}))

    def swallow_answers_after(self, up_bytes):
        """On the first connection that has carried so many bytes up, nothing comes down any more. `reset_all` ends it."""
        self._call(lambda: setattr(self, "_swallow_after", up_bytes))

    def random_resets(self, chance, within):
        """Each new connection is reset with this chance, at a random byte of its first `within` (both directions)."""
        def set_them():
            self._reset_chance, self._reset_within = chance, within
        self._call(set_them)

    def freeze(self):
        """Nothing moves any more, nothing ends: no FIN, no RST, also for new connections."""
        self._call(self._moving.clear)

    def thaw(self):
        self._call(self._moving.set)

    def reset_all(self):
        """RST on both sides of every open connection."""
        def reset():
            for connection in list(self._open):
                connection.task.cancel()
        self._call(reset)

    def close(self):
        async def stop():
            self._accepting.cancel()
            tasks = [c.task for c in self._open]
            for task in tasks:
                task.cancel()
            await asyncio.gather(self._accepting, *tasks, return_exceptions=True)
            self._loop.stop()
        asyncio.run_coroutine_threadsafe(stop(), self._loop)
        self._thread.join(10)
        self._listener.close()

    # ---- what happened

    def total(self, direction):
        """Bytes carried in this direction, by all connections so far."""
        with self._changed:
            return self._totals[direction]

    def wait(self, happened, timeout=60):
        """Blocks until `happened(self)`, looked at whenever something moved."""
        end = time.monotonic() + timeout
        with self._changed:
            while not happened(self):
                left = end - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"the proxy waited in vain: {self._totals}, {self.connections} connections")
                self._changed.wait(left)

    # ---- the loop's thread

    def _call(self, change):
        async def run():
            change()
        asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    def _run(self, started):
        asyncio.set_event_loop(self._loop)
        self._moving = asyncio.Event()
        self._moving.set()
        self._accepting = self._loop.create_task(self._accept())
        started.set()
        self._loop.run_forever()
        self._loop.close()

    async def _accept(self):
        while True:
            near, _ = await self._loop.sock_accept(self._listener)
            near.setblocking(False)
            reset_after = None
            if self._random.random() < self._reset_chance:
                reset_after = self._random.randrange(1, self._reset_within)
            connection = _Connection(self, near, reset_after)
            target = self._target if len(self._open) < MOST_CONNECTIONS else None
            connection.task = self._loop.create_task(connection.run(target))
            self._open.add(connection)
            connection.task.add_done_callback(lambda _, c=connection: self._gone(c))
            with self._changed:
                self.connections += 1
                self._changed.notify_all()

    def _gone(self, connection):
        self._open.discard(connection)
        with self._changed:
            if connection.reset_after is not None and connection._left_to_reset() == 0:
                self.resets += 1
            self._changed.notify_all()

    def _piece(self):
        return PIECE if self._rate is None else max(1024, min(PIECE, self._rate // 8))

    async def _slow_down(self, count):
        pause = self._delay + (count / self._rate if self._rate else 0)
        if pause > 0:
            await asyncio.sleep(pause)

    def _left_to_cut(self, connection, direction):
        limit = self._cut.get(direction)
        if limit is None:
            return None
        left = max(0, limit - connection.passed[direction])
        if left > self._piece():
            return None
        return left

    def _count(self, connection, direction, count):
        if direction in self._cut and connection.passed[direction] >= self._cut[direction]:
            del self._cut[direction]
            connection.reset_after = sum(connection.passed.values())
            self.cuts += 1
        if direction == "up" and self._swallow_after is not None and connection.passed["up"] >= self._swallow_after:
            self._swallow_after = None
            connection.swallows = True
            self.swallowing += 1
        with self._changed:
            self._totals[direction] += count
            self._changed.notify_all()
