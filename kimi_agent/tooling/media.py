"""What bytes really are, whatever somebody says of them."""

import re

_STARTS = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF87a", "image/gif"), (b"GIF89a", "image/gif"))
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}", re.IGNORECASE)  # RFC 6838, 4.2


def image_type(data: bytes) -> str | None:
    """The media type of an image of a kind that models take (PNG, JPEG, GIF, WebP), by its first bytes; None for anything else."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for start, kind in _STARTS if data.startswith(start)), None)


def clean_media_type(told: str | None) -> str:
    """A media type without its parameters; "application/octet-stream" for what is none."""
    kind = (told or "").partition(";")[0].strip()
    return kind.lower() if _MEDIA_TYPE.fullmatch(kind) else "application/octet-stream"
