"""A fresh gateway for each test."""

from __future__ import annotations

from support.gateway import gateway

__all__ = ["gateway"]
