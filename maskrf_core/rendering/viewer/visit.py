"""What one browser tab shows of a scene: its controls, the photographs as pyramids, and what its camera sees.

The picture is small while the camera moves, and is refined at rest.
"""

import time
import traceback
from threading import Event, Thread
from typing import TYPE_CHECKING

import numpy as np

from maskrf_core.datasets.inventory import spread
from maskrf_core.rendering.path_rendering import depth_colours
from maskrf_core.rendering.rendered_views import as_bytes
from maskrf_core.rendering.viewer.live_rendering import LivePicture, LiveScene, Quality
from maskrf_core.rendering.viewer.walking import Pose, Walk
from maskrf_core.settings.sections import RenderingSettings

if TYPE_CHECKING:
    import viser

MOVING = {
    "cpu": Quality(RenderingSettings(mode="preview"), most_views=5),
    "cuda": Quality(RenderingSettings(mode="adaptive", precision="bf16-mixed")),
}
RESTING = (Quality(RenderingSettings(mode="adaptive")), Quality())
REST = 0.3  # seconds without a movement, after which the picture is refined
SECONDS_A_PICTURE = 0.5  # while moving: what decides how many pixels it has
FEWEST_PIXELS = 48 * 36
RAYS_A_SECOND = 5000.0  # until the first picture was timed
MOST_PHOTOGRAPHS = 100
BESIDE = 6.0  # times a pyramid's size: nearer than that, it would hide what is rendered
LEAST_HEIGHT, MOST_HEIGHT = 32, 1080  # of pictures at rest, in pixels
WORKING_VIEWS, MOST_VIEWS = 8, 16


class Visit:
    """One browser tab: its camera, its controls, and the thread that renders for it."""

    def __init__(self, client: "viser.ClientHandle", scene: LiveScene, walk: Walk, title: str):
        self.client, self.scene, self.walk = client, scene, walk
        self.moved, self.ended, self.speed = Event(), Event(), RAYS_A_SECOND
        kind, gui = scene.device.type, client.gui
        gui.add_markdown(title)
        self.shown = gui.add_dropdown("Show", ("colour", "depth"))
        most = min(MOST_VIEWS, len(scene.references))
        self.views = gui.add_slider("Working views", min=1, max=most, step=1, initial_value=min(WORKING_VIEWS, most))
        height = max(LEAST_HEIGHT, min(scene.rig.size[0], MOST_HEIGHT if kind == "cuda" else 200))
        most = max(height, min(4 * scene.rig.size[0], MOST_HEIGHT))
        self.height = gui.add_slider("Height at rest [pixels]", LEAST_HEIGHT, most, 1, height)
        self.photographs = gui.add_checkbox("Photographs", initial_value=True)
        gui.add_button("To the nearest photograph").on_click(lambda _: self._go_back())
        self.status = gui.add_markdown("")
        for control in (self.shown, self.views, self.height, self.photographs):
            control.on_update(lambda _: self.moved.set())
        self.pyramids = [self._add_pyramid(image_id) for image_id in spread(scene.references, MOST_PHOTOGRAPHS)]
        client.camera.on_update(lambda _: self.moved.set())
        self.moved.set()
        Thread(target=self._render_until_the_end, daemon=True).start()

    def _add_pyramid(self, image_id: str) -> "viser.CameraFrustumHandle":
        """Show a photograph where it was taken."""
        image, pose = self.scene.views.load([image_id]).images[0], self.walk.poses[image_id]
        step = max(1, round(max(image.shape[1:]) / 128))
        picture = as_bytes(image[:, ::step, ::step].permute(1, 2, 0).numpy())
        pyramid = self.client.scene.add_camera_frustum(
            f"/photographs/{image_id}",
            pose.fov,
            picture.shape[1] / picture.shape[0],
            scale=self.walk.pyramid_size,
            thickness=1.5,
            thickness_units="screen",
            color=(255, 170, 40),
            image=picture,
            wxyz=pose.wxyz,
            position=pose.position,
        )

        pyramid.on_click(lambda _: self._go_to(pose))
        return pyramid

    def _go_to(self, pose: Pose) -> None:
        camera = self.client.camera
        with self.client.atomic():
            camera.position, camera.up_direction = pose.position, pose.up
            camera.look_at, camera.fov = pose.look_at, pose.fov
        self.moved.set()

    def _go_back(self) -> None:
        """Go to the photograph that was taken nearest to here: where no view sees anything, all is black."""
        here = self.client.camera.position
        self._go_to(min(self.walk.poses.values(), key=lambda pose: np.linalg.norm(pose.position - here)))

    def end(self) -> None:
        """Give up what is being rendered, and render nothing more."""
        self.ended.set()
        self.moved.set()

    def _render_until_the_end(self) -> None:
        while self.moved.wait():
            self.moved.clear()
            if self.ended.is_set():  # set before `moved`, so that none waits for ever
                return
            try:
                self._render_until_moved()
            except Exception as error:  # without a word the picture would only stand still
                if self.ended.is_set():
                    return
                traceback.print_exc()
                self.status.content = f"**{type(error).__name__}:** {error}"

    def _render_until_moved(self) -> None:
        """Render one picture at once, and refine it as long as nobody moves."""
        self._hide_pyramids_here()
        before = None
        for quality in (MOVING[self.scene.device.type], *RESTING):
            refining = before is not None
            if refining and self.moved.wait(REST):
                return
            camera = self.client.camera
            aspect, begun = camera.aspect, time.perf_counter()
            pixels = max(FEWEST_PIXELS, self.speed * SECONDS_A_PICTURE)
            height = self.height.value if refining else min(self.height.value, round((pixels / aspect) ** 0.5))
            seen = self.walk.camera_at(camera.wxyz, camera.position, camera.fov, (height, round(height * aspect)))
            # A picture while moving is never given up: else none would come.
            given_up = self.moved.is_set if refining else self.ended.is_set
            for picture in self.scene.render(seen, self.views.value, quality, given_up, before):
                before = picture
                seconds = time.perf_counter() - begun
                if refining or picture.done == 1:
                    self._show(picture, quality, seconds)
            if before is None or before.done < 1 or (refining and self.moved.is_set()):
                return
            if not refining:
                self.speed = height * round(height * aspect) / seconds

    def _hide_pyramids_here(self) -> None:
        for pyramid in self.pyramids:
            near = np.linalg.norm(pyramid.position - self.client.camera.position) < BESIDE * self.walk.pyramid_size
            visible = self.photographs.value and not near
            if pyramid.visible != visible:
                pyramid.visible = visible

    def _show(self, picture: LivePicture, quality: Quality, seconds: float) -> None:
        is_depth = self.shown.value == "depth"
        colours = depth_colours(picture.depth, *self.walk.depth_range) if is_depth else as_bytes(picture.rgb)
        self.client.scene.set_background_image(colours, format="jpeg", jpeg_quality=90)
        views = min(self.views.value, quality.most_views or self.views.value)
        self.status.content = (
            f"{colours.shape[1]} × {colours.shape[0]} pixels, {views} views, {quality.rendering.mode}, "
            f"{seconds:.2f} s" + ("" if picture.done == 1 else f", {picture.done:.0%}")
        )
