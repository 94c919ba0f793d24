// Batch normalisation, with ReLU and the addition of a skip path in the same pass, forward and backward.
//
// `top` is where a ReLU ends, 6 for ReLU6; NaN stands for nowhere, since nothing is above it, and nothing equal to it.
//
// x is a matrix (M, C): a row per pixel, channels last. In the fast versions a block looks after 32 channels and a chunk of
// rows. A thread reads WIDE neighbouring channels at once: 4 where C is a multiple of 4 (kernels `..._four`), so that each
// load brings 16 bytes and more of them are under way, else 1. Sums run in two steps, each in a fixed order, without
// atomics: every chunk leaves its part, then the parts are joined.
//
// Prediction (H100): bound by memory throughout. Forward reads x twice and writes y once (reads it once, where the convolution in
// front leaves the moments of its tiles: tensor_cores.cu); backward reads dy, x (and y for ReLU) twice and writes dx once. The unfused ops move two to three times as much. The simple versions use
// one thread per channel and leave nearly all of the GPU idle: 50 times slower.
// Measurement (H200, batch 64, with ReLU; PyTorch's is cuDNN's without it), ms, ours / PyTorch's: 64 channels at 112²:
// forward 0.191 / 0.161, backward 0.367 / 0.245; 64 at 56²: 0.060 / 0.047, 0.103 / 0.067; 128 at 28²: 0.029 / 0.039,
// 0.057 / 0.040; 256 at 14²: 0.016 / 0.014, 0.021 / 0.015. At 112² that is 3.2 and 3.9 TB/s: at the memory's speed, as
// predicted; cuDNN reads less because parts stay in the L2 cache from its first pass to its second. With loads of
// one channel these took 1.5 times as long.

constexpr int CHANNELS = 32, THREADS = 256;  // of a block; it is THREADS / (CHANNELS / WIDE) rows deep

// ReLU of a sum; a NaN stays a NaN.
__device__ __forceinline__ float clipped(float sum, float top) { return sum < 0.f ? 0.f : sum > top ? top : sum; }

// The gradient of a sum that ReLU made `out` of: 0 where it is 0 or the top.
__device__ __forceinline__ float passed(float dy, float out, float top) { return out != 0.f && out != top ? dy : 0.f; }

// ---- simple: one thread per channel, three walks over its column ----

extern "C" __global__ void batchnorm_forward_simple(const float* x, const float* skip, const float* weight, const float* bias,
                                                    float* mean, float* var, float* y, int M, int C, float eps, int relu, float top) {
    int c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= C) return;
    float sum = 0.f, squares = 0.f;
    for (int m = 0; m < M; m++) sum += x[m * C + c];
    mean[c] = sum / M;
    for (int m = 0; m < M; m++) squares += (x[m * C + c] - mean[c]) * (x[m * C + c] - mean[c]);
    var[c] = squares / M;
    for (int m = 0; m < M; m++) {
        float value = (x[m * C + c] - mean[c]) * (weight[c] / sqrtf(var[c] + eps)) + bias[c];
        if (skip) value += skip[m * C + c];
        y[m * C + c] = relu ? clipped(value, top) : value;
    }
}

extern "C" __global__ void batchnorm_backward_simple(const float* dy, const float* y, const float* x, const float* mean,
                                                     const float* var, const float* weight, float* dweight, float* dbias,
                                                     float* dx, float* dskip, int M, int C, float eps, float top) {
    int c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= C) return;
    float inverse = 1.f / sqrtf(var[c] + eps), sum = 0.f, product = 0.f;
    for (int m = 0; m < M; m++) {
        float g = y ? passed(dy[m * C + c], y[m * C + c], top) : dy[m * C + c];
        sum += g;
        product += g * (x[m * C + c] - mean[c]) * inverse;
    }
    dbias[c] = sum;
    dweight[c] = product;
    for (int m = 0; m < M; m++) {
        float g = y ? passed(dy[m * C + c], y[m * C + c], top) : dy[m * C + c];
        if (dx) dx[m * C + c] = weight[c] * inverse * (g - (sum + (x[m * C + c] - mean[c]) * inverse * product) / M);
        if (dskip) dskip[m * C + c] = g;
    }
}

// ---- fast ----

struct Moments {
    float count, mean, squares;  // squares: the sum of (x - mean)²
};

// Two groups of numbers become one (Chan, Golub and LeVeque, 1979): exact where E[x²] - E[x]² would cancel.
__device__ __forceinline__ Moments joined(Moments a, Moments b) {
    float count = a.count + b.count;
    if (!(count > 0.f)) return a;
    float delta = b.mean - a.mean, share = b.count / count;
    return {count, a.mean + delta * share, a.squares + b.squares + delta * delta * a.count * share};
}

// Neighbouring channels, as one load.
template <int WIDE>
struct Numbers {
    float at[WIDE];
};

template <int WIDE>
__device__ __forceinline__ Numbers<WIDE> numbers(const float* from) {
    Numbers<WIDE> x;
    if constexpr (WIDE == 4) *(float4*)x.at = *(const float4*)from;
    else x.at[0] = *from;
    return x;
}

template <int WIDE>
__device__ __forceinline__ void store(float* to, const Numbers<WIDE>& x) {
    if constexpr (WIDE == 4) *(float4*)to = *(const float4*)x.at;
    else *to = x.at[0];
}

// Where a thread of a block works: its first channel, the first of its rows, and how many rows further the next one is.
template <int WIDE>
struct Work {
    static constexpr int ACROSS = CHANNELS / WIDE, DEEP = THREADS / ACROSS;
    int c, lane, begin, end;

    __device__ Work(int rows, int M)
        : c(blockIdx.x * CHANNELS + threadIdx.x % ACROSS * WIDE), lane(threadIdx.x / ACROSS), begin(blockIdx.y * rows),
          end(begin + rows < M ? begin + rows : M) {}
};

// Each chunk of rows leaves its mean and sum of squares in partial (chunks, 2, C).
template <int WIDE>
__device__ __forceinline__ void moments_of_chunk(const float* x, float* partial, int M, int C, int rows, Moments* shared) {
    constexpr int DEEP = Work<WIDE>::DEEP;
    Work<WIDE> work(rows, M);
    Moments own[WIDE] = {};
    if (work.c < C) {
        int m = work.begin + work.lane;
        for (; m + 3 * DEEP < work.end; m += 4 * DEEP) {  // four at a time: one division for four numbers
            Numbers<WIDE> v[4];
#pragma unroll
            for (int i = 0; i < 4; i++) v[i] = numbers<WIDE>(x + (m + i * DEEP) * C + work.c);
#pragma unroll
            for (int k = 0; k < WIDE; k++) {
                float mean = (v[0].at[k] + v[1].at[k] + v[2].at[k] + v[3].at[k]) * 0.25f, squares = 0.f;
#pragma unroll
                for (int i = 0; i < 4; i++) squares += (v[i].at[k] - mean) * (v[i].at[k] - mean);
                own[k] = joined(own[k], {4.f, mean, squares});
            }
        }
        for (; m < work.end; m += DEEP) {
            Numbers<WIDE> v = numbers<WIDE>(x + m * C + work.c);
#pragma unroll
            for (int k = 0; k < WIDE; k++) own[k] = joined(own[k], {1.f, v.at[k], 0.f});
        }
    }
#pragma unroll
    for (int k = 0; k < WIDE; k++) {
#pragma unroll
        for (int lanes = Work<WIDE>::ACROSS; lanes < 32; lanes *= 2)  // the rows of a warp first
            own[k] = joined(own[k], {__shfl_xor_sync(~0u, own[k].count, lanes), __shfl_xor_sync(~0u, own[k].mean, lanes),
                                     __shfl_xor_sync(~0u, own[k].squares, lanes)});
        if (threadIdx.x % 32 < Work<WIDE>::ACROSS) shared[threadIdx.x / 32 * CHANNELS + threadIdx.x % 32 * WIDE + k] = own[k];
    }
    __syncthreads();
    int c = blockIdx.x * CHANNELS + threadIdx.x;
    if (threadIdx.x >= CHANNELS || c >= C) return;
    Moments all = shared[threadIdx.x];
    for (int warp = 1; warp < THREADS / 32; warp++) all = joined(all, shared[warp * CHANNELS + threadIdx.x]);
    partial[blockIdx.y * 2 * C + c] = all.mean;
    partial[(blockIdx.y * 2 + 1) * C + c] = all.squares;
}

#define MOMENTS(name, WIDE)                                                                                           \
    extern "C" __global__ void __launch_bounds__(256) name(const float* x, float* partial, int M, int C, int rows) {  \
        __shared__ Moments shared[THREADS];                                                                           \
        moments_of_chunk<WIDE>(x, partial, M, C, rows, shared);                                                       \
    }

MOMENTS(moments_of_chunks, 1)
MOMENTS(moments_of_chunks_four, 4)

// Eight channels a block, and 32 threads for each: the parts of a few channels must not wait for one another.
constexpr int JOINED = 8;

// The chunks' moments become those of the batch; running averages (of the unbiased variance) and a counter of batches take
// them up in the same launch, where there are any.
extern "C" __global__ void moments_joined(const float* partial, float* mean, float* var, int M, int C, int rows, int chunks,
                                          float* running_mean, float* running_var, long long* counter, float momentum) {
    __shared__ Moments shared[THREADS];
    int c = blockIdx.x * JOINED + threadIdx.x % JOINED, lane = threadIdx.x / JOINED;
    Moments own = {0.f, 0.f, 0.f};
    if (c < C) {
        constexpr int LANES = THREADS / JOINED;
        int chunk = lane;
        for (; chunk + 3 * LANES < chunks - 1; chunk += 4 * LANES) {  // four at a time, all on their way at once
            float means[4], squares[4];
#pragma unroll
            for (int i = 0; i < 4; i++) {
                means[i] = partial[(chunk + i * LANES) * 2 * C + c];
                squares[i] = partial[((chunk + i * LANES) * 2 + 1) * C + c];
            }
            float mean = (means[0] + means[1] + means[2] + means[3]) * 0.25f, all = 0.f;
#pragma unroll
            for (int i = 0; i < 4; i++) all += squares[i] + (means[i] - mean) * (means[i] - mean) * rows;
            own = joined(own, {4.f * rows, mean, all});
        }
        for (; chunk < chunks; chunk += LANES) {
            float count = chunk + 1 < chunks ? rows : M - chunk * rows;
            own = joined(own, {count, partial[chunk * 2 * C + c], partial[(chunk * 2 + 1) * C + c]});
        }
    }
    shared[threadIdx.x] = own;
    __syncthreads();
    if (threadIdx.x < JOINED && c < C) {
        Moments all = own;
        for (int other = 1; other < THREADS / JOINED; other++) all = joined(all, shared[other * JOINED + threadIdx.x]);
        mean[c] = all.mean;
        var[c] = all.squares / M;
        if (running_mean) running_mean[c] = (1.f - momentum) * running_mean[c] + momentum * all.mean;
        if (running_var) running_var[c] = (1.f - momentum) * running_var[c] + momentum * (all.squares / (M - 1));
    }
    if (counter && blockIdx.x == 0 && threadIdx.x == 0) *counter += 1;
}

// y = relu?(weight · (x - mean) / sqrt(var + eps) + bias + skip?)
template <int WIDE>
__device__ __forceinline__ void normalize_chunk(const float* x, const float* skip, const float* mean, const float* var,
                                                const float* weight, const float* bias, float* y, int M, int C, int rows,
                                                float eps, int relu, float top) {
    Work<WIDE> work(rows, M);
    if (work.c >= C) return;
    Numbers<WIDE> centre = numbers<WIDE>(mean + work.c), scale = numbers<WIDE>(weight + work.c);
    Numbers<WIDE> deviation = numbers<WIDE>(var + work.c), shift = numbers<WIDE>(bias + work.c);
#pragma unroll
    for (int k = 0; k < WIDE; k++) scale.at[k] /= sqrtf(deviation.at[k] + eps);
#pragma unroll 4
    for (int m = work.begin + work.lane; m < work.end; m += work.DEEP) {
        int at = m * C + work.c;
        Numbers<WIDE> value = numbers<WIDE>(x + at), beside = {};
        if (skip) beside = numbers<WIDE>(skip + at);
#pragma unroll
        for (int k = 0; k < WIDE; k++) {
            float sum = (value.at[k] - centre.at[k]) * scale.at[k] + shift.at[k];
            if (skip) sum += beside.at[k];
            value.at[k] = relu ? clipped(sum, top) : sum;
        }
        store<WIDE>(y + at, value);
    }
}

#define NORMALIZE(name, WIDE)                                                                                         \
    extern "C" __global__ void __launch_bounds__(256)                                                                 \
    name(const float* x, const float* skip, const float* mean, const float* var, const float* weight,                 \
         const float* bias, float* y, int M, int C, int rows, float eps, int relu, float top) {                       \
        normalize_chunk<WIDE>(x, skip, mean, var, weight, bias, y, M, C, rows, eps, relu, top);                       \
    }

NORMALIZE(normalize, 1)
NORMALIZE(normalize_four, 4)

// The gradients g at `at`: dy, of which ReLU lets pass what it let pass of the sums.
template <int WIDE>
__device__ __forceinline__ Numbers<WIDE> gradients(const float* dy, const float* y, int at, float top) {
    Numbers<WIDE> g = numbers<WIDE>(dy + at);
    if (!y) return g;
    Numbers<WIDE> out = numbers<WIDE>(y + at);
#pragma unroll
    for (int k = 0; k < WIDE; k++) g.at[k] = passed(g.at[k], out.at[k], top);
    return g;
}

// scale = weight / sqrt(var + eps), shift = bias - (mean - given) · scale: what a convolution in front of a frozen batch-norm
// does to its sums. One version: six operations on C numbers each, in one launch.
extern "C" __global__ void folded(const float* weight, const float* bias, const float* mean, const float* var,
                                  const float* given, float* scale, float* shift, int C, float eps) {
    int c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= C) return;
    float s = weight[c] / sqrtf(var[c] + eps);
    scale[c] = s;
    shift[c] = bias[c] - (given ? mean[c] - given[c] : mean[c]) * s;
}

// Each chunk leaves Σ g and Σ g·(x - mean) in partial (chunks, 2, C).
template <int WIDE>
__device__ __forceinline__ void gradient_sums_of_chunk(const float* dy, const float* y, const float* x, const float* mean,
                                                       float* partial, int M, int C, int rows, float top,
                                                       float (*shared)[THREADS]) {
    constexpr int DEEP = Work<WIDE>::DEEP;
    Work<WIDE> work(rows, M);
    Numbers<WIDE> sum = {}, product = {};
    if (work.c < C) {
        Numbers<WIDE> centre = numbers<WIDE>(mean + work.c);
#pragma unroll 4
        for (int m = work.begin + work.lane; m < work.end; m += DEEP) {
            Numbers<WIDE> g = gradients<WIDE>(dy, y, m * C + work.c, top), value = numbers<WIDE>(x + m * C + work.c);
#pragma unroll
            for (int k = 0; k < WIDE; k++) {
                sum.at[k] += g.at[k];
                product.at[k] += g.at[k] * (value.at[k] - centre.at[k]);
            }
        }
    }
#pragma unroll
    for (int k = 0; k < WIDE; k++) {
#pragma unroll
        for (int lanes = Work<WIDE>::ACROSS; lanes < 32; lanes *= 2) {  // the rows of a warp first
            sum.at[k] += __shfl_xor_sync(~0u, sum.at[k], lanes);
            product.at[k] += __shfl_xor_sync(~0u, product.at[k], lanes);
        }
        if (threadIdx.x % 32 >= Work<WIDE>::ACROSS) continue;
        int at = threadIdx.x / 32 * CHANNELS + threadIdx.x % 32 * WIDE + k;
        shared[0][at] = sum.at[k];
        shared[1][at] = product.at[k];
    }
    __syncthreads();
    int c = blockIdx.x * CHANNELS + threadIdx.x % CHANNELS, which = threadIdx.x / CHANNELS;
    if (which > 1 || c >= C) return;
    float all = 0.f;
#pragma unroll
    for (int warp = 0; warp < THREADS / 32; warp++) all += shared[which][warp * CHANNELS + threadIdx.x % CHANNELS];
    partial[(blockIdx.y * 2 + which) * C + c] = all;
}

#define GRADIENT_SUMS(name, WIDE)                                                                                     \
    extern "C" __global__ void __launch_bounds__(256)                                                                 \
    name(const float* dy, const float* y, const float* x, const float* mean, float* partial, int M, int C, int rows,  \
         float top) {                                                                                                 \
        __shared__ float shared[2][THREADS];                                                                          \
        gradient_sums_of_chunk<WIDE>(dy, y, x, mean, partial, M, C, rows, top, shared);                               \
    }

GRADIENT_SUMS(gradient_sums_of_chunks, 1)
GRADIENT_SUMS(gradient_sums_of_chunks_four, 4)

// dbias = Σ g, dweight = Σ g·(x - mean)/σ, and the numbers of dx = scale·g + slope·(x - mean) + shift in factors (3, C).
extern "C" __global__ void gradient_sums_joined(const float* partial, const float* var, const float* weight, float* dweight,
                                                float* dbias, float* factors, int M, int C, int chunks, float eps) {
    __shared__ float shared[2][THREADS];
    int c = blockIdx.x * JOINED + threadIdx.x % JOINED, lane = threadIdx.x / JOINED;
    float sum = 0.f, product = 0.f;
    if (c < C)
        for (int chunk = lane; chunk < chunks; chunk += THREADS / JOINED) {
            sum += partial[chunk * 2 * C + c];
            product += partial[(chunk * 2 + 1) * C + c];
        }
    shared[0][threadIdx.x] = sum;
    shared[1][threadIdx.x] = product;
    __syncthreads();
    if (threadIdx.x >= JOINED || c >= C) return;
    for (int other = 1; other < THREADS / JOINED; other++) {
        sum += shared[0][other * JOINED + threadIdx.x];
        product += shared[1][other * JOINED + threadIdx.x];
    }
    float inverse = 1.f / sqrtf(var[c] + eps), scale = weight[c] * inverse;
    dbias[c] = sum;
    dweight[c] = product * inverse;
    factors[c] = scale;
    factors[C + c] = -scale * inverse * inverse * product / M;
    factors[2 * C + c] = -scale * sum / M;
}

// dx = scale·g + slope·(x - mean) + shift, and dskip = g; either may be null.
template <int WIDE>
__device__ __forceinline__ void apply_gradient(const float* dy, const float* y, const float* x, const float* mean,
                                               const float* factors, float* dx, float* dskip, int M, int C, int rows,
                                               float top) {
    Work<WIDE> work(rows, M);
    if (work.c >= C) return;
    Numbers<WIDE> centre = numbers<WIDE>(mean + work.c), scale = numbers<WIDE>(factors + work.c);
    Numbers<WIDE> slope = numbers<WIDE>(factors + C + work.c), shift = numbers<WIDE>(factors + 2 * C + work.c);
#pragma unroll 4
    for (int m = work.begin + work.lane; m < work.end; m += work.DEEP) {
        int at = m * C + work.c;
        Numbers<WIDE> g = gradients<WIDE>(dy, y, at, top);
        if (dskip) store<WIDE>(dskip + at, g);
        if (!dx) continue;
        Numbers<WIDE> value = numbers<WIDE>(x + at);
#pragma unroll
        for (int k = 0; k < WIDE; k++)
            value.at[k] = scale.at[k] * g.at[k] + slope.at[k] * (value.at[k] - centre.at[k]) + shift.at[k];
        store<WIDE>(dx + at, value);
    }
}

#define GRADIENT_APPLIED(name, WIDE)                                                                                  \
    extern "C" __global__ void __launch_bounds__(256)                                                                 \
    name(const float* dy, const float* y, const float* x, const float* mean, const float* factors, float* dx,         \
         float* dskip, int M, int C, int rows, float top) {                                                           \
        apply_gradient<WIDE>(dy, y, x, mean, factors, dx, dskip, M, C, rows, top);                                    \
    }

GRADIENT_APPLIED(gradient_applied, 1)
GRADIENT_APPLIED(gradient_applied_four, 4)
