"""The window's server, which all browser tabs come to."""

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maskrf_core.datasets.batches.scene_views import SceneViews
from maskrf_core.datasets.scene import open_scene
from maskrf_core.model.renderer import Renderer
from maskrf_core.rendering.evaluation import load, resolve_device
from maskrf_core.rendering.viewer.live_rendering import LiveScene
from maskrf_core.rendering.viewer.visit import Visit
from maskrf_core.rendering.viewer.walking import Walk
from maskrf_core.runs import Run
from maskrf_core.support.errors import SettingsError
from maskrf_core.support.paths import cache_folder

if TYPE_CHECKING:
    import viser


@dataclass(frozen=True)
class Window:
    """A server that runs, and the visits to it by the numbers of their browser tabs."""

    server: "viser.ViserServer"
    visits: dict[int, Visit]

    @property
    def address(self) -> str:
        """Return what a browser opens."""
        return f"http://{self.server.get_host()}:{self.server.get_port()}"

    def stop(self) -> None:
        """End all visits, and the server."""
        for visit in list(self.visits.values()):
            visit.end()
        self.server.stop()


def open_window(
    source: Run | str | Path | Renderer,
    scene: str,
    name: str,
    *,
    data_root: str | Path = "data",
    host: str = "127.0.0.1",
    port: int = 8080,
    device: str = "auto",
) -> Window:
    """Start the window's server. `name` is shown as that of the weights.

    Where the port is taken, it listens at the next free one.

    Raises:
        CheckpointError, DatasetError, SettingsError: the window cannot be had as asked.
    """
    try:
        import viser
    except ImportError as error:
        raise SettingsError(f"viewer: {error}. Install what it needs: pip install 'maskrf-core[viewer]'") from error
    _check_address(host, port)
    renderer = load(source).to(resolve_device(device)).eval()
    views = SceneViews(open_scene(scene, data_root), cache_folder(data_root), device=device)
    live = LiveScene(renderer, views)
    walk = Walk.through(live.rig, [height for height, _ in live.sizes])
    visits: dict[int, Visit] = {}
    server = viser.ViserServer(host, port, label="maskrf", verbose=False)
    server.gui.configure_theme(show_logo=False, show_share_button=False)  # sharing would leave this machine
    server.scene.set_up_direction(walk.up)
    first, begin = walk.poses[live.rig.image_ids[live.rig.middle]], server.initial_camera
    begin.position, begin.look_at, begin.up, begin.fov = first.position, first.look_at, first.up, first.fov

    @server.on_client_connect
    def _(client: "viser.ClientHandle") -> None:
        visits[client.client_id] = Visit(client, live, walk, f"Scene **{scene}**  \nWeights **{name}**")
        if client.client_id not in server.get_clients():  # gone while the photographs were sent
            leave(client)

    @server.on_client_disconnect
    def leave(client: "viser.ClientHandle") -> None:
        if (visit := visits.pop(client.client_id, None)) is not None:
            visit.end()

    return Window(server, visits)


def _check_address(host: str, port: int) -> None:
    """Raise `SettingsError` where no window could listen: viser would try one port after the other, without a word."""
    if not 1 <= port <= 65535:
        raise SettingsError(f"port={port}: must be 1 to 65535. Leave it out, or choose one above 1023")
    try:
        socket.create_server((host, 0)).close()
    except OSError as error:
        raise SettingsError(f"host={host!r}: is no address of this machine ({error}). Leave it out") from error
