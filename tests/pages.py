"""What the README and the pages in `docs` hold: their text, their code, their commands."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
PLACEHOLDERS = "<…"
COMMANDS = ("papermill ", "python ", "make ", "torchrun ", "sbatch ", "conda ")


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    """Return the fenced blocks of a page in one language."""
    return [source for found, source in BLOCK.findall(text_of(page)) if found == language]


def inline_code(page: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", BLOCK.sub("", text_of(page)))


def commands(page: str) -> list[list[str]]:
    """Return every command of a page as its words: those of its bash blocks, and whole ones within the text."""
    lines = [line for source in blocks(page, "bash") if not source.startswith("#!")
             for line in source.replace("\\\n", " ").splitlines()]  # fmt: skip
    lines += [code for code in inline_code(page) if code.startswith(COMMANDS) and not set(PLACEHOLDERS) & set(code)]
    return [words for line in lines if (words := shlex.split(line, comments=True))]
