"""Auto-decoder training: weights and codes learnt together, no encoder (Park et al. 2019, eq. 9, as programmed)."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from neus.errors import InputError, TrainingDiverged
from neus.fields.latent_sdf import LatentSdf
from neus.shapes.losses import code_penalty, sample_losses, shorten_codes
from neus.shapes.samples import SamplePool
from neus.shapes.specs import Specs

# Samples in one backward pass: bounds the memory; gradients of several passes add up to those of the batch.
SAMPLES_AT_A_TIME = 2**17


@dataclass
class StepResult:
    """What a training step tells: its loss with the codes' part, and the mean clamped difference alone; () each."""

    loss: Tensor
    difference: Tensor


class AutoDecoder:
    """A decoder, its codes, their optimiser, and where training stands; all of it is saved by `state` and restored.

    Attributes:
        decoder: the network.
        codes: (N, L) parameter.
        step, epoch: done so far; epochs count from 1 as published, an epoch sees every shape about once.
    """

    def __init__(self, specs: Specs, pool: SamplePool, seed: int, device: torch.device | str = "cpu") -> None:
        torch.manual_seed(seed)
        self.specs, self.pool, self.device = specs, pool, torch.device(device)
        self.decoder = LatentSdf(specs.network, sphere_start=bool(specs["SphereStart"])).to(self.device)
        length = specs.network.code_length
        # The paper's deviation is that of the whole code's length, spread over its L entries.
        codes = torch.randn(pool.n_shapes, length) * (float(specs["CodeInitStdDev"]) / max(length, 1) ** 0.5)
        self.codes = nn.Parameter(codes.to(self.device))
        self.optimizer = torch.optim.Adam([{"params": list(self.decoder.parameters())}, {"params": [self.codes]}])
        self.generator = torch.Generator().manual_seed(seed)
        self.waiting = torch.empty(0, dtype=torch.long)
        self.step = 0

    @property
    def batch_shapes(self) -> int:
        """Shapes in a batch: ScenesPerBatch, or all where there are fewer (the published loader would train nothing then)."""
        return min(int(self.specs["ScenesPerBatch"]), self.pool.n_shapes)

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in an epoch."""
        return max(1, self.pool.n_shapes // self.batch_shapes)

    @property
    def epoch(self) -> int:
        """The epoch of the next step, from 1."""
        return self.step // self.steps_per_epoch + 1

    def advance(self, progress: float) -> StepResult:
        """One step on the next batch, at the learning rates of a progress in [0, 1]."""
        rates = self.specs.rates(self.epoch, progress)
        shapes = self._next_shapes()
        samples = self.pool.draw(shapes.to(self.device), int(self.specs["SamplesPerScene"]), self.generator)
        result = training_step(self, shapes.to(self.device), samples, rates, self.epoch)
        self.step += 1
        return result

    def _next_shapes(self) -> Tensor:
        """(B,) shapes, each once before any comes again."""
        while len(self.waiting) < self.batch_shapes:
            self.waiting = torch.cat([self.waiting, torch.randperm(self.pool.n_shapes, generator=self.generator)])
        batch, self.waiting = self.waiting[: self.batch_shapes], self.waiting[self.batch_shapes :]
        return batch

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {
            "step": self.step,
            "weights": self.decoder.state_dict(),
            "codes": self.codes.detach(),
            "optimizer": self.optimizer.state_dict(),
            "waiting": self.waiting,
            "generator": self.generator.get_state(),
            "torch_generator": torch.get_rng_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on where `state` was taken.

        Raises:
            InputError: it is of other shapes or of another network.
        """
        try:
            if state["codes"].shape != self.codes.shape:
                raise ValueError(f"codes {tuple(state['codes'].shape)}, expected {tuple(self.codes.shape)}")
            self.decoder.load_state_dict(state["weights"])
            self.codes.data.copy_(state["codes"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.waiting = int(state["step"]), state["waiting"]
            self.generator.set_state(state["generator"])
            torch.set_rng_state(state["torch_generator"])
        except (KeyError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:120]
            raise InputError(f"resume: the saved state does not fit data and specs ({reason}); train in another folder.") from error


def training_step(
    model: AutoDecoder, shapes: Tensor, samples: Tensor, rates: tuple[float, float], epoch: int
) -> StepResult:
    """One step of Adam on weights and codes; changes both in place.

    (1 / K) sum_j |clamp(f(z_i(j), x_j), d) - clamp(s_j, d)| + lambda min(1, epoch / 100) (1 / K) sum_j |z_i(j)| over the K samples.

    Args:
        model: decoder, codes and optimiser.
        shapes: (B,) numbers of the shapes, whose codes are first shortened to CodeBound.
        samples: (B, n, 4) of each.
        rates: learning rates of weights and of codes.
        epoch: from 1.

    Raises:
        TrainingDiverged: the loss is not a number.
    """
    specs, codes = model.specs, model.codes
    shorten_codes(codes.data, shapes, specs["CodeBound"])
    for group, rate in zip(model.optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    model.decoder.train()
    model.optimizer.zero_grad(set_to_none=True)
    total, difference = accumulate_gradients(model, shapes, samples, epoch)
    if not bool(total.isfinite()):
        raise TrainingDiverged(f"training: the loss is {float(total)} in step {model.step + 1}; lower the learning rates in specs.json.")
    if specs["GradientClipNorm"] is not None:
        nn.utils.clip_grad_norm_(model.decoder.parameters(), float(specs["GradientClipNorm"]))
    model.optimizer.step()
    return StepResult(total, difference)


def accumulate_gradients(model: AutoDecoder, shapes: Tensor, samples: Tensor, epoch: int) -> tuple[Tensor, Tensor]:
    """Adds the gradients of a batch's loss, in parts that fit into memory; returns loss and its first term, () each."""
    specs = model.specs
    n_shapes, n_each = samples.shape[:2]
    weight = float(specs["CodeRegularizationLambda"]) if specs["CodeRegularization"] else 0.0
    at_a_time = max(1, SAMPLES_AT_A_TIME // n_shapes)
    difference = samples.new_zeros(())
    for part in samples.split(at_a_time, dim=1):
        predicted = model.decoder(model.codes[shapes].unsqueeze(1), part[..., :3])
        losses = sample_losses(predicted, part[..., 3], specs.truncation, bool(specs["UnclampWrongSign"]))
        loss = losses.sum() / (n_shapes * n_each)
        loss.backward()
        difference = difference + loss.detach()
    penalty = code_penalty(model.codes[shapes], epoch, weight)
    if weight > 0.0 and model.codes.shape[1] > 0:
        penalty.backward()
    return difference + penalty.detach(), difference
