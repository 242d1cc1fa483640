"""Smaller pictures, as text that stands in a page."""

import base64
import copy
import io

from nbformat import NotebookNode
from PIL import Image


def as_jpeg(picture: Image.Image, side: int, quality: int) -> str:
    """JPEG in base64, `side` pixels at most in width and height; what is transparent becomes white."""
    picture = picture.convert("RGBA")
    picture.thumbnail((side, side))
    flat = Image.new("RGB", picture.size, "white")
    flat.paste(picture, mask=picture.getchannel("A"))
    encoded = io.BytesIO()
    flat.save(encoded, "jpeg", quality=quality, optimize=True)
    return base64.b64encode(encoded.getvalue()).decode()


def smaller(notebook: NotebookNode, side: int, quality: int) -> NotebookNode:
    """A copy with its pictures as JPEG; one that is smaller as it is, or cannot be read, stays."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            for kind in ("image/png", "image/jpeg"):
                if kind in data and (jpeg := _encoded(data[kind], side, quality)) is not None:
                    del data[kind]
                    data["image/jpeg"] = jpeg
                    output.metadata["image/jpeg"] = output.metadata.pop(kind, {})
    return notebook


def _encoded(text: str, side: int, quality: int) -> str | None:
    try:
        with Image.open(io.BytesIO(base64.b64decode(text))) as picture:
            jpeg = as_jpeg(picture, side, quality)
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    return jpeg if len(jpeg) < len(text) else None
