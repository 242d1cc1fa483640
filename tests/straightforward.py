"""The renderer, computed the plain slow way: what its speed and its numbers are held against."""

from maskrf_core.model.renderer import Renderer


class StraightforwardRenderer(Renderer):
    """The same networks and weights; nothing is computed in another order than it is written down."""
