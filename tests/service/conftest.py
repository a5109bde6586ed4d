"""Fixtures of the service's tests."""

from tests.demo_store import demo

__all__ = ["demo"]
