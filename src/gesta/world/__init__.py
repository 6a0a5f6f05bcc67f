"""A rendered world of people doing things, with exact truth: for the demo and the tests."""

from gesta.world.write import plan_summary, render_world

__all__ = ["plan_summary", "render_world"]
