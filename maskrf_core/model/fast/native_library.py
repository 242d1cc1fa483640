"""The pass in C++: compiled when it is first needed, for the machine that it runs on, and kept in the user's cache."""

import ctypes
import hashlib
import os
import platform
import shlex
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
FLAGS = ("-O3", "-march=native", "-std=c++17", "-shared", "-fPIC", "-pthread")
SECONDS = 300


class CompilerError(MaskrfError):
    """There is no compiler, or it does not compile the pass."""


def compiled_code() -> ctypes.CDLL:
    """Return the compiled pass: `render_pass` and `render_pass_gradients`.

    Raises:
        CompilerError: it cannot be had on this machine.
    """
    found = _found()
    if isinstance(found, CompilerError):
        raise found
    return found


@cache
def _found() -> ctypes.CDLL | CompilerError:
    """Look once in a process: a compiler that fails takes its time."""
    compiler, *options = shlex.split(os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")) or [""]
    there = shutil.which(compiler)
    if there is None:
        return CompilerError("no C++ compiler was found")
    try:
        try:
            return ctypes.CDLL(str(_compiled([there, *options])))
        except OSError:  # cut short, or of another system
            return ctypes.CDLL(str(_compiled([there, *options], anew=True)))
    except (OSError, SettingsError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        return CompilerError(f"{compiler}: {next(iter(said.strip().splitlines()), 'failed')}")


def _compiled(command: list[str], *, anew: bool = False) -> Path:
    """Return the file with the compiled pass, made now unless this compiler has made it of the same sources before."""
    asked = {"encoding": "utf-8", "errors": "replace", "check": True, "timeout": SECONDS}
    version = subprocess.run([*command, "--version"], capture_output=True, **asked).stdout
    # A home folder may be that of machines with different processors.
    told = [version, *command, *FLAGS, str(sorted(torch.cpu.get_capabilities().items())), *platform.libc_ver()]
    told += [path.read_text(encoding="utf-8") for path in sorted(SOURCES.iterdir())]
    there = private_folder("native") / f"{hashlib.sha256(chr(0).join(told).encode()).hexdigest()[:32]}.so"
    if anew or not there.is_file():
        with tempfile.TemporaryDirectory(dir=there.parent) as folder:
            made = Path(folder) / there.name
            whole = [*command, *FLAGS, str(SOURCES / "render_pass.cpp"), "-o", str(made)]
            subprocess.run(whole, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **asked)
            made.replace(there)
    return there
