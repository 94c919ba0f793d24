// Winograd's convolution F(4×4, 3×3): a tile of 6×6 pixels gives 4×4 outputs for 36 multiplications for each pair of channels,
// where the definition takes 144. y = Aᵀ[(G g Gᵀ) ∘ (Bᵀ d B)] A; the sums over channels make one matrix product at each of the
// 36 places (cuBLAS, strided-batched); the three transforms around it are here.
//
//   d  image tile (6, 6)     ->  V (36, T, C)     T counts the tiles (n, i, j)
//   g  kernel (3, 3)         ->  U (36, C, O)
//   M = V U (36, T, O)       ->  y tile (4, 4)
//
// The matrices come from the points 0, ±5/8, ±3/2 and ∞. The textbook's 0, ±1, ±2, ∞ have more than twice the rounding error;
// with these it is up to 5e-6 of the largest result (the definition: 5e-7; TF32: 5e-4), and all numbers in A and B are exact
// in binary. A NaN or an infinity spreads over the 4×4 outputs of its tiles. Images are channels-last; offsets are 32-bit
// numbers, seen to by the caller.
//
// Prediction (H100, ResNet-18, batch 64, full FP32): the transforms are bound by memory (V and M are 2.25 times as large as
// image and output; a tile at the edge is half empty at 14² and 7²), the products by 1/4 to 1/3 of the definition's
// arithmetic: 0.75 of the implicit GEMM's time for 64 channels at 56², 0.5 for 128 at 28², 0.4 from 256 on. The simple versions
// read every pixel 81 times and more. Moments for a batch-norm cost nothing but arithmetic: 0.03 ms less for 64 channels at 56²,
// which are read once less. Measurement: not yet measured.

struct Winograd {
    int N, H, W, C, OH, OW, O, TH, TW;  // TH×TW tiles an image
    int start_h, start_w;               // the window of output pixel (0, 0) starts at this pixel
    int activation;                     // 0: none, 1: ReLU, 2: ReLU6
};

// A kernel's numbers in memory: from one input channel, output channel, tap to the next. Turned by 180° for the image gradient.
struct Taps {
    int in, out, tap, turned, C, O;
};

// The transform's matrix, for the simple versions.
struct Matrix {
    float at[36];
};

struct Finish {
    const float *scale, *shift, *skip;
};

__device__ __forceinline__ void finish(float* y, int index, int o, float sum, const Finish& f, int activation) {
    if (f.scale) sum *= f.scale[o];
    if (f.shift) sum += f.shift[o];
    if (f.skip) sum += f.skip[index];
    if (activation && sum < 0.f) sum = 0.f;
    if (activation == 2 && sum > 6.f) sum = 6.f;
    y[index] = sum;
}

constexpr float P = 0.625f, Q = 1.5f, PP = P * P, QQ = Q * Q;  // the points ±P and ±Q
constexpr float G0 = 1.f / (PP * QQ), GP = 1.f / (2.f * PP * (PP - QQ)), GQ = 1.f / (2.f * QQ * (QQ - PP));

// ---- image: V = Bᵀ d B ----

// Simple: one thread per number of V, from the definition.
extern "C" __global__ void winograd_image_simple(const float* x, float* V, Winograd g, Matrix B) {
    unsigned index = blockIdx.x * blockDim.x + threadIdx.x, T = g.N * g.TH * g.TW;
    if (index >= 36 * T * g.C) return;
    int c = index % g.C, t = index / g.C % T, place = index / g.C / T;
    int j = t % g.TW, i = t / g.TW % g.TH, n = t / g.TW / g.TH;
    float sum = 0.f;
    for (int k = 0; k < 6; k++)
        for (int l = 0; l < 6; l++) {
            int h = 4 * i + g.start_h + k, w = 4 * j + g.start_w + l;
            if (h < 0 || h >= g.H || w < 0 || w >= g.W) continue;
            sum += B.at[place / 6 * 6 + k] * B.at[place % 6 * 6 + l] * x[((n * g.H + h) * g.W + w) * g.C + c];
        }
    V[index] = sum;
}

// Bᵀ d of six numbers, in place.
__device__ __forceinline__ void image_six(float& d0, float& d1, float& d2, float& d3, float& d4, float& d5) {
    float even_p = d4 - QQ * d2, odd_p = P * (d3 - QQ * d1), even_q = d4 - PP * d2, odd_q = Q * (d3 - PP * d1);
    d0 = PP * QQ * d0 - (PP + QQ) * d2 + d4;
    d5 = PP * QQ * d1 - (PP + QQ) * d3 + d5;
    d1 = even_p + odd_p;
    d2 = even_p - odd_p;
    d3 = even_q + odd_q;
    d4 = even_q - odd_q;
}

// Fast: one thread per tile and channel; the tile stays in registers.
extern "C" __global__ void __launch_bounds__(256) winograd_image(const float* x, float* V, Winograd g) {
    unsigned index = blockIdx.x * blockDim.x + threadIdx.x, T = g.N * g.TH * g.TW;
    if (index >= T * g.C) return;
    int c = index % g.C, t = index / g.C, j = t % g.TW, i = t / g.TW % g.TH, n = t / g.TW / g.TH;
    float d[6][6];
#pragma unroll
    for (int k = 0; k < 6; k++) {
        int h = 4 * i + g.start_h + k;
#pragma unroll
        for (int l = 0; l < 6; l++) {
            int w = 4 * j + g.start_w + l;
            bool inside = h >= 0 && h < g.H && w >= 0 && w < g.W;
            d[k][l] = inside ? x[((n * g.H + h) * g.W + w) * g.C + c] : 0.f;
        }
        image_six(d[k][0], d[k][1], d[k][2], d[k][3], d[k][4], d[k][5]);
    }
#pragma unroll
    for (int l = 0; l < 6; l++) {
        image_six(d[0][l], d[1][l], d[2][l], d[3][l], d[4][l], d[5][l]);
#pragma unroll
        for (int k = 0; k < 6; k++) V[((k * 6 + l) * T + t) * g.C + c] = d[k][l];
    }
}

// ---- kernels: U = G g Gᵀ ----

__device__ __forceinline__ float tap_at(const float* weight, const Taps& g, int c, int o, int tap) {
    return weight[o * g.out + c * g.in + (g.turned ? 8 - tap : tap) * g.tap];
}

// Simple: one thread per number of U.
extern "C" __global__ void winograd_kernel_simple(const float* weight, float* U, Taps g, Matrix G) {
    unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= 36u * g.C * g.O) return;
    int o = index % g.O, c = index / g.O % g.C, place = index / g.O / g.C;
    float sum = 0.f;
    for (int k = 0; k < 3; k++)
        for (int l = 0; l < 3; l++) sum += G.at[place / 6 * 3 + k] * G.at[place % 6 * 3 + l] * tap_at(weight, g, c, o, 3 * k + l);
    U[index] = sum;
}

// G g of three numbers.
__device__ __forceinline__ void kernel_three(float g0, float g1, float g2, float (&u)[6]) {
    float even_p = GP * (g0 + PP * g2), odd_p = GP * P * g1, even_q = GQ * (g0 + QQ * g2), odd_q = GQ * Q * g1;
    u[0] = G0 * g0;
    u[1] = even_p + odd_p;
    u[2] = even_p - odd_p;
    u[3] = even_q + odd_q;
    u[4] = even_q - odd_q;
    u[5] = g2;
}

// Fast: one thread per pair of channels.
extern "C" __global__ void __launch_bounds__(256) winograd_kernel(const float* weight, float* U, Taps g) {
    int index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= g.C * g.O) return;
    int o = index % g.O, c = index / g.O;
    float rows[3][6];
#pragma unroll
    for (int k = 0; k < 3; k++)
        kernel_three(tap_at(weight, g, c, o, 3 * k), tap_at(weight, g, c, o, 3 * k + 1), tap_at(weight, g, c, o, 3 * k + 2),
                     rows[k]);
#pragma unroll
    for (int l = 0; l < 6; l++) {
        float u[6];
        kernel_three(rows[0][l], rows[1][l], rows[2][l], u);
#pragma unroll
        for (int k = 0; k < 6; k++) U[((k * 6 + l) * g.C + c) * g.O + o] = u[k];
    }
}

// ---- output: y = Aᵀ M A ----

// Simple: one thread per number of y.
extern "C" __global__ void winograd_output_simple(const float* M, const float* scale, const float* shift, const float* skip,
                                                  float* y, Winograd g, Matrix A) {
    unsigned index = blockIdx.x * blockDim.x + threadIdx.x, T = g.N * g.TH * g.TW;
    if (index >= (unsigned)(g.N * g.OH * g.OW * g.O)) return;
    int o = index % g.O, w = index / g.O % g.OW, h = index / g.O / g.OW % g.OH, n = index / g.O / g.OW / g.OH;
    int t = (n * g.TH + h / 4) * g.TW + w / 4;
    float sum = 0.f;
    for (int k = 0; k < 6; k++)
        for (int l = 0; l < 6; l++) sum += A.at[h % 4 * 6 + k] * A.at[w % 4 * 6 + l] * M[((k * 6 + l) * T + t) * g.O + o];
    finish(y, index, o, sum, {scale, shift, skip}, g.activation);
}

// Aᵀ m of six numbers; the first four become the result.
__device__ __forceinline__ void output_four(float& m0, float& m1, float& m2, float& m3, float m4, float m5) {
    float sum_p = m1 + m2, difference_p = m1 - m2, sum_q = m3 + m4, difference_q = m3 - m4;
    m0 = m0 + sum_p + sum_q;
    m1 = P * difference_p + Q * difference_q;
    m2 = PP * sum_p + QQ * sum_q;
    m3 = PP * P * difference_p + QQ * Q * difference_q + m5;
}

// The 4×4 outputs of tile t, in the corner of m.
__device__ __forceinline__ void output_tile(const float* M, float (&m)[6][6], unsigned T, unsigned t, int o, const Winograd& g) {
#pragma unroll
    for (int k = 0; k < 6; k++) {
#pragma unroll
        for (int l = 0; l < 6; l++) m[k][l] = M[((k * 6 + l) * T + t) * g.O + o];
        output_four(m[k][0], m[k][1], m[k][2], m[k][3], m[k][4], m[k][5]);
    }
#pragma unroll
    for (int l = 0; l < 4; l++) output_four(m[0][l], m[1][l], m[2][l], m[3][l], m[4][l], m[5][l]);
}

// Fast: one thread per tile and channel.
extern "C" __global__ void __launch_bounds__(256) winograd_output(const float* M, const float* scale, const float* shift,
                                                                  const float* skip, float* y, Winograd g) {
    unsigned index = blockIdx.x * blockDim.x + threadIdx.x, T = g.N * g.TH * g.TW;
    if (index >= T * g.O) return;
    int o = index % g.O, t = index / g.O, j = t % g.TW, i = t / g.TW % g.TH, n = t / g.TW / g.TH;
    float m[6][6];
    output_tile(M, m, T, t, o, g);
    Finish f = {scale, shift, skip};
#pragma unroll
    for (int l = 0; l < 4; l++)
#pragma unroll
        for (int k = 0; k < 4; k++)
            if (4 * i + k < g.OH && 4 * j + l < g.OW)
                finish(y, ((n * g.OH + 4 * i + k) * g.OW + 4 * j + l) * g.O + o, o, m[k][l], f, g.activation);
}

constexpr int CHANNELS = 32, LANES = 8;  // of a block that measures: 256 threads

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

// Fast, and it leaves the moments of its results for a batch-norm that follows, in moments (chunks, 2, O) as norm.cu's
// `moments_of_chunks` does. A block takes 32 channels of `tiles` tiles, whole rows of tiles or whole images, so that all chunks
// but the last hold as many pixels.
extern "C" __global__ void __launch_bounds__(256) winograd_output_measured(const float* M, const float* shift, float* y,
                                                                           float* moments, Winograd g, int tiles) {
    __shared__ Moments shared[CHANNELS * LANES];
    int o = blockIdx.x * CHANNELS + threadIdx.x % CHANNELS, T = g.N * g.TH * g.TW;
    int begin = blockIdx.y * tiles, end = begin + tiles < T ? begin + tiles : T;
    Moments own = {0.f, 0.f, 0.f};
    for (int t = begin + threadIdx.x / CHANNELS; t < end && o < g.O; t += LANES) {
        int j = t % g.TW, i = t / g.TW % g.TH, n = t / g.TW / g.TH;
        float m[6][6], bias = shift ? shift[o] : 0.f;
        output_tile(M, m, T, t, o, g);
        int down = min(4, g.OH - 4 * i), across = min(4, g.OW - 4 * j);
        float sum = 0.f, squares = 0.f;
#pragma unroll
        for (int l = 0; l < 4; l++)
#pragma unroll
            for (int k = 0; k < 4; k++) {
                m[k][l] += bias;
                if (k >= down || l >= across) continue;
                y[((n * g.OH + 4 * i + k) * g.OW + 4 * j + l) * g.O + o] = m[k][l];
                sum += m[k][l];
            }
        float mean = sum / float(down * across);
#pragma unroll
        for (int l = 0; l < 4; l++)
#pragma unroll
            for (int k = 0; k < 4; k++) squares += k < down && l < across ? (m[k][l] - mean) * (m[k][l] - mean) : 0.f;
        own = joined(own, {float(down * across), mean, squares});
    }
    shared[threadIdx.x] = own;
    __syncthreads();
    if (threadIdx.x >= CHANNELS || o >= g.O) return;
    for (int lane = 1; lane < LANES; lane++) own = joined(own, shared[lane * CHANNELS + threadIdx.x]);
    moments[blockIdx.y * 2 * g.O + o] = own.mean;
    moments[(blockIdx.y * 2 + 1) * g.O + o] = own.squares;
}
