"""Callers that post an event, check that the answer is their own, and post the next one at once."""

from __future__ import annotations

from uuid import uuid4

from locust import FastHttpUser, task


class Caller(FastHttpUser):
    """A caller who waits for each answer; as many requests are in flight as there are callers."""

    network_timeout = 60
    connection_timeout = 10

    @task
    def post_event(self) -> None:
        """POST an event with a name of its own, and accept nothing but its own answer."""
        name = uuid4().hex
        with self.client.post("/event", json={"nome": name, "sobrenome": "Marques"}, catch_response=True) as response:
            if response.status_code != 200:
                response.failure(f"status {response.status_code}")
            elif response.json().get("nome completo") != f"{name} Marques":
                response.failure("somebody else's answer")
