"""The contract, on every transport of ours in every configuration that this machine can run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import treaty_kombu.contract
import treaty_memory.contract
import treaty_zmq.contract
from treaty_contracts import Target, contract

MISSING = treaty_kombu.contract.missing()

test_memory = contract(treaty_memory.contract.memory)
test_zmq_tcp = contract(treaty_zmq.contract.tcp)
test_zmq_ipc = contract(treaty_zmq.contract.ipc)
test_zmq_inproc = contract(treaty_zmq.contract.inproc)
test_kombu_memory = contract(treaty_kombu.contract.memory)
test_kombu_fakeredis = contract(treaty_kombu.contract.fakeredis)


def if_it_is_there(target: Target) -> Callable[..., None]:
    """The contract on a broker, or one test that says why it could not be run."""
    if target.name not in MISSING:
        return contract(target)

    def not_run() -> None:
        pytest.skip(MISSING[target.name])

    not_run.contract_target = target.name  # type: ignore[attr-defined]  # the summary groups by it
    return not_run


test_kombu_redis = if_it_is_there(treaty_kombu.contract.redis)
test_kombu_rabbitmq = if_it_is_there(treaty_kombu.contract.rabbitmq)


@pytest.mark.parametrize("module", [treaty_memory.contract, treaty_zmq.contract, treaty_kombu.contract])
def test_what_is_offered(module: object) -> None:
    """Each adapter lists its targets under one name, with every hook where there is something between the ends."""
    offered = getattr(module, "targets")  # noqa: B009 - the module is any of three
    targets = offered() if callable(offered) else offered
    for target in targets:
        inside = target.name.endswith(("memory", "inproc"))
        for hook in (target.tap, target.inject, target.restart_peer, target.cut_link):
            assert (hook is None) is inside, target.name


def test_what_cannot_be_reached_is_left_out_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(treaty_kombu.contract, "_REDIS", "kombu+redis://127.0.0.1:1/0")
    monkeypatch.setattr(treaty_kombu.contract, "_AMQP", "kombu+amqp://guest:guest@127.0.0.1:2//")
    assert set(treaty_kombu.contract.missing()) == {"kombu/redis", "kombu/rabbitmq"}
    assert "127.0.0.1:1 cannot be reached" in treaty_kombu.contract.missing()["kombu/redis"]
    assert [target.name for target in treaty_kombu.contract.targets()] == ["kombu/memory", "kombu/fakeredis"]
