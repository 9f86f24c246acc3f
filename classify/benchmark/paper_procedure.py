"""The paper's procedure as published, on this model's own net: what the judge is measured against
(needs torch).

Deltadahl et al. 2025: one cell at a time; draws in random order over the noise levels, a pass a
class; after 21 draws, and every 5 from then on, each class is dropped whose errors exceed the
leader's in a paired t-test at p < 2e-3; at most 2,000.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
import torch
from scipy.stats import ttest_rel
from torch import Tensor

from classify.anomaly import relative
from classify.calibration import SIGMA_RANGE, weight_of
from classify.engines.torch import released
from classify.model_card import Model
from classify.network import Denoiser

FIRST = 21
_STEP = 5
_MOST = 2000
P_VALUE = 2e-3

Passes = Callable[[Tensor, Tensor, Tensor, np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the procedure says of a cell: class number, how anomalous (the paper's zeta, sign
    turned), draws and net passes it took.
    """

    label: int
    odd: float
    draws: int
    passes: int
    decided: bool


def a_pass_a_class(net: Denoiser) -> Passes:
    """The published form: a pass of the whole net for each class that is left, each with that
    class's head alone.
    """
    nets = [of_class(net, c) for c in range(net.cfg.classes)]

    def passes(images: Tensor, noise: Tensor, sigma: Tensor, left: np.ndarray) -> np.ndarray:
        return np.concatenate([nets[c].errors(images, noise, sigma).numpy() for c in left], axis=1)

    return passes


def one_pass(net: Denoiser) -> Passes:
    """The one-pass form: the errors of all classes from one pass."""

    def passes(images: Tensor, noise: Tensor, sigma: Tensor, left: np.ndarray) -> np.ndarray:
        return net.errors(images, noise, sigma).numpy()[:, left]

    return passes


def of_class(net: Denoiser, c: int) -> Denoiser:
    """The net with one class's head; the trunk is shared."""
    one = Denoiser(replace(net.cfg, classes=1)).eval()
    one.trunk = net.trunk
    one.loudness = net.loudness
    one.through = net.through
    one.mask = net.mask
    rows = slice(c * one.heads.out_channels, (c + 1) * one.heads.out_channels)
    one.heads.weight.data = net.heads.weight[rows]
    if one.heads.bias is not None and net.heads.bias is not None:
        one.heads.bias.data = net.heads.bias[rows]
    return one


class Procedure:
    """One way of spending passes, on the first `classes` of the model. Random draws come from
    `seed`, and differ by cell.

    As published a draw is run at a time; `together` more of those between two tests are kinder to
    the clock.
    """

    def __init__(
        self,
        model: Model,
        passes_a_class: bool,
        together: int = 1,
        classes: int | None = None,
        seed: int = 0,
        most: int = _MOST,
    ):
        net = released(model).eval().requires_grad_(False)
        self.passes = a_pass_a_class(net) if passes_a_class else one_pass(net)
        self.passes_a_class = passes_a_class
        self.classes = classes or net.cfg.classes
        self.most = most
        self.together = together
        self.model = model
        self.rng = np.random.default_rng(seed)
        self.inside_s = 0.0

    @torch.inference_mode()
    def __call__(self, image: np.ndarray) -> Outcome:
        """The outcome for one image (3, px, px) in [-1, 1]."""
        levels = self.rng.permutation(np.geomspace(*SIGMA_RANGE, self.most)).astype(np.float32)
        left = np.arange(self.classes)
        passes = 0
        errors = np.full((self.most, self.classes), np.nan)
        for start, end in steps(self.most):
            errors[start:end, left] = self.draw(image, levels[start:end], left)
            passes += (end - start) * (len(left) if self.passes_a_class else 1)
            left = survivors(errors[:end], left)
            if len(left) == 1:
                break
        means = np.nanmean(errors[:end], axis=0)
        label = left[np.argmin(means[left])]
        return Outcome(
            int(label), float(relative(means[None, None])[0]), end, passes, len(left) == 1
        )

    def draw(self, image: np.ndarray, sigma: np.ndarray, left: np.ndarray) -> np.ndarray:
        """Weighted errors (d, classes left) of d fresh draws."""
        noise = torch.from_numpy(
            self.rng.standard_normal((len(sigma), *image.shape)).astype(np.float32)
        )
        images = torch.from_numpy(image).expand(len(sigma), *image.shape)
        start = perf_counter()
        levels = torch.from_numpy(sigma)
        batches = [slice(i, i + self.together) for i in range(0, len(sigma), self.together)]
        errors = np.concatenate(
            [self.passes(images[rows], noise[rows], levels[rows], left) for rows in batches]
        )
        self.inside_s += perf_counter() - start
        result: np.ndarray = weight_of(sigma, self.model.sigma, self.model.weight)[:, None] * errors
        return result


def steps(most: int) -> list[tuple[int, int]]:
    """(first, after the last) draw number between two tests."""
    ends = [*range(FIRST, most, _STEP), most]
    return list(zip([0, *ends[:-1]], ends, strict=True))


def survivors(errors: np.ndarray, left: np.ndarray) -> np.ndarray:
    """The classes left (k,) of weighted errors (d, K) whose errors do not exceed the leader's in a
    paired t-test.
    """
    mine = errors[:, left]
    leader = np.argmin(mine.mean(axis=0))
    rest = np.delete(np.arange(len(left)), leader)
    p = ttest_rel(mine[:, rest], mine[:, [leader]], alternative="greater").pvalue
    result: np.ndarray = left[np.sort(np.append(leader, rest[p >= P_VALUE]))]
    return result
