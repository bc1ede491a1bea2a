"""A request on its way through a running service."""

from __future__ import annotations

from treaty import Delivery
from treaty.job import Job

from .test_incoming import Host
from .world import ADDRESS, NOW, answerer, caller, run


class Nowhere(Delivery):
    def reply(self, frame: bytes) -> None: ...

    def settle(self, accepted: bool = True) -> None: ...


def test_a_job_is_the_message_of_its_request_and_begins_open() -> None:
    outgoing = caller().request("slow.echo", ["hi"], timeout=10, now=NOW, reply=ADDRESS)
    asked, delivery = run(answerer(), outgoing.frame), Nowhere()
    job = Job(asked, delivery, Host())
    assert (job.method, job.id) == ("slow.echo", asked.exchange.request.id)
    assert (job.bound, job.delivery) == (asked.bound, delivery)
    assert (job.over, job.task) == (False, None)
