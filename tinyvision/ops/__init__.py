"""The calculus, written by hand: `<op>_forward` beside `<op>_backward`, plain arrays in and out.

    y, cache = conv2d_forward(x, weight, bias, stride=1, padding=1)
    dx, dweight, dbias = conv2d_backward(dy, cache)

Nothing here knows the tape, and nothing here is needed to try an op in a REPL.
"""

from .activation import (
    relu6_backward,
    relu6_forward,
    relu_backward,
    relu_forward,
    sigmoid_backward,
    sigmoid_forward,
    tanh_backward,
    tanh_forward,
)
from .activation_piecewise import (
    clamp_backward,
    clamp_forward,
    hardsigmoid_backward,
    hardsigmoid_forward,
    hardswish_backward,
    hardswish_forward,
    hardtanh_backward,
    hardtanh_forward,
    leaky_relu_backward,
    leaky_relu_forward,
    prelu_backward,
    prelu_forward,
    threshold_backward,
    threshold_forward,
)
from .activation_smooth import (
    elu_backward,
    elu_forward,
    gelu_backward,
    gelu_forward,
    mish_backward,
    mish_forward,
    silu_backward,
    silu_forward,
    softplus_backward,
    softplus_forward,
)
from .adaptive_pool import (
    adaptive_avg_pool2d_backward,
    adaptive_avg_pool2d_forward,
    adaptive_max_pool2d_backward,
    adaptive_max_pool2d_forward,
)
from .arranging import (
    flip_backward,
    flip_forward,
    repeat_backward,
    repeat_forward,
    roll_backward,
    roll_forward,
)
from .binary import (
    atan2_backward,
    atan2_forward,
    fmod_backward,
    fmod_forward,
    hypot_backward,
    hypot_forward,
    logaddexp_backward,
    logaddexp_forward,
    maximum_backward,
    maximum_forward,
    minimum_backward,
    minimum_forward,
    power_backward,
    power_forward,
    remainder_backward,
    remainder_forward,
)
from .boxes import (
    box_agreement_backward,
    box_agreement_forward,
)
from .conv import conv2d_backward, conv2d_forward
from .conv_transpose import conv_transpose2d_backward, conv_transpose2d_forward
from .dropout import dropout_backward, dropout_forward
from .erf import (
    erf_backward,
    erf_forward,
    erfinv_backward,
    erfinv_forward,
)
from .gathering import (
    gather_backward,
    gather_forward,
    scatter_add_backward,
    scatter_add_forward,
    scatter_backward,
    scatter_forward,
)
from .grid_sample import (
    grid_sample_backward,
    grid_sample_forward,
)
from .group_norm import (
    group_norm_backward,
    group_norm_forward,
    layer_norm_backward,
    layer_norm_forward,
)
from .im2col import col2im, im2col_backward, im2col_forward
from .linear import linear_backward, linear_forward, matmul_backward, matmul_forward
from .loss import (
    cross_entropy_backward,
    cross_entropy_forward,
    log_softmax_backward,
    log_softmax_forward,
    mse_backward,
    mse_forward,
    nll_loss_backward,
    nll_loss_forward,
    softmax_backward,
    softmax_forward,
)
from .loss_embedding import arcface_backward, arcface_forward, triplet_backward, triplet_forward
from .loss_pointwise import (
    bce_backward,
    bce_forward,
    bce_with_logits_backward,
    bce_with_logits_forward,
    focal_backward,
    focal_forward,
    huber_backward,
    huber_forward,
    kl_div_backward,
    kl_div_forward,
    l1_backward,
    l1_forward,
    smooth_l1_backward,
    smooth_l1_forward,
)
from .norm import (
    batchnorm_frozen_backward,
    batchnorm_frozen_forward,
    batchnorm_relu_backward,
    batchnorm_relu_forward,
    batchnorm_train_backward,
    batchnorm_train_forward,
    sync_batchnorm_backward,
    sync_batchnorm_forward,
)
from .pad import (
    pad_backward,
    pad_forward,
)
from .pool import (
    avg_pool2d_backward,
    avg_pool2d_forward,
    max_pool2d_backward,
    max_pool2d_forward,
)
from .resize import (
    resize_backward,
    resize_forward,
)
from .running import (
    cumprod_backward,
    cumprod_forward,
    cumsum_backward,
    cumsum_forward,
    logsumexp_backward,
    logsumexp_forward,
    norm_backward,
    norm_forward,
    prod_backward,
    prod_forward,
)
from .shape import (
    add_backward,
    add_forward,
    concatenate_backward,
    concatenate_forward,
    diagonal_backward,
    diagonal_forward,
    div_backward,
    div_forward,
    exp_backward,
    exp_forward,
    expand_backward,
    expand_forward,
    flatten_backward,
    flatten_forward,
    index_backward,
    index_forward,
    log_backward,
    log_forward,
    max_backward,
    max_forward,
    mean_backward,
    mean_forward,
    mul_backward,
    mul_forward,
    pow_backward,
    pow_forward,
    reshape_backward,
    reshape_forward,
    slide_backward,
    slide_forward,
    sub_backward,
    sub_forward,
    sum_backward,
    sum_forward,
    transpose_backward,
    transpose_forward,
    where_backward,
    where_forward,
)
from .spread import std_backward, std_forward, var_backward, var_forward
from .unary import (
    abs_backward,
    abs_forward,
    acos_backward,
    acos_forward,
    acosh_backward,
    acosh_forward,
    asin_backward,
    asin_forward,
    asinh_backward,
    asinh_forward,
    atan_backward,
    atan_forward,
    atanh_backward,
    atanh_forward,
    cos_backward,
    cos_forward,
    cosh_backward,
    cosh_forward,
    expm1_backward,
    expm1_forward,
    log1p_backward,
    log1p_forward,
    log2_backward,
    log2_forward,
    log10_backward,
    log10_forward,
    logit_backward,
    logit_forward,
    rsqrt_backward,
    rsqrt_forward,
    sin_backward,
    sin_forward,
    sinh_backward,
    sinh_forward,
    steps_backward,
    steps_forward,
    tan_backward,
    tan_forward,
)
from .unfold import fold_backward, fold_forward, unfold_backward, unfold_forward
from .write import write_backward, write_forward

__all__ = sorted(name for name in globals() if name.endswith(("_forward", "_backward")) or name == "col2im")
