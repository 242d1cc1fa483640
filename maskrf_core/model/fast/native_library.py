"""The pass in C++: compiled when it is first needed, for the machine that it runs on, and kept in the user's cache."""

import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import torch

from maskrf_core.support.errors import MaskrfError, SettingsError
from maskrf_core.support.paths import private_folder

SOURCES = Path(__file__).with_name("native")
FLAGS = ("-O3", "-march=native", "-std=c++17", "-shared", "-fPIC")
SECONDS = 300


class CompilerError(MaskrfError):
    """There is no compiler, or it does not compile the pass."""


@cache
def library() -> ctypes.CDLL:
    """Return the compiled pass, which has the one function `render_pass`.

    Raises:
        CompilerError: it cannot be had on this machine.
    """
    compiler = shutil.which(os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++"))
    if compiler is None:
        raise CompilerError("no C++ compiler was found")
    try:
        return ctypes.CDLL(str(_compiled(compiler)))
    except (OSError, SettingsError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        raise CompilerError(f"{compiler}: {next(iter(said.strip().splitlines()), 'failed')}") from error


def _compiled(compiler: str) -> Path:
    """Return the file with the compiled pass, made now unless this compiler has made it of the same sources before."""
    asked = {"text": True, "check": True, "timeout": SECONDS}
    version = subprocess.run([compiler, "--version"], capture_output=True, **asked).stdout
    # A home folder may be that of machines with different processors.
    told = [version, *FLAGS, str(sorted(torch.cpu.get_capabilities().items()))]
    told += [path.read_text() for path in sorted(SOURCES.iterdir())]
    there = private_folder("native") / f"{hashlib.sha256(chr(0).join(told).encode()).hexdigest()[:32]}.so"
    if not there.is_file():
        with tempfile.TemporaryDirectory(dir=there.parent) as folder:
            made = Path(folder) / there.name
            command = [compiler, *FLAGS, str(SOURCES / "render_pass.cpp"), "-o", str(made)]
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **asked)
            made.replace(there)
    return there
