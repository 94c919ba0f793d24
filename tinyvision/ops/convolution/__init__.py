"""The ways to compute a convolution, one file each: `columns` (the general one), `planes`, `depthwise`, `winograd`.

A way is four functions, and `ops.conv` takes the first that applies:

    applies(x, weight_shape, y_shape, sliding, keeps)         whether it can, and pays
    correlate(x, weight, y_shape, sliding, bias, finish, kept)  ->  y
    image_gradient(dy, weight, x_shape, sliding)                ->  dx
    weight_gradient(x, dy, weight_shape, sliding, biased)       ->  dweight, dbias

Inside this room channels are the last axis: x (N, H, W, C), weight (O, KH, KW, C/groups), y (N, OH, OW, O).
"""
