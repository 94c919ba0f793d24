// Batch normalisation, with ReLU and the addition of a skip path in the same pass, forward and backward.
//
// x is a matrix (M, C): a row per pixel, channels last. In the fast versions a block looks after 32 channels and a chunk of
// rows: lane = channel, so a warp reads 128 neighbouring bytes, and 8 rows are on their way at a time. Sums run in two
// steps, each in a fixed order, without atomics: every chunk leaves its part, then the parts are joined.
//
// Prediction (H100): bound by memory throughout. Forward reads x twice and writes y once; backward reads
// dy, x (and y for ReLU) twice and writes dx once. The unfused ops move two to three times as much. The simple versions use
// one thread per channel and leave nearly all of the GPU idle: 50 times slower.
// Measurement: not yet measured.

constexpr int CHANNELS = 32, LANES = 8;  // 256 threads: 32 channels wide, 8 rows deep

// ---- simple: one thread per channel, three walks over its column ----

extern "C" __global__ void batchnorm_forward_simple(const float* x, const float* skip, const float* weight, const float* bias,
                                                    float* mean, float* var, float* y, int M, int C, float eps, int relu) {
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
        y[m * C + c] = relu && value < 0.f ? 0.f : value;  // a NaN stays a NaN
    }
}

extern "C" __global__ void batchnorm_backward_simple(const float* dy, const float* y, const float* x, const float* mean,
                                                     const float* var, const float* weight, float* dweight, float* dbias,
                                                     float* dx, float* dskip, int M, int C, float eps) {
    int c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= C) return;
    float inverse = 1.f / sqrtf(var[c] + eps), sum = 0.f, product = 0.f;
    for (int m = 0; m < M; m++) {
        float g = y && !(y[m * C + c] > 0.f) ? 0.f : dy[m * C + c];
        sum += g;
        product += g * (x[m * C + c] - mean[c]) * inverse;
    }
    dbias[c] = sum;
    dweight[c] = product;
    for (int m = 0; m < M; m++) {
        float g = y && !(y[m * C + c] > 0.f) ? 0.f : dy[m * C + c];
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

// The eight rows' moments of each channel, joined; valid in the threads of row 0.
__device__ __forceinline__ Moments joined_in_block(Moments own, Moments* shared) {
    shared[threadIdx.x] = own;
    __syncthreads();
    Moments all = own;
    if (threadIdx.x < CHANNELS)
        for (int lane = 1; lane < LANES; lane++) all = joined(all, shared[lane * CHANNELS + threadIdx.x]);
    return all;
}

// Each chunk of rows leaves its mean and sum of squares in partial (chunks, 2, C).
extern "C" __global__ void moments_of_chunks(const float* x, float* partial, int M, int C, int rows) {
    __shared__ Moments shared[CHANNELS * LANES];
    int c = blockIdx.x * CHANNELS + threadIdx.x % CHANNELS, lane = threadIdx.x / CHANNELS;
    int begin = blockIdx.y * rows, end = begin + rows < M ? begin + rows : M;
    Moments own = {0.f, 0.f, 0.f};
    if (c < C) {
        int m = begin + lane;
        for (; m + 3 * LANES < end; m += 4 * LANES) {  // four at a time: one division for four numbers
            float v[4];
#pragma unroll
            for (int i = 0; i < 4; i++) v[i] = x[(m + i * LANES) * C + c];
            float mean = (v[0] + v[1] + v[2] + v[3]) * 0.25f, squares = 0.f;
#pragma unroll
            for (int i = 0; i < 4; i++) squares += (v[i] - mean) * (v[i] - mean);
            own = joined(own, {4.f, mean, squares});
        }
        for (; m < end; m += LANES) own = joined(own, {1.f, x[m * C + c], 0.f});
    }
    Moments all = joined_in_block(own, shared);
    if (threadIdx.x < CHANNELS && c < C) {
        partial[(blockIdx.y * 2) * C + c] = all.mean;
        partial[(blockIdx.y * 2 + 1) * C + c] = all.squares;
    }
}

// The chunks' moments become those of the batch; running averages (of the unbiased variance) and a counter of batches take
// them up in the same launch, where there are any.
extern "C" __global__ void moments_joined(const float* partial, float* mean, float* var, int M, int C, int rows, int chunks,
                                          float* running_mean, float* running_var, long long* counter, float momentum) {
    __shared__ Moments shared[CHANNELS * LANES];
    int c = blockIdx.x * CHANNELS + threadIdx.x % CHANNELS, lane = threadIdx.x / CHANNELS;
    Moments own = {0.f, 0.f, 0.f};
    if (c < C)
        for (int chunk = lane; chunk < chunks; chunk += LANES) {
            float count = chunk + 1 < chunks ? rows : M - chunk * rows;
            own = joined(own, {count, partial[chunk * 2 * C + c], partial[(chunk * 2 + 1) * C + c]});
        }
    Moments all = joined_in_block(own, shared);
    if (threadIdx.x < CHANNELS && c < C) {
        mean[c] = all.mean;
        var[c] = all.squares / M;
        if (running_mean) running_mean[c] = (1.f - momentum) * running_mean[c] + momentum * all.mean;
        if (running_var) running_var[c] = (1.f - momentum) * running_var[c] + momentum * (all.squares / (M - 1));
    }
    if (counter && blockIdx.x == 0 && threadIdx.x == 0) *counter += 1;
}

// y = relu?(weight · (x - mean) / sqrt(var + eps) + bias + skip?)
extern "C" __global__ void normalize(const float* x, const float* skip, const float* mean, const float* var,
                                     const float* weight, const float* bias, float* y, int M, int C, int rows, float eps,
                                     int relu) {
    int c = blockIdx.x * CHANNELS + threadIdx.x % CHANNELS, lane = threadIdx.x / CHANNELS;
    int begin = blockIdx.y * rows, end = begin + rows < M ? begin + rows : M;
    if (c >= C) return;
    float centre = mean[c], scale = weight[c] / sqrtf(var[c] + eps), shift = bias[c];
#pragma unroll 4
    for (int m = begin + lane; m < end; m += LANES) {
        float value = (x[m * C + c] - centre) * scale + shift;
        if (skip) value += skip[m * C + c];
        y[m * C + c] = relu && value < 0.f ? 0.f : value;  // a NaN stays a NaN
    }
}

// Each chunk leaves Σ g and Σ g·(x - mean) in partial (chunks, 2, C), where g = dy, or 0 where ReLU was off (y = 0).
extern "C" __global__ void gradient_sums_of_chunks(const float* dy, const float* y, const float* x, const float* mean,
                                                   float* partial, int M, int C, int rows) {
    __shared__ float shared[2][CHANNELS * LANES];
    int c = blockIdx.x * CHANNELS + threadIdx.x % CHANNELS, lane = threadIdx.x / CHANNELS;
    int begin = blockIdx.y * rows, end = begin + rows < M ? begin + rows : M;
    float sum = 0.f, product = 0.f;
    if (c < C) {
        float centre = mean[c];
#pragma unroll 4
        for (int m = begin + lane; m < end; m += LANES) {
            float g = y && !(y[m * C + c] > 0.f) ? 0.f : dy[m * C + c];
            sum += g;
            product += g * (x[m * C + c] - centre);
        }
    }
    shared[0][threadIdx.x] = sum;
    shared[1][threadIdx.x] = product;
    __syncthreads();
    if (threadIdx.x >= CHANNELS || c >= C) return;
    for (int other = 1; other < LANES; other++) {
        sum += shared[0][other * CHANNELS + threadIdx.x];
        product += shared[1][other * CHANNELS + threadIdx.x];
    }
    partial[blockIdx.y * 2 * C + c] = sum;
    partial[(blockIdx.y * 2 + 1) * C + c] = product;
}

// dbias = Σ g, dweight = Σ g·(x - mean)/σ, and the numbers of dx = scale·g + slope·(x - mean) + shift in factors (3, C).
extern "C" __global__ void gradient_sums_joined(const float* partial, const float* var, const float* weight, float* dweight,
                                                float* dbias, float* factors, int M, int C, int chunks, float eps) {
    __shared__ float shared[2][CHANNELS * LANES];
    int c = blockIdx.x * CHANNELS + threadIdx.x % CHANNELS, lane = threadIdx.x / CHANNELS;
    float sum = 0.f, product = 0.f;
    if (c < C)
        for (int chunk = lane; chunk < chunks; chunk += LANES) {
            sum += partial[chunk * 2 * C + c];
            product += partial[(chunk * 2 + 1) * C + c];
        }
    shared[0][threadIdx.x] = sum;
    shared[1][threadIdx.x] = product;
    __syncthreads();
    if (threadIdx.x >= CHANNELS || c >= C) return;
    for (int other = 1; other < LANES; other++) {
        sum += shared[0][other * CHANNELS + threadIdx.x];
        product += shared[1][other * CHANNELS + threadIdx.x];
    }
    float inverse = 1.f / sqrtf(var[c] + eps), scale = weight[c] * inverse;
    dbias[c] = sum;
    dweight[c] = product * inverse;
    factors[c] = scale;
    factors[C + c] = -scale * inverse * inverse * product / M;
    factors[2 * C + c] = -scale * sum / M;
}

// dx = scale·g + slope·(x - mean) + shift, and dskip = g; either may be null.
extern "C" __global__ void gradient_applied(const float* dy, const float* y, const float* x, const float* mean,
                                            const float* factors, float* dx, float* dskip, int M, int C, int rows) {
    int c = blockIdx.x * CHANNELS + threadIdx.x % CHANNELS, lane = threadIdx.x / CHANNELS;
    int begin = blockIdx.y * rows, end = begin + rows < M ? begin + rows : M;
    if (c >= C) return;
    float centre = mean[c], scale = factors[c], slope = factors[C + c], shift = factors[2 * C + c];
#pragma unroll 4
    for (int m = begin + lane; m < end; m += LANES) {
        float g = y && !(y[m * C + c] > 0.f) ? 0.f : dy[m * C + c];
        if (dx) dx[m * C + c] = scale * g + slope * (x[m * C + c] - centre) + shift;
        if (dskip) dskip[m * C + c] = g;
    }
}
