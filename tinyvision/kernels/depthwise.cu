// Depthwise convolution: every channel has a kernel of its own, so there is no sum over channels, no matrix product, and
// nothing for tensor cores to do. What counts is how often a pixel is fetched.
//
// All images are channels-last (N, H, W, C): lane = channel, so a warp reads 128 neighbouring bytes. Three primitives, each
// with its simple version first; offsets into an image are 32-bit numbers: the caller sees to it that no array has 2³¹
// numbers or more.
//
// Prediction (H100, EfficientNet-Lite0, batch 64): bound by memory. Forward and image gradient: the fast
// versions fetch 1.5 (3×3) to 2 (5×5) numbers per output and kernel row in place of 3 and 5, the rest comes from the L1
// cache: 60 to 75 % of a plain copy's speed, where the simple ones reach 30 to 45 %. Weight gradient: the simple version keeps
// a few hundred threads busy and is 100 times slower; one tap per block reads everything KH·KW times from the L2 cache; the
// window in registers reads it KH times.
// Measurement (H200, batch 64, PyTorch channels-last beside it), ms, forward, image gradient, weight gradient: 3×3, 32 at 112²:
// 0.104 / 0.069, 0.098 / 0.081, 0.178 / 0.060; 3×3/2, 96 at 112²: 0.101 / 0.094, 0.169 / 0.377, 0.250 / 0.113; 5×5, 240 at 28²:
// 0.089 / 0.091, 0.091 / 0.092, 0.157 / 0.097; 5×5/2, 144 at 56²: 0.068 / 0.078, 0.102 / 0.330, 0.186 / 0.165; 3×3, 1152 at 7²:
// 0.018 / 0.015, 0.016 / 0.016, 0.017 / 0.021. Memory alone would take 0.057, 0.107, 0.027, 0.040, 0.008: 55 to 100 % of its
// speed for 3×3, a third for 5×5. Moments for a batch-norm (predicted: no slower, and y is read once less, 0.03 ms of 32 channels at
// 112²): not yet measured. The weight gradient, whose threads wait for one pixel after the other, is what is left to do.

struct Depthwise {
    int N, H, W, C, OH, OW, KH, KW, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
    int rows;        // of the weight gradient, and of what measures: output rows (n, i) that a block looks after
    int activation;  // 0: none, 1: ReLU, 2: ReLU6
};

// What happens to a sum before it is stored, as in conv.cu; null pointers are left out.
struct Finish {
    const float *scale, *shift, *skip;
};

__device__ __forceinline__ void finish(float* y, int index, int c, float sum, const Finish& f, int activation) {
    if (f.scale) sum *= f.scale[c];
    if (f.shift) sum += f.shift[c];
    if (f.skip) sum += f.skip[index];
    if (activation && sum < 0.f) sum = 0.f;
    if (activation == 2 && sum > 6.f) sum = 6.f;
    y[index] = sum;
}

constexpr int STRIP = 4;                 // neighbouring pixels of one row in a thread; a multiple of every stride below
constexpr int CHANNELS = 32, LANES = 8;  // of these blocks: 256 threads, 32 channels wide, 8 rows or strips deep

// ---- simple, and good for every size, stride and dilation: one thread per number ----

extern "C" __global__ void depthwise_forward_simple(const float* x, const float* weight, const float* scale,
                                                    const float* shift, const float* skip, float* y, Depthwise g) {
    unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= (unsigned)(g.N * g.OH * g.OW * g.C)) return;
    int c = index % g.C, j = index / g.C % g.OW, i = index / g.C / g.OW % g.OH, n = index / g.C / g.OW / g.OH;
    float sum = 0.f;
    for (int kh = 0; kh < g.KH; kh++)
        for (int kw = 0; kw < g.KW; kw++) {
            int h = i * g.stride_h - g.pad_h + kh * g.dilation_h, w = j * g.stride_w - g.pad_w + kw * g.dilation_w;
            if (h < 0 || h >= g.H || w < 0 || w >= g.W) continue;
            sum += x[((n * g.H + h) * g.W + w) * g.C + c] * weight[(kh * g.KW + kw) * g.C + c];
        }
    finish(y, index, c, sum, {scale, shift, skip}, g.activation);
}

extern "C" __global__ void depthwise_image_gradient_simple(const float* dy, const float* weight, float* dx, Depthwise g) {
    unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= (unsigned)(g.N * g.H * g.W * g.C)) return;
    int c = index % g.C, w = index / g.C % g.W, h = index / g.C / g.W % g.H, n = index / g.C / g.W / g.H;
    float sum = 0.f;
    for (int kh = 0; kh < g.KH; kh++) {
        int i = h + g.pad_h - kh * g.dilation_h;
        if (i < 0 || i % g.stride_h || i / g.stride_h >= g.OH) continue;
        for (int kw = 0; kw < g.KW; kw++) {
            int j = w + g.pad_w - kw * g.dilation_w;
            if (j < 0 || j % g.stride_w || j / g.stride_w >= g.OW) continue;
            sum += dy[((n * g.OH + i / g.stride_h) * g.OW + j / g.stride_w) * g.C + c] * weight[(kh * g.KW + kw) * g.C + c];
        }
    }
    dx[index] = sum;
}

// One thread per weight walks over all output pixels.
extern "C" __global__ void depthwise_weight_gradient_simple(const float* x, const float* dy, float* dw, Depthwise g) {
    int index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= g.KH * g.KW * g.C) return;
    int c = index % g.C, kw = index / g.C % g.KW, kh = index / g.C / g.KW;
    float sum = 0.f;
    for (int n = 0; n < g.N; n++)
        for (int i = 0; i < g.OH; i++)
            for (int j = 0; j < g.OW; j++) {
                int h = i * g.stride_h - g.pad_h + kh * g.dilation_h, w = j * g.stride_w - g.pad_w + kw * g.dilation_w;
                if (h < 0 || h >= g.H || w < 0 || w >= g.W) continue;
                sum += dy[((n * g.OH + i) * g.OW + j) * g.C + c] * x[((n * g.H + h) * g.W + w) * g.C + c];
            }
    dw[c * g.KH * g.KW + kh * g.KW + kw] = sum;
}

// ---- forward, fast: a strip of neighbouring outputs shares the pixels of each row in registers ----

template <int K, int S>
__device__ __forceinline__ void sums_of_strip(float (&sum)[STRIP], const float* x, const float* weight, int n, int i, int j, int c,
                                              const Depthwise& g) {
    constexpr int SPAN = (STRIP - 1) * S + K;
#pragma unroll
    for (int kh = 0; kh < K; kh++) {
        int h = i * S - g.pad_h + kh, left = j * S - g.pad_w;
        if (h < 0 || h >= g.H) continue;
        float pixels[SPAN];
#pragma unroll
        for (int p = 0; p < SPAN; p++)
            pixels[p] = left + p >= 0 && left + p < g.W ? x[((n * g.H + h) * g.W + left + p) * g.C + c] : 0.f;
#pragma unroll
        for (int kw = 0; kw < K; kw++) {
            float tap = weight[(kh * K + kw) * g.C + c];
#pragma unroll
            for (int s = 0; s < STRIP; s++) sum[s] += pixels[s * S + kw] * tap;
        }
    }
}

template <int K, int S>
__device__ __forceinline__ void forward_strip(const float* x, const float* weight, const Finish& f, float* y,
                                              const Depthwise& g) {
    unsigned index = blockIdx.x * blockDim.x + threadIdx.x, strips = (g.OW + STRIP - 1) / STRIP;
    if (index >= g.N * g.OH * strips * g.C) return;
    int c = index % g.C, j = index / g.C % strips * STRIP, i = index / g.C / strips % g.OH, n = index / g.C / strips / g.OH;
    float sum[STRIP] = {};
    sums_of_strip<K, S>(sum, x, weight, n, i, j, c, g);
#pragma unroll
    for (int s = 0; s < STRIP; s++)
        if (j + s < g.OW) finish(y, ((n * g.OH + i) * g.OW + j + s) * g.C + c, c, sum[s], f, g.activation);
}

#define FORWARD(name, K, S)                                                                                           \
    extern "C" __global__ void __launch_bounds__(256)                                                                 \
    name(const float* x, const float* weight, const float* scale, const float* shift, const float* skip, float* y,    \
         Depthwise g) {                                                                                               \
        forward_strip<K, S>(x, weight, {scale, shift, skip}, y, g);                                                   \
    }

FORWARD(depthwise_forward_3_1, 3, 1)
FORWARD(depthwise_forward_3_2, 3, 2)
FORWARD(depthwise_forward_5_1, 5, 1)
FORWARD(depthwise_forward_5_2, 5, 2)

struct Moments {
    float count, mean, squares;  // squares: the sum of (y - mean)²
};

// As in norm.cu.
__device__ __forceinline__ Moments joined(Moments a, Moments b) {
    float count = a.count + b.count;
    if (!(count > 0.f)) return a;
    float delta = b.mean - a.mean, share = b.count / count;
    return {count, a.mean + delta * share, a.squares + b.squares + delta * delta * a.count * share};
}

// The same, and it leaves the moments of its results for a batch-norm that follows, in moments (chunks, 2, C) as norm.cu's
// `moments_of_chunks` does: a block takes 32 channels of `rows` output rows.
template <int K, int S>
__device__ __forceinline__ void forward_measured(const float* x, const float* weight, const float* shift, float* y, float* moments,
                                                 const Depthwise& g, Moments* shared) {
    int c = blockIdx.x * CHANNELS + threadIdx.x % CHANNELS, strips = (g.OW + STRIP - 1) / STRIP;
    int begin = blockIdx.y * g.rows, end = begin + g.rows < g.N * g.OH ? begin + g.rows : g.N * g.OH;
    Moments own = {0.f, 0.f, 0.f};
    for (int at = begin * strips + threadIdx.x / CHANNELS; at < end * strips && c < g.C; at += LANES) {
        int row = at / strips, j = at % strips * STRIP;
        float sum[STRIP] = {}, bias = shift ? shift[c] : 0.f, count = min(STRIP, g.OW - j), mean = 0.f, squares = 0.f;
        sums_of_strip<K, S>(sum, x, weight, row / g.OH, row % g.OH, j, c, g);
#pragma unroll
        for (int s = 0; s < STRIP; s++) {
            sum[s] += bias;
            if (s >= count) continue;
            y[(row * g.OW + j + s) * g.C + c] = sum[s];
            mean += sum[s];
        }
        mean /= count;
#pragma unroll
        for (int s = 0; s < STRIP; s++) squares += s < count ? (sum[s] - mean) * (sum[s] - mean) : 0.f;
        own = joined(own, {count, mean, squares});
    }
    shared[threadIdx.x] = own;
    __syncthreads();
    if (threadIdx.x >= CHANNELS || c >= g.C) return;
    for (int lane = 1; lane < LANES; lane++) own = joined(own, shared[lane * CHANNELS + threadIdx.x]);
    moments[blockIdx.y * 2 * g.C + c] = own.mean;
    moments[(blockIdx.y * 2 + 1) * g.C + c] = own.squares;
}

#define MEASURED(name, K, S)                                                                                          \
    extern "C" __global__ void __launch_bounds__(256)                                                                 \
    name(const float* x, const float* weight, const float* shift, float* y, float* moments, Depthwise g) {            \
        __shared__ Moments shared[CHANNELS * LANES];                                                                  \
        forward_measured<K, S>(x, weight, shift, y, moments, g, shared);                                              \
    }

MEASURED(depthwise_measured_3_1, 3, 1)
MEASURED(depthwise_measured_3_2, 3, 2)
MEASURED(depthwise_measured_5_1, 5, 1)
MEASURED(depthwise_measured_5_2, 5, 2)

// ---- image gradient, fast: a strip of neighbouring pixels shares the gradients of each row ----

// Pixel w hears from window j = (w + P - kw) / S where that is whole. Strips begin where w + P is a multiple of STRIP, so
// which taps a pixel of the strip hears from is known to the compiler.
template <int K, int S>
__device__ __forceinline__ void image_gradient_strip(const float* dy, const float* weight, float* dx, const Depthwise& g) {
    constexpr int BEFORE = (K - 1) / S, COUNT = BEFORE + (STRIP - 1) / S + 1;
    unsigned index = blockIdx.x * blockDim.x + threadIdx.x, strips = (g.W + g.pad_w % STRIP + STRIP - 1) / STRIP;
    if (index >= g.N * g.H * strips * g.C) return;
    int c = index % g.C, strip = index / g.C % strips, h = index / g.C / strips % g.H, n = index / g.C / strips / g.H;
    int start = (strip + g.pad_w / STRIP) * STRIP, first = start / S - BEFORE;
    float sum[STRIP] = {};
#pragma unroll
    for (int kh = 0; kh < K; kh++) {
        int below = h + g.pad_h - kh, i = below / S;
        if (below < 0 || below % S || i >= g.OH) continue;
        float gradients[COUNT];
#pragma unroll
        for (int q = 0; q < COUNT; q++)
            gradients[q] = first + q >= 0 && first + q < g.OW ? dy[((n * g.OH + i) * g.OW + first + q) * g.C + c] : 0.f;
#pragma unroll
        for (int kw = 0; kw < K; kw++) {
            float tap = weight[(kh * K + kw) * g.C + c];
#pragma unroll
            for (int s = 0; s < STRIP; s++)
                if ((s + K * S - kw) % S == 0) sum[s] += gradients[(s + BEFORE * S - kw) / S] * tap;
        }
    }
#pragma unroll
    for (int s = 0; s < STRIP; s++) {
        int w = start + s - g.pad_w;
        if (w >= 0 && w < g.W) dx[((n * g.H + h) * g.W + w) * g.C + c] = sum[s];
    }
}

#define IMAGE_GRADIENT(name, K, S)                                                                                    \
    extern "C" __global__ void __launch_bounds__(256)                                                                 \
    name(const float* dy, const float* weight, float* dx, Depthwise g) {                                              \
        image_gradient_strip<K, S>(dy, weight, dx, g);                                                                \
    }

IMAGE_GRADIENT(depthwise_image_gradient_3_1, 3, 1)
IMAGE_GRADIENT(depthwise_image_gradient_3_2, 3, 2)
IMAGE_GRADIENT(depthwise_image_gradient_5_1, 5, 1)
IMAGE_GRADIENT(depthwise_image_gradient_5_2, 5, 2)

// ---- weight gradient ----

// The eight rows' sums of each channel, added in a fixed order; valid in the threads of row 0.
__device__ __forceinline__ float over_rows(float sum, float* shared) {
    shared[threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.x < CHANNELS)
        for (int lane = 1; lane < LANES; lane++) sum += shared[lane * CHANNELS + threadIdx.x];
    __syncthreads();  // before `shared` is used again
    return sum;
}

// Better, and good for every size: a block sums one tap of 32 channels over some output rows, and leaves its part in
// partial (parts, taps, C).
extern "C" __global__ void depthwise_weight_gradient_any(const float* x, const float* dy, float* partial, Depthwise g) {
    __shared__ float shared[CHANNELS * LANES];
    int c = blockIdx.x * CHANNELS + threadIdx.x % CHANNELS, tap = blockIdx.y, kh = tap / g.KW, kw = tap % g.KW;
    int begin = blockIdx.z * g.rows, end = begin + g.rows < g.N * g.OH ? begin + g.rows : g.N * g.OH;
    float sum = 0.f;
    for (int m = begin + threadIdx.x / CHANNELS; m < end && c < g.C; m += LANES) {
        int n = m / g.OH, h = m % g.OH * g.stride_h - g.pad_h + kh * g.dilation_h;
        if (h < 0 || h >= g.H) continue;
        for (int j = 0; j < g.OW; j++) {
            int w = j * g.stride_w - g.pad_w + kw * g.dilation_w;
            if (w >= 0 && w < g.W) sum += dy[(m * g.OW + j) * g.C + c] * x[((n * g.H + h) * g.W + w) * g.C + c];
        }
    }
    sum = over_rows(sum, shared);
    if (threadIdx.x < CHANNELS && c < g.C) partial[(blockIdx.z * g.KH * g.KW + tap) * g.C + c] = sum;
}

// Fast: a thread walks along an output row, all taps at once, and keeps the window it has just read in registers.
template <int K, int S>
__device__ __forceinline__ void weight_gradient_window(const float* x, const float* dy, float* partial, const Depthwise& g,
                                                       float* shared) {
    int c = blockIdx.x * CHANNELS + threadIdx.x % CHANNELS;
    int begin = blockIdx.z * g.rows, end = begin + g.rows < g.N * g.OH ? begin + g.rows : g.N * g.OH;
    float sum[K][K] = {};
    for (int m = begin + threadIdx.x / CHANNELS; m < end && c < g.C; m += LANES) {
        int n = m / g.OH, top = m % g.OH * S - g.pad_h;
        auto pixel = [&](int kh, int w) {
            int h = top + kh;
            return h >= 0 && h < g.H && w >= 0 && w < g.W ? x[((n * g.H + h) * g.W + w) * g.C + c] : 0.f;
        };
        float window[K][K];
#pragma unroll
        for (int kh = 0; kh < K; kh++)
#pragma unroll
            for (int kw = S; kw < K; kw++) window[kh][kw] = pixel(kh, kw - S - g.pad_w);
        for (int j = 0; j < g.OW; j++) {
            float gradient = dy[(m * g.OW + j) * g.C + c];
#pragma unroll
            for (int kh = 0; kh < K; kh++)
#pragma unroll
                for (int kw = 0; kw < K; kw++) {
                    window[kh][kw] = kw + S < K ? window[kh][(kw + S) % K] : pixel(kh, j * S + kw - g.pad_w);
                    sum[kh][kw] += gradient * window[kh][kw];
                }
        }
    }
#pragma unroll
    for (int kh = 0; kh < K; kh++)
#pragma unroll
        for (int kw = 0; kw < K; kw++) {
            float all = over_rows(sum[kh][kw], shared);
            if (threadIdx.x < CHANNELS && c < g.C) partial[(blockIdx.z * K * K + kh * K + kw) * g.C + c] = all;
        }
}

#define WEIGHT_GRADIENT(name, K, S)                                                                                   \
    extern "C" __global__ void __launch_bounds__(256)                                                                 \
    name(const float* x, const float* dy, float* partial, Depthwise g) {                                              \
        __shared__ float shared[CHANNELS * LANES];                                                                    \
        weight_gradient_window<K, S>(x, dy, partial, g, shared);                                                      \
    }

WEIGHT_GRADIENT(depthwise_weight_gradient_3_1, 3, 1)
WEIGHT_GRADIENT(depthwise_weight_gradient_3_2, 3, 2)
WEIGHT_GRADIENT(depthwise_weight_gradient_5_1, 5, 1)
WEIGHT_GRADIENT(depthwise_weight_gradient_5_2, 5, 2)

// dw (C, taps) = Σ partial (parts, taps, C), in a fixed order.
extern "C" __global__ void depthwise_add_parts(const float* partial, float* dw, int parts, int taps, int C) {
    int index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= taps * C) return;
    float sum = 0.f;
    for (int part = 0; part < parts; part++) sum += partial[part * taps * C + index];
    dw[index % C * taps + index / C] = sum;
}
