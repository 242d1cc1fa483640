"""Steps of training that are computed otherwise: near those in float32, with the same weights."""

import subprocess
import sys
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters

from maskrf_core.model.fast.pass_variants import CompiledEncoder, InBfloat16, prepared_for_training
from maskrf_core.model.layers import convolution, instance_norm
from maskrf_core.model.renderer import Renderer
from maskrf_core.settings.config import load_config
from maskrf_core.settings.sections import HardwareSettings, ModelSettings
from maskrf_core.support.errors import SettingsError
from maskrf_core.support.paths import ROOT
from maskrf_core.training.objective import Objective, as_hardware_says
from tests.model.source_cases import tiny_sources
from tests.model.tiny import tiny_batch

SETTINGS = ModelSettings(coarse_samples=12, fine_samples=6)


def new_renderer(**settings: object) -> Renderer:
    torch.manual_seed(0)
    return Renderer(SETTINGS.model_copy(update=settings)).train()


def gradients_and_terms(aggregator: str = "neuray", **hardware: object) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Gradients of all terms of a masked step (without dropout) by the names of the weights, and the terms."""
    overrides = {f"hardware.{name}": value for name, value in hardware.items()} | {"model.aggregator": aggregator}
    config = load_config("pretrain", overrides={"data.depth_pixels": 20, "data.rays": 10, **overrides})
    renderer = new_renderer(aggregator=aggregator)
    for module in renderer.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    objective, batch = Objective(renderer, config), tiny_batch()
    if not renderer.inputs.depths:
        batch = batch.replace(references=batch.references.replace(depths=None, true_depths=None))
    terms = objective(batch, generator=torch.Generator().manual_seed(0))
    sum(terms.values()).backward()
    weights = objective.renderer.named_parameters()
    return {name: of.grad for name, of in weights if of.grad is not None}, terms


@pytest.mark.parametrize("recomputed_rays", [None, 4])
def test_a_step_in_bfloat16_is_near_that_in_float32(recomputed_rays: int | None):
    """The coarse pass closely; the fine one looks at samples elsewhere. Behind are few pixels and many layers."""
    (exact, terms), (rounded, near) = (
        gradients_and_terms(precision=precision, recomputed_rays=recomputed_rays)
        for precision in ("32-true", "bf16-mixed")
    )
    assert exact.keys() == rounded.keys()
    assert all(gradient.dtype == torch.float32 for gradient in rounded.values())
    for name, term in terms.items():
        assert near[name].item() == pytest.approx(term.item(), rel=0.03, abs=3e-3), name
    for part, least in (("coarse.", 0.99), ("fine.", 0.85), ("visibility_encoder.", 0.8)):
        both = [
            torch.cat([each[name].flatten() for name in exact if name.startswith(part)]) for each in (exact, rounded)
        ]
        assert least < torch.cosine_similarity(*both, dim=0) < 1 - 1e-6, part


@pytest.mark.parametrize("init", ["depth", "cost_volume"])
def test_only_encoders_are_rounded_when_views_are_encoded(init: str):
    """What geometry and matching say goes into them as it does in float32, to the bit."""
    references, sources = tiny_sources()
    if init == "depth":
        references, sources = tiny_batch().references, None
    renderer = new_renderer(visibility_init=init).eval()
    given: list[Tensor] = []
    multiplied: list[torch.dtype] = []
    renderer.visibility_init.encoder.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    renderer.visibility_init.head.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0][:, :16]))
    for encoder in (renderer.image_encoder, renderer.visibility_init.encoder, renderer.visibility_encoder):
        encoder.register_forward_hook(lambda _, inputs, output: multiplied.append(output.dtype))
    variant = prepared_for_training(renderer, HardwareSettings(precision="bf16-mixed"), 7)
    with torch.no_grad():
        exact, rounded = (one.encode(references, sources).maps for one in (renderer, variant))
    assert multiplied == [torch.float32] * 3 + [torch.bfloat16] * 3
    assert torch.equal(given[0], given[2])
    if init == "depth":  # the skip of the depth maps, which is no encoder
        assert torch.equal(given[1], given[3])
    assert rounded.dtype == torch.float32
    assert 0 < (rounded - exact).abs().max() < 0.2 * exact.abs().max()


def test_weights_and_mode_are_the_renderers_own():
    """Matching differs between training and evaluation, so that the copy of its network must hear which it is."""
    renderer = new_renderer(visibility_init="cost_volume")
    config = load_config("pretrain", overrides={"hardware.precision": "bf16-mixed"})
    objective = Objective(renderer, config)
    assert {id(of) for of in objective.parameters()} == {id(of) for of in renderer.parameters()}
    assert objective.prepared.visibility_init is not renderer.visibility_init
    for training in (False, True):
        objective.train(training)
        assert objective.prepared.visibility_init.training is renderer.visibility_init.training is training


def test_an_encoder_that_does_not_compile_is_computed_all_the_same(monkeypatch, capsys):
    def failing(network):
        def compiled(x):
            raise torch._dynamo.exc.TorchDynamoException("no such backend")

        return compiled

    monkeypatch.setattr(torch, "compile", failing)
    network = torch.nn.Conv2d(3, 2, 3)
    made, x = CompiledEncoder(network), torch.rand(1, 3, 5, 5)
    for _ in range(2):
        assert torch.equal(made(x), network(x))
    (line,) = capsys.readouterr().out.splitlines()
    assert "no such backend" in line


def test_the_twin_is_the_renderer_itself():
    renderer = new_renderer()
    assert as_hardware_says(renderer, HardwareSettings(twin=True), 7) is renderer


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(SettingsError, match=r"hardware\.compile=true needs the compiler no-such-compiler"):
        prepared_for_training(new_renderer(), HardwareSettings(compile=True), 7)


def test_float32_inside_bfloat16_is_what_it_was():
    """A network of one layer by hand: the products of 1 + 2⁻⁹, which bfloat16 does not have, are those of 1."""
    layer = nn.Linear(1, 1, bias=False)
    nn.init.ones_(layer.weight)
    x = torch.tensor([[1 + 2.0**-9]])
    for network, as_seen in ((layer, x.item()), (InBfloat16(layer), 1)):
        layer.zero_grad()
        product = network(x)
        product.backward()
        assert product.item() == as_seen
        assert layer.weight.grad.item() == as_seen
        assert product.dtype == layer.weight.grad.dtype == torch.float32


def test_a_compiled_encoder_takes_all_sizes(monkeypatch: pytest.MonkeyPatch):
    """By torch's own modules, and as far as torch traces them: a CPU's compiler would take minutes."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    counters.clear()
    torch.manual_seed(0)
    network = nn.Sequential(convolution(3, 8, stride=2), instance_norm(8), nn.ELU(), nn.Conv2d(8, 4, 1))
    compiled = CompiledEncoder(network)
    for height, width in ((32, 48), (48, 32), (64, 80), (80, 48), (96, 112)):
        images = torch.rand(2, 3, height, width)
        gradients = []
        for encoder in (network, compiled):
            network.zero_grad()
            maps = encoder(images)
            maps.square().sum().backward()
            gradients.append([maps.detach(), *(parameter.grad.clone() for parameter in network.parameters())])
        torch.testing.assert_close(*gradients)
    assert counters["stats"]["unique_graphs"] <= 2


COMPILED = """
import torch
from torch._dynamo.utils import counters
from tests.model.fast.test_training_variants import gradients_and_terms

by_plain_pass = {"recomputed_rays": 4, "twin": True, "aggregator": aggregator}
(plain, terms), (compiled, same) = (gradients_and_terms(compile=on, **by_plain_pass) for on in (False, True))
assert counters["stats"]["unique_graphs"] == 2, counters  # one of each pass, for 4 rays, the last 2 filled up
torch.testing.assert_close(same, terms, atol=1e-4, rtol=1e-4)
assert plain.keys() == compiled.keys()
largest = max(gradient.norm() for gradient in plain.values())
for name, gradient in plain.items():
    assert (gradient - compiled[name]).norm() <= 1e-3 * gradient.norm() + 1e-5 * largest, name
"""


@pytest.mark.long
@pytest.mark.parametrize("aggregator", ["neuray", "ibrnet", "nerformer"])
def test_a_compiled_step_is_the_same(aggregator):
    """Masked, and recomputed a few rays at a time.

    In a process of its own: the checks of shapes that tests have around every function are nothing to compile.
    """
    program = f"aggregator = {aggregator!r}\n{COMPILED}"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
