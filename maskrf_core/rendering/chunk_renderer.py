"""Rendering of many pixels, as `RenderingSettings` say: exactly or adaptively, in which precision, compiled or not."""

from collections.abc import Iterator
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maskrf_core.datasets.batches.batch import SceneBatch, Views
from maskrf_core.model.gathering import ReferenceFeatures, rays_of
from maskrf_core.model.renderer import Renderer, RenderPass
from maskrf_core.model.rendering import Rendering
from maskrf_core.settings.sections import EXACT, RenderingSettings
from maskrf_core.support.machine import map_in_threads

MOST_SAMPLES_OF_A_THREAD = 6144  # at once: what networks make of them (in 8 views) is still in a core's cache
FEWEST_SAMPLES_OF_A_THREAD = 1536  # at once: fewer are not worth calling every operation for
VECTOR = 16  # floats computed at once: where rays fill them, sums are rounded as for any other such number


def rays_of_a_thread(rays_per_chunk: int, samples: int, threads: int) -> int:
    """Return how many rays, of so many samples, each of several threads renders at once.

    All threads together render `rays_per_chunk`, or fewer; some have nothing to do where there are too few for all.
    """
    fewest, most = (-(-limit // samples) for limit in (FEWEST_SAMPLES_OF_A_THREAD, MOST_SAMPLES_OF_A_THREAD))
    rays = min(most, max(fewest, rays_per_chunk // threads))
    return min(rays_per_chunk, max(VECTOR, rays - rays % VECTOR))


class ChunkRenderer:
    """A renderer that renders pixels a chunk at a time, without gradients, as settings say.

    On a CPU with several cores, each renders chunks of its own: `threads` and `rays_per_chunk` are then what came out
    of the rays per chunk that were asked for, which still bound the memory. `SettingsError` without a compiler, if one
    is needed.
    """

    def __init__(
        self,
        renderer: Renderer,
        settings: RenderingSettings = EXACT,
        rays_per_chunk: int = 256,
        saving: tuple[int, int] | None = None,
    ):
        self.settings = settings
        self.saving = _saving(settings.mode, saving, depths=renderer.inputs.depths)
        self.rays_per_chunk, self.threads = rays_per_chunk, 1
        self.compiled_for: set[torch.Size] = set()  # shapes of the views' maps
        device, threads = next(renderer.parameters()).device, torch.get_num_threads()
        if settings.compile:
            from maskrf_core.model.fast.pass_variants import check_compiler

            check_compiler(device, "rendering.compile")
        if device.type == "cpu" and threads > 1:
            samples = renderer.settings.coarse_samples + renderer.settings.fine_samples
            rays = rays_of_a_thread(rays_per_chunk, samples, threads)
            if self.saving is not None:  # more rays with fewer samples, as long as there are some for each thread
                most = rays_of_a_thread(rays_per_chunk, min(samples, self.saving.samples), threads)
                rays = max(rays, min(most, rays_per_chunk // threads // VECTOR * VECTOR))
            if rays_per_chunk >= 2 * rays:
                self.rays_per_chunk, self.threads = rays, min(threads, rays_per_chunk // rays)
        plain = settings.precision == "32-true" and not settings.compile and settings.twin
        self.renderer = renderer if plain else renderer.with_passes(self._variant)  # the same weights

    @property
    def passes(self) -> list[str]:
        """Return what computes the two passes, as far as it decides how numbers are rounded."""
        return [getattr(of, "code", type(of).__name__) for of in (self.renderer.coarse, self.renderer.fine)]

    def _variant(self, render_pass: nn.Module) -> nn.Module:
        from maskrf_core.model.fast.choice import chosen
        from maskrf_core.model.fast.pass_variants import CompiledPass

        def plainly(made: RenderPass) -> nn.Module:
            compiled = self.settings.compile
            return CompiledPass(made, self.rays_per_chunk, for_threads=self.threads > 1) if compiled else made

        how = {"compiled": bool(self.settings.compile), "otherwise": plainly}
        return chosen(render_pass, self.settings.precision, twin=self.settings.twin, **how)

    def __call__(self, batch: SceneBatch) -> Iterator[Rendering]:
        """Render the batch's pixels, in order."""
        with torch.inference_mode():
            surface = self.surface(batch.references, batch.query)
            if self.settings.mode == "preview":
                from maskrf_core.model.fast.surface_views import with_few_views

                batch = with_few_views(batch, surface)
            features = self.renderer.encode(batch.references, batch.sources)
        return self.render(features, batch.query, batch.pixels_xy, surface)

    def surface(self, references: Views, query: Views) -> Float[Tensor, "height width"] | None:
        """Return what a preview of this query is told of its depth; None in other modes, and without depth maps."""
        if self.settings.mode != "preview":
            return None
        from maskrf_core.model.fast.surface_views import surface_of

        return surface_of(references, query)

    def render(
        self,
        features: ReferenceFeatures,
        query: Views,
        pixels_xy: Float[Tensor, "ray 2"],
        surface: Float[Tensor, "height width"] | None = None,
    ) -> Iterator[Rendering]:
        """Render pixels of a query, in order, from references that are encoded already; `surface` as of `surface`."""
        map_chunks = map
        if self.threads > 1:
            # All threads would compile the same.
            new = bool(self.settings.compile) and features.maps.shape not in self.compiled_for
            map_chunks = partial(map_in_threads, threads=self.threads, first_alone=new)
            self.compiled_for.add(features.maps.shape)
        if self.saving is not None:
            from maskrf_core.model.fast.adaptive_rendering import render_chunks_adaptively
            from maskrf_core.model.fast.preview import render_preview

            asked = (self.renderer, features, query, pixels_xy, self.rays_per_chunk, self.saving, map_chunks)
            if self.settings.mode == "preview":
                return render_preview(*asked, surface)
            return render_chunks_adaptively(*asked)
        return self.renderer.render_chunks(features, rays_of(query, pixels_xy), self.rays_per_chunk, map_chunks)


def _saving(mode: str, asked: tuple[int, int] | None, *, depths: bool) -> "AdaptiveSettings | None":
    """Return what the mode leaves out, as asked or else as usual (with the views' `depths`); None where it is exact."""
    from maskrf_core.model.fast.adaptive_rendering import AdaptiveSettings
    from maskrf_core.model.fast.preview import PREVIEW_SETTINGS, WITHOUT_DEPTHS

    if mode == "exact":
        return None
    if asked is not None:
        return AdaptiveSettings(*asked)
    if mode == "preview":
        return PREVIEW_SETTINGS if depths else WITHOUT_DEPTHS
    return AdaptiveSettings()
