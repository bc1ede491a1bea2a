"""Brokers of our own, to be hurt: nobody else's messages are on them. Whoever has none, or wants none, has none of these."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
import redis

from .outside import AMQP, REDIS, Connection, eventually, reachable

#: Debian puts wrappers into the path that become another user; the programs themselves are here.
_DEBIAN = Path("/usr/lib/rabbitmq/bin")


def free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


class OwnRedis:
    """A Redis of our own, which forgets everything when it is killed."""

    def __init__(self) -> None:
        if shutil.which("redis-server") is None or not reachable(REDIS):
            pytest.skip("there is no redis here, or no redis-server")
        (self.port,) = free_ports(1)
        self.url = f"kombu+redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        eventually(lambda: reachable(self.url.removeprefix("kombu+")), within=10)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def tell(self, *command: str) -> Any:
        with redis.Redis(port=self.port) as client:
            return client.execute_command(*command)


class OwnRabbit:
    """A node of RabbitMQ of our own: it starts in about five seconds."""

    def __init__(self, folder: Path) -> None:
        self._programs = _DEBIAN if _DEBIAN.is_dir() else Path(shutil.which("rabbitmq-server") or "/-").parent
        if not (self._programs / "rabbitmq-server").exists() or not reachable(AMQP):
            pytest.skip("there is no rabbitmq here, or no rabbitmq-server")
        self.port, inner, names = free_ports(3)
        self.url = f"kombu+amqp://guest:guest@127.0.0.1:{self.port}//"
        (folder / "plugins").write_text("[].\n")
        (folder / "rabbitmq.conf").touch()
        self._environment = {
            **os.environ,
            "HOME": str(folder),  # with a cookie of its own
            "ERL_EPMD_PORT": str(names),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_FLAGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_NODENAME": f"treaty-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(inner),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
        }
        self._process = subprocess.Popen(
            [self._programs / "rabbitmq-server"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self._environment,
            start_new_session=True,
        )
        try:
            eventually(self._serves, within=60)
        except BaseException:
            self.stop()
            raise

    def _serves(self) -> bool:
        try:
            with Connection(self.url.removeprefix("kombu+"), connect_timeout=2) as connection:
                return bool(connection.connect())
        except OSError:
            return False

    def control(self, *command: str) -> None:
        """Run ``rabbitmqctl``."""
        subprocess.run(
            [self._programs / "rabbitmqctl", "-q", *command], env=self._environment, check=True, capture_output=True
        )

    def alarm(self, *, on: bool) -> None:
        """Let it be out of memory, or not."""
        self.control("set_vm_memory_high_watermark", "0.0000001" if on else "0.4")

    def stop(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        # It outlives its last node, and refuses to go before that has gone.
        eventually(
            lambda: subprocess.run(["epmd", "-kill"], env=self._environment, capture_output=True).returncode == 0
        )
