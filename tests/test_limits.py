"""A full disk and too little memory cost what was being written, never what was there; with room, it goes on."""

import json
import os
import subprocess
import sys

import pytest

from tests.limited import WORKS
from tests.tiers import draws

TIMES = draws(40)


@pytest.mark.parametrize("name", WORKS)
@pytest.mark.parametrize("cap", ["disk", "memory"])
def test_what_was_there_is_whole_where_room_ends(name, cap):
    command = [sys.executable, "-m", "tests.limited", name, cap, str(TIMES)]
    done = subprocess.run(
        command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    ends = json.loads(done.stdout)
    assert sum(ends.values()) == TIMES
    assert cap == "memory" or ends["died"] == 0
