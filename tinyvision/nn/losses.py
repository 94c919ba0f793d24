"""Losses as modules: each hands its options to the function of its name."""

from typing import Any

import numpy as np

from ..device import to_device
from ..errors import OptionError, ShapeError
from ..ops.checks import fraction, is_integer
from ..tensors.inputs import tensor_input
from ..tensors.tensor import Tensor
from . import functional
from .functional.loss import reduction_of
from .layers.declared import Declared
from .module import Buffer, Module

__all__ = [
    "BCELoss", "BCEWithLogitsLoss", "BoxIoULoss", "CosineEmbeddingLoss", "CrossEntropyLoss", "DiceLoss",
    "FocalLoss", "GaussianNLLLoss", "HingeEmbeddingLoss", "HuberLoss", "KLDivLoss", "L1Loss", "MSELoss",
    "MarginRankingLoss", "MultiLabelSoftMarginLoss", "MultiMarginLoss", "NLLLoss", "PoissonNLLLoss", "SmoothL1Loss",
    "SoftMarginLoss", "TripletMarginLoss",
]  # fmt: skip


class _Loss(Declared):
    """A loss with PyTorch's arguments: size_average and reduce are the old spelling of reduction."""

    reduction: str

    def __post_init__(self) -> None:
        old = (getattr(self, "size_average", None), getattr(self, "reduce", None))
        if (type(self).__name__, self.reduction) != ("KLDivLoss", "batchmean"):
            self.reduction = reduction_of(type(self).__name__, *old, self.reduction)
        for name in ("size_average", "reduce"):
            if hasattr(self, name):
                setattr(self, name, None)
        for name in ("weight", "pos_weight"):
            value = getattr(self, name, None)
            if value is not None:
                setattr(
                    self, name, Buffer(np.asarray(value, np.float32) if isinstance(value, (list, tuple)) else value)
                )

    def options(self) -> dict[str, Any]:
        """The options, the old spellings left out."""
        return {name: value for name, value in super().options().items() if name not in ("size_average", "reduce")}

    def extra_repr(self) -> str:
        """Nothing, as in PyTorch."""
        return ""


class L1Loss(_Loss, function=functional.l1_loss):
    """The mean of |input - target|."""

    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"


class MSELoss(_Loss, function=functional.mse_loss):
    """The mean of (input - target)²."""

    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"


class SmoothL1Loss(_Loss, function=functional.smooth_l1_loss):
    """d² / (2 · beta) where d = |input - target| < beta, else d - beta / 2; the mean."""

    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"
    beta: float = 1.0


class HuberLoss(_Loss, function=functional.huber_loss):
    """d² / 2 where d = |input - target| < delta, else delta · (d - delta / 2); the mean."""

    reduction: str = "mean"
    delta: float = 1.0


class BCELoss(_Loss, function=functional.binary_cross_entropy):
    """Binary cross-entropy of probabilities; the mean."""

    weight: Any = None
    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"


class BCEWithLogitsLoss(_Loss, function=functional.binary_cross_entropy_with_logits):
    """Binary cross-entropy of scores; the mean. pos_weight multiplies the part of target 1."""

    weight: Any = None
    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"
    pos_weight: Any = None


class KLDivLoss(_Loss, function=functional.kl_div):
    """target · (log(target) - input), input a logarithm; "batchmean" is the divergence itself."""

    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"
    log_target: bool = False


class SoftMarginLoss(_Loss, function=functional.soft_margin_loss):
    """log(1 + exp(-target · input)), target 1 or -1; the mean."""

    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"


class HingeEmbeddingLoss(_Loss, function=functional.hinge_embedding_loss):
    """The distance itself where target is 1, max(0, margin - distance) where it is -1; the mean."""

    margin: float = 1.0
    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"


class MarginRankingLoss(_Loss, function=functional.margin_ranking_loss):
    """max(0, -target · (input1 - input2) + margin); the mean."""

    margin: float = 0.0
    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"


class CosineEmbeddingLoss(_Loss, function=functional.cosine_embedding_loss):
    """1 - cos where target is 1, max(0, cos - margin) where it is -1; the mean."""

    margin: float = 0.0
    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"


class TripletMarginLoss(_Loss, function=functional.triplet_margin_loss):
    """max(0, |anchor - positive| - |anchor - negative| + margin); the mean."""

    margin: float = 1.0
    p: float = 2.0
    eps: float = 1e-6
    swap: bool = False
    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"


class PoissonNLLLoss(_Loss, function=functional.poisson_nll_loss):
    """exp(input) - target · input, for counts; the mean."""

    log_input: bool = True
    full: bool = False
    size_average: bool | None = None
    eps: float = 1e-8
    reduce: bool | None = None
    reduction: str = "mean"

    def forward(self, log_input: Tensor, target: Tensor) -> Tensor:
        """The loss of counts' logarithms (or counts, without the option log_input) for `target`."""
        return functional.poisson_nll_loss(log_input, target, **self.options())


class GaussianNLLLoss(_Loss, function=functional.gaussian_nll_loss):
    """(log(var) + (input - target)² / var) / 2; the mean."""

    full: bool = False
    eps: float = 1e-6
    reduction: str = "mean"


class MultiLabelSoftMarginLoss(_Loss, function=functional.multilabel_soft_margin_loss):
    """Binary cross-entropy of scores (N, C), averaged over the classes; the mean."""

    weight: Any = None
    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"


class MultiMarginLoss(_Loss, function=functional.multi_margin_loss):
    """Σ over the wrong classes of max(0, margin - input[target] + input[k])^p / K; the mean."""

    p: int = 1
    margin: float = 1.0
    weight: Any = None
    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"


class _ClassLoss(Module):
    def __init__(self, weight: Any, ignore_index: int, reduction: str) -> None:
        self.reduction = reduction
        if not is_integer(ignore_index):
            raise OptionError(f"{type(self).__name__}: ignore_index must be an integer, got {ignore_index!r}")
        self.ignore_index = ignore_index
        weight = np.asarray(weight, np.float32) if isinstance(weight, (list, tuple)) else weight
        self.weight = None if weight is None else Buffer(weight)
        if self.weight is not None and self.weight.ndim != 1:
            raise ShapeError(
                f"{type(self).__name__}: weight must have one number per class (K,), got {self.weight.shape}"
            )

    def _weight_for(self, input):
        """The class weights in the precision and on the device of the scores."""
        if self.weight is None:
            return None
        input = tensor_input(type(self).__name__, "input", input)
        return to_device(self.weight.array.astype(input.dtype), input.device)


class CrossEntropyLoss(_ClassLoss):
    """Softmax and negative log-likelihood in one: takes scores (N, K) and class numbers (N,) or
    probabilities (N, K)."""

    def __init__(
        self,
        weight: Any = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, ignore_index, reduction_of("CrossEntropyLoss", size_average, reduce, reduction))
        self.label_smoothing = fraction("CrossEntropyLoss", "label_smoothing", label_smoothing)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of scores `input` for `target`."""
        weight, smoothing = self._weight_for(input), self.label_smoothing
        options: dict[str, Any] = {"ignore_index": self.ignore_index, "reduction": self.reduction}
        options["label_smoothing"] = smoothing
        return functional.cross_entropy(input, target, weight, **options)


class NLLLoss(_ClassLoss):
    """Negative log-likelihood: takes log-probabilities (N, K), as LogSoftmax gives them, and class numbers (N,)."""

    def __init__(
        self,
        weight: Any = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, ignore_index, reduction_of("NLLLoss", size_average, reduce, reduction))

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of log-probabilities `input` for `target`."""
        options: dict[str, Any] = {"ignore_index": self.ignore_index, "reduction": self.reduction}
        return functional.nll_loss(input, target, self._weight_for(input), **options)


class FocalLoss(_Loss, function=functional.sigmoid_focal_loss):
    """alpha · q^gamma · binary cross-entropy of scores, q how far off they are; the mean (Lin et al., 2017)."""

    alpha: float = 0.25
    gamma: float = 2.0
    reduction: str = "mean"


class DiceLoss(_Loss, function=functional.dice_loss):
    """How little two masks (N, C, ...) overlap, from probabilities; the mean."""

    smooth: float = 1.0
    reduction: str = "mean"


class BoxIoULoss(_Loss, function=functional.box_iou_loss):
    """1 - GIoU (or 1 - IoU) of boxes (N, 4) as (x1, y1, x2, y2); the mean."""

    generalized: bool = True
    reduction: str = "mean"
