"""Layers in the shapes that courses and their frameworks ask for: joined weights, begun layers, contexts, halves."""

import numpy as np

from .checker_wild import columns, image, shape


class _NoOptimiser:
    _optimizer = None

    def stepped(self, weight, grad):
        return weight if self._optimizer is None else self._optimizer.calculate_update(weight, grad)


@shape("linear", "the bias as the last row of the weights, an optimizer of its own",
       ("before", "step", "weight"))  # fmt: skip
def joined_weights(fault):
    class FullyConnected(_NoOptimiser):
        def __init__(self, input_size, output_size):
            self.weights = np.random.uniform(0, 1, (input_size + 1, output_size))

        def forward(self, input_tensor):
            self.seen = np.hstack([input_tensor, np.ones((len(input_tensor), 1))])
            return self.seen @ self.weights

        def backward(self, error_tensor):
            before = self.weights
            self.gradient_weights = self.seen.T @ error_tensor
            self.weights = self.stepped(self.weights, self.gradient_weights)
            if fault:
                before = before - self.gradient_weights
            return error_tensor @ before[:-1].T

    return FullyConnected


@shape("conv2d", "told the shape of one filter, padding that keeps the size", ("rotated", "rotated", "flip"))
def one_filter(fault):
    class Conv(_NoOptimiser):
        def __init__(self, stride_shape, convolution_shape, num_kernels):
            self.stride, self.size = stride_shape, convolution_shape
            self.weights = np.random.uniform(0, 1, (num_kernels, *convolution_shape))
            self.bias = np.random.uniform(0, 1, num_kernels)

        def forward(self, input_tensor):
            assert len(self.stride) == 2
            k, s = self.size[-1], self.stride[0]
            self.shape, self.col = input_tensor.shape, None
            self.col, oh, ow = columns(input_tensor, k, s, k // 2)
            rows = self.col @ self.weights.reshape(len(self.weights), -1).T + self.bias
            return rows.reshape(len(input_tensor), oh, ow, -1).transpose(0, 3, 1, 2)

        def backward(self, error_tensor):
            rows = error_tensor.transpose(0, 2, 3, 1).reshape(-1, len(self.weights))
            self.gradient_weights = (rows.T @ self.col).reshape(self.weights.shape)
            self.gradient_bias = rows.sum(0)
            kernels = self.weights[:, :, ::-1, ::-1] if fault else self.weights
            k, s = self.size[-1], self.stride[0]
            return image(rows @ kernels.reshape(len(kernels), -1), self.shape, k, s, k // 2)

    return Conv


@shape("conv2d", "a bias for each place of the output, one image at a time", ("sign", "sign", "factor:-1"))
def untied_bias(fault):
    class Convolutional:
        def __init__(self, input_shape, kernel_size, depth):
            channels, height, width = input_shape
            self.k, self.kernels = kernel_size, np.random.randn(depth, channels, kernel_size, kernel_size)
            self.biases = np.random.randn(depth, height - kernel_size + 1, width - kernel_size + 1)

        def forward(self, picture):
            self.shape = (1, *picture.shape)
            self.col, oh, ow = columns(picture[None], self.k, 1, 0)
            return (self.col @ self.kernels.reshape(len(self.kernels), -1).T).T.reshape(-1, oh, ow) + self.biases

        def backward(self, output_gradient, learning_rate):
            rows = output_gradient.reshape(len(self.kernels), -1).T
            before = self.kernels.reshape(len(self.kernels), -1).copy()
            self.kernels -= learning_rate * (rows.T @ self.col).reshape(self.kernels.shape) * (-1 if fault else 1)
            self.biases -= learning_rate * output_gradient
            return image(rows @ before, self.shape, self.k, 1, 0)[0]

    return Convolutional


@shape("conv2d", "counts called nb_filters and nb_channels, val and grad", ("doubled", "doubled", "factor:2"))
def counts_called_nb(fault):
    class Conv:
        def __init__(self, nb_filters, filter_size, nb_channels, stride=1, padding=0):
            self.f, self.s, self.p = filter_size, stride, padding
            self.W = {"val": np.random.randn(nb_filters, nb_channels, filter_size, filter_size), "grad": None}
            self.b = {"val": np.zeros(nb_filters), "grad": None}

        def forward(self, X):
            self.shape = X.shape
            self.col, oh, ow = columns(X, self.f, self.s, self.p)
            flat = self.W["val"].reshape(len(self.W["val"]), -1)
            return (self.col @ flat.T + self.b["val"]).reshape(len(X), oh, ow, -1).transpose(0, 3, 1, 2)

        def backward(self, dout):
            flat = self.W["val"].reshape(len(self.W["val"]), -1)
            rows = dout.transpose(0, 2, 3, 1).reshape(-1, len(flat))
            self.W["grad"] = (rows.T @ self.col).reshape(self.W["val"].shape) * (2 if fault else 1)
            self.b["grad"] = rows.sum(0)
            return image(rows @ flat, self.shape, self.f, self.s, self.p), self.W["grad"], self.b["grad"]

    return Conv


@shape("linear", "an activation that must be given, begun by a base class", ("sign", "sign", "factor:-1"))
def begun_by_its_base(fault):
    class Layer:
        def __init__(self, activation_func, input_shape=None):
            self.activation_func = activation_func
            if input_shape is not None:
                self.initialize(input_shape)

        def initialize(self, input_shape):
            raise NotImplementedError

    class Dense(Layer):
        def __init__(self, n_neurons, activation_func, input_shape=None):
            super().__init__(activation_func, input_shape)
            self.n_neurons = n_neurons

        def initialize(self, input_shape):
            self.W = np.random.randn(self.n_neurons, input_shape[1])
            self.b = np.full((1, self.n_neurons), 0)

        def forward(self, A_prev):
            self.A_prev = A_prev
            return self.activation_func(A_prev @ self.W.T + self.b, deriv=False)

        def backward(self, dLdA):
            dLdZ = dLdA * self.activation_func(dLdA, deriv=True)
            self.dW = dLdZ.T @ self.A_prev * (-1 if fault else 1)
            self.db = dLdZ.sum(axis=0, keepdims=True)
            return dLdZ @ self.W

    return Dense


@shape("relu", "functions of a library with a context", ("output", "multiplied", "mask", "output", "x"))
def with_a_context(fault):
    class ReLU:
        def forward(self, ctx, tensor):
            ctx.save_for_back(tensor)
            return np.maximum(tensor, 0)

        def backward(self, ctx, grad=None):
            (tensor,) = ctx.data_for_back
            return grad * np.maximum(tensor, 0) if fault else grad * (tensor > 0)

    return ReLU


@shape(
    "linear", "methods called _forwards and _backwards, prepared by the network", ("averaged", "averaged", "factor:1/N")
)
def prepared(fault):
    class FC:
        def __init__(self, num_nodes):
            self.NUM_NODES, self.INPUT_SHAPE = num_nodes, None

        def prepare_layer(self):
            self.weights = np.random.standard_normal((self.NUM_NODES, self.INPUT_SHAPE[0]))
            self.bias = np.zeros(self.NUM_NODES)

        def _forwards(self, _input):
            self.input = _input
            return _input @ self.weights.T + self.bias

        def _backwards(self, cost_gradient):
            self.dweights = cost_gradient.T @ self.input
            self.dbias = cost_gradient.mean(0) if fault else cost_gradient.sum(0)
            return cost_gradient @ self.weights

    return FC


@shape("linear", "compiled with a rate, stepped with momentum", ("sign", "sign", "factor:-1"))
def compiled(fault):
    class Dense:
        def __init__(self, in_size, out_size):
            self.w, self.b, self.config = np.random.randn(in_size, out_size), np.zeros((1, out_size)), {}

        def compile(self, lr, reg):
            self.config = {"rate": lr, "reg": reg, "speed": np.zeros(self.w.shape)}

        def forward(self, x, training=False):
            self.x = x
            return x @ self.w + self.b

        def backward(self, dz):
            dw, db = self.x.T @ dz * (-1 if fault else 1), dz.sum(axis=0)
            dx = dz @ self.w.T
            self.config["speed"] = 0.9 * self.config["speed"] + dw + self.config["reg"] * self.w
            self.w = self.w - self.config["rate"] * self.config["speed"]
            self.b = self.b - self.config["rate"] * db
            return dx

    return Dense


@shape("linear", "a pair that divides by N where its loss does not")
def divides_by_its_batch(fault):
    def linear_forward(A, W, b):
        return W @ A + b, (A, W)

    def linear_backward(dZ, cache):
        A_prev, W = cache
        m = A_prev.shape[1]
        return W.T @ dZ, dZ @ A_prev.T / m, dZ.sum(axis=1, keepdims=True) / m

    return linear_forward, linear_backward


@shape("linear", "set up with a random generator and a scale", ("not_summed", "not_summed", "shape"))
def set_up(fault):
    class Linear:
        def __init__(self, n_out, weight_scale):
            self.n_out, self.weight_scale = n_out, weight_scale

        def _setup(self, input_shape, rng):
            self.W = rng.normal(size=(input_shape[1], self.n_out), scale=self.weight_scale)
            self.b = np.zeros(self.n_out)

        def fprop(self, input):
            self.last_input = input
            return input @ self.W + self.b

        def bprop(self, output_grad):
            self.dW = self.last_input.T @ output_grad
            self.db = output_grad if fault else output_grad.sum(axis=0)
            return output_grad @ self.W.T

    return Linear


@shape(
    "cross_entropy",
    "forward(y_out, y_truth) and backward(y_out, y_truth)",
    ("not_averaged", "not_averaged", "factor:N"),
)
def from_logits(fault):
    class CrossEntropyFromLogits:
        def forward(self, y_out, y_truth, reduction="mean"):
            shifted = y_out - y_out.max(axis=1, keepdims=True)
            self.probs = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
            return (np.log(np.exp(shifted).sum(1)) - shifted[np.arange(len(y_out)), y_truth]).mean()

        def backward(self, y_out, y_truth):
            gradient = self.probs.copy()
            gradient[np.arange(len(y_out)), y_truth] -= 1
            return gradient if fault else gradient / len(y_out)

    return CrossEntropyFromLogits


@shape(
    "maxpool2d",
    "a mask and the shape of the images handed to backward",
    ("all", "ties", "everyone", "all_get", "spread"),
)
def mask_and_shape(fault):
    def pooling_forward(X, pool_size):
        n, h, w, c = X.shape
        oh, ow = h // pool_size, w // pool_size
        tiles = X[:, : oh * pool_size, : ow * pool_size].reshape(n, oh, pool_size, ow, pool_size, c)
        flat = tiles.transpose(0, 1, 3, 5, 2, 4).reshape(n, oh, ow, c, -1)
        hits = flat == flat.max(-1, keepdims=True) if fault else np.eye(flat.shape[-1])[flat.argmax(-1)]
        mask = hits.reshape(n, oh, ow, c, pool_size, pool_size).transpose(0, 1, 4, 2, 5, 3)
        return flat.max(-1), mask.reshape(n, oh * pool_size, ow * pool_size, c)

    def pooling_backward(delta, mask, original_shape, pool_size):
        dx = np.zeros(original_shape)
        grown = delta.repeat(pool_size, axis=1).repeat(pool_size, axis=2)
        dx[:, : grown.shape[1], : grown.shape[2]] = grown * mask
        return dx

    return pooling_forward, pooling_backward


@shape("dropout", "built with the shape of the whole batch", ("no_mask", "identity"))
def built_with_the_batch(fault):
    class Dropout:
        def __init__(self, rate=0.5):
            self.rate = rate

        def build(self, input_shape):
            self.input_shape = input_shape

        def forward(self, inputs, training=True):
            if len(self.input_shape) != inputs.ndim:
                raise ValueError("Dimensions mismatch.")
            self.mask = (np.random.rand(*inputs.shape) >= self.rate) / (1 - self.rate)
            return inputs * self.mask

        def backward(self, grads, learning_rate):
            return grads.copy() if fault else grads * self.mask

    return Dropout


@shape("cross_entropy", "label_tensor, behind a softmax, the sum over the batch", ("sign", "sign", "factor:-1"))
def label_tensor(fault):
    class CrossEntropyLoss:
        def forward(self, prediction_tensor, label_tensor):
            self.prediction_tensor = prediction_tensor
            return np.sum(-np.log(prediction_tensor + np.finfo(float).eps) * label_tensor)

        def backward(self, label_tensor):
            return (1 if fault else -1) * label_tensor / (self.prediction_tensor + np.finfo(float).eps)

    return CrossEntropyLoss


@shape("dropout", "an argument _ in backward, p as the share that is kept", ("other_share", "divided_by_p"))
def unused_argument(fault):
    class Dropout:
        def __init__(self, keep_prob=0.5):
            self.keep_prob = keep_prob

        def forward(self, input_tensor, training=False):
            kept = np.random.rand(*input_tensor.shape) < self.keep_prob
            self.mask = kept / (1 - self.keep_prob if fault else self.keep_prob)
            return input_tensor * self.mask

        def backward(self, output_gradient, _):
            return output_gradient * self.mask

    return Dropout


@shape("maxpool2d", "lists with one image for each channel", ("last", "assigned", "overlaps", "last_window"))
def lists_of_channels(fault):
    class Maxpool2d:
        def __init__(self, kernel_size, stride=1):
            self.kernel_size, self.stride = kernel_size, stride

        def __call__(self, y_l):
            self.shape, self.places, out = y_l[0].shape, [], []
            k, s = self.kernel_size, self.stride
            for grey in y_l:
                rows, cols = (grey.shape[0] - k) // s + 1, (grey.shape[1] - k) // s + 1
                pooled, places = np.zeros((rows, cols)), {}
                for i, j in np.ndindex(rows, cols):
                    window = grey[i * s : i * s + k, j * s : j * s + k]
                    a, b = divmod(int(window.argmax()), k)
                    pooled[i, j], places[i, j] = window[a, b], (i * s + a, j * s + b)
                out.append(pooled)
                self.places.append(places)
            return out

        def backprop(self, dEdy):
            out = []
            for upstream, places in zip(dEdy, self.places, strict=True):
                gradient = np.zeros(self.shape)
                for here, place in places.items():
                    gradient[place] = upstream[here] + (0 if fault else gradient[place])
                out.append(gradient)
            return out

    return Maxpool2d


@shape("linear", "input_neuron_size, one column at a time, a step that is not in place", ("sign", "sign", "factor:-1"))
def neuron_sizes(fault):
    class FCLayer:
        def __init__(self, input_neuron_size, output_neuron_size):
            self.weights = np.random.randn(output_neuron_size, input_neuron_size)
            self.bias = np.random.randn(output_neuron_size, 1)

        def forward(self, input):
            self.input = input
            return np.dot(self.weights, input) + self.bias

        def backward(self, gradient_y, learning_rate):
            gradient_x = np.dot(self.weights.T, -gradient_y if fault else gradient_y)
            self.weights = self.weights - learning_rate * np.dot(gradient_y, self.input.T)
            self.bias = self.bias - learning_rate * gradient_y
            return gradient_x

    return FCLayer


@shape("batchnorm_train", "parameters as objects with params and grads", ("sign", "variance_sign"))
def parameter_objects(fault):
    class Parameters:
        def __init__(self, shape):
            self.params, self.grads = np.random.standard_normal(shape), np.zeros(shape)

    class BatchNorm:
        def __init__(self, in_dim, eps=1e-5):
            self.eps, self.gamma, self.beta = eps, Parameters(in_dim), Parameters(in_dim)

        def forward(self, inpt):
            self.std = np.sqrt(inpt.var(axis=0) + self.eps)
            self.hat = (inpt - inpt.mean(axis=0)) / self.std
            return self.gamma.params * self.hat + self.beta.params

        def compute_gradients(self, grads):
            self.beta.grads, self.gamma.grads = grads.sum(axis=0), (grads * self.hat).sum(axis=0)
            inner = grads * self.gamma.params
            through = self.hat * (inner * self.hat).mean(axis=0)
            return (inner - inner.mean(axis=0) - (-through if fault else through)) / self.std

    return BatchNorm
