"""Requests to an application in this process, without a server."""

from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx
from fastapi import FastAPI

from service.app import create_app
from service.settings import ServiceSettings


@dataclass
class Client:
    """Asks as from ``address``; faults of the application become answers."""

    app: FastAPI
    address: str = "127.0.0.1"

    def get(self, path: str, **more) -> httpx.Response:
        return self.request("GET", path, **more)

    def post(self, path: str, **more) -> httpx.Response:
        return self.request("POST", path, **more)

    def request(self, method: str, path: str, **more) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=(self.address, 50_000))
            async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
                return await client.request(method, path, **more)

        return anyio.run(ask)


def client_of(root: Path, address: str = "127.0.0.1", **settings) -> Client:
    """A client of the service on a store."""
    return Client(create_app(root, ServiceSettings(**settings)), address)
