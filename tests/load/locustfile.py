"""Callers for Locust: each posts an event, checks that the response is for that event, and posts the next."""

from __future__ import annotations

import os
from uuid import uuid4

from locust import FastHttpUser, task

BODY = os.environ.get("LOAD_BODY")
"""The event to send, if it is not the demonstration's."""


class Caller(FastHttpUser):
    """A caller that waits for each response, so there is one request in flight per caller."""

    network_timeout = 60
    connection_timeout = 10

    @task
    def post_event(self) -> None:
        """POST an event and check that the response is its result; the demonstration's has its unique name."""
        if BODY:
            headers = {"Content-Type": "application/json"}
            with self.client.post("/event", data=BODY, headers=headers, catch_response=True) as response:
                if response.status_code != 200:
                    response.failure(f"status {response.status_code}")
            return
        name = uuid4().hex
        with self.client.post("/event", json={"nome": name, "sobrenome": "Marques"}, catch_response=True) as response:
            if response.status_code != 200:
                response.failure(f"status {response.status_code}")
            elif response.json().get("nome completo") != f"{name} Marques":
                response.failure("response for another event")
