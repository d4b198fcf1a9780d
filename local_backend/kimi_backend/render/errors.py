"""What a site, an option or an edited file has that cannot be written out or read back."""

from ..errors import BackendError

__all__ = ["RenderError"]


class RenderError(BackendError):
    """A site lacks what the target needs, a text that the target cannot carry, or a file that is no longer of our form."""
