// Convolution as an implicit matrix product: the matrix of windows is never written to memory. Blocks of it are gathered
// straight from the image into shared memory, multiplied there, and forgotten.
//
// Two primitives, each with its simple version first and its fast versions after it:
//
//   correlate        y[m][o]  = Σ_k window[m][k] · weight[o][k]        forward, and the image gradient by phases
//   weight_gradient  dw[o][k] = Σ_m dy[m][o] · window[m][k]
//
// m numbers the output pixels (n, i, j), k the taps and channels (kh, kw, c). All images are channels-last (N, H, W, C),
// kernels (O, KH, KW, C). The fast versions copy four channels at a time, so C (and for the weight gradient O) must be a
// multiple of 4 and rows must be aligned to 16 bytes; the caller pads channels where they are not. Offsets into an image are
// 32-bit numbers (fewer registers): the caller sees to it that no array has 2³¹ numbers or more.
//
// On tensor cores, tensor_cores.cu is the faster one; the versions here are for kernels of more than 15 taps a side.
//
// Prediction (H100, ResNet-18, batch 64): the tensor-core versions reach 40 to 55 % of mma.sync's TF32
// peak on 3×3 layers and are bound by memory on the stem and on 1×1 layers; the FP32 versions reach 70 to 80 % of the
// FP32 peak. The simple versions are 20 to 50 times slower: no number is read from a cache on purpose.
// Measurement (H200): the tensor-core versions take 1.1 (stem) to 4.7 times (512 channels at 7²) what cuDNN takes forward, and
// 0.9 to 2.3 times for the weight gradient. The moments that the FP32 versions leave are predicted to cost 2 % of a 3×3 layer.
// `arrange` 0.002 to 0.005 ms for a layer of ResNet-18. FP32: not yet measured.

struct Conv {
    int N, H, W, C;                              // the image; C counts the channels of one group
    int OH, OW, O;                               // the output; O counts the channels of one group
    int KH, KW, K;                               // K = KH·KW·C
    int stride_h, stride_w, start_h, start_w;    // the window of output pixel (0, 0) starts at pixel `start`
    int dilation_h, dilation_w;
    int x_pixel;                                 // numbers from one pixel of the image to the next
    int y_image, y_row, y_pixel;                 // numbers from one image, row, pixel of the output to the next
    int groups, splits;
    int activation;                              // 0: none, 1: ReLU, 2: ReLU6
    int phases_h, phases_w, apart_h, apart_w;    // for tensor_cores.cu; here a launch computes one phase
};

// What happens to a sum before it is stored; null pointers are left out. A batch-norm that is frozen is scale and shift.
struct Finish {
    const float *scale, *shift, *skip;
};

constexpr int THREADS = 256, STAGES = 3, BK = 16, BM = 128;
constexpr int NOWHERE = -(1 << 28);              // a row of pixels that fails every bounds check

// The CPU emulator of the tests brings functions of these names; everything else runs there unchanged.
#if defined(EMULATOR)
#elif __CUDA_ARCH__ >= 800

// d (16×8) += a (16×8) · b (8×8) over the 32 lanes of a warp, on tensor cores, from 10-bit mantissas.
__device__ __forceinline__ void mma_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// x rounded to the nearest TF32 number; without this, tensor cores cut the low bits off, which pulls all sums towards 0.
__device__ __forceinline__ unsigned to_tf32(float x) {
    unsigned rounded;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(rounded) : "f"(x));
    return rounded;
}

// Start copying 16 bytes to shared memory, or writing 16 zero bytes there.
__device__ __forceinline__ void copy16_async(float* shared, const float* global, bool inside) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :: "r"((unsigned)__cvta_generic_to_shared(shared)), "l"(global), "r"(inside ? 16 : 0) : "memory");
}

__device__ __forceinline__ void copies_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Wait until at most `pending` of this thread's committed groups of copies are still under way.
template <int pending>
__device__ __forceinline__ void copies_wait() { asm volatile("cp.async.wait_group %0;" :: "n"(pending) : "memory"); }

#else  // older than Ampere: no such tensor cores (the caller refuses TF32 there), and copies that wait

__device__ __forceinline__ void mma_tf32(float (&)[4], const unsigned (&)[4], const unsigned (&)[2]) { __trap(); }

__device__ __forceinline__ unsigned to_tf32(float x) { return __float_as_uint(x); }

__device__ __forceinline__ void copy16_async(float* shared, const float* global, bool inside) {
    *(float4*)shared = inside ? *(const float4*)global : make_float4(0.f, 0.f, 0.f, 0.f);
}

__device__ __forceinline__ void copies_commit() {}

template <int pending>
__device__ __forceinline__ void copies_wait() {}

#endif

// ---- kernels in the order that the products read ---------------------------------------------------------------------

struct Arrangement {
    int groups, O, KH, KW, C;                      // of the result: (groups·O, KH, KW, C)
    int given;                                     // channels there are; 0 in those beyond
    int group, out, into, down, right;             // numbers from one to the next in the source; may be negative
    int round;                                     // 1: to TF32
};

// Kernels in whatever order, a selection of their taps, turned or not, as whole chunks of channels: a chunk a thread.
// One version: every number is read and written once.
extern "C" __global__ void arrange(const float* kernels, float* arranged, Arrangement g) {
    unsigned index = blockIdx.x * blockDim.x + threadIdx.x, chunks = g.C / 4;
    if (index >= g.groups * g.O * g.KH * g.KW * chunks) return;
    unsigned tap = index / chunks, c = (index - tap * chunks) * 4, down = tap / g.KW, kw = tap - down * g.KW;
    unsigned o = down / g.KH, kh = down - o * g.KH, group = o / g.O;
    int begin = group * g.group + (o - group * g.O) * g.out + c * g.into + kh * g.down + kw * g.right;  // may be negative
    const float* from = kernels + begin;
    float four[4];
#pragma unroll
    for (int i = 0; i < 4; i++) four[i] = c + i < g.given ? from[i * g.into] : 0.f;
    if (g.round)
#pragma unroll
        for (int i = 0; i < 4; i++) four[i] = __uint_as_float(to_tf32(four[i]));
    *(float4*)(arranged + 4 * index) = make_float4(four[0], four[1], four[2], four[3]);
}

// ---- correlate -------------------------------------------------------------------------------------------------------

// y at `index` = activation(scale · sum + shift + skip), for output channel o.
__device__ __forceinline__ void finish(float* y, int index, int o, float sum, const Finish& f, int activation) {
    if (f.scale) sum *= f.scale[o];
    if (f.shift) sum += f.shift[o];
    if (f.skip) sum += f.skip[index];
    if (activation && sum < 0.f) sum = 0.f;
    if (activation == 2 && sum > 6.f) sum = 6.f;
    y[index] = sum;
}

// Simple: one thread per output number, straight from the definition.
extern "C" __global__ void correlate_simple(const float* x, const float* weight, const float* scale, const float* shift,
                                            const float* skip, float* y, Conv g) {
    long long index = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    int O = g.O * g.groups;
    if (index >= (long long)g.N * g.OH * g.OW * O) return;
    int o = index % O, m = index / O, group = o / g.O;
    int j = m % g.OW, i = m / g.OW % g.OH, n = m / g.OW / g.OH;
    float sum = 0.f;
    for (int kh = 0; kh < g.KH; kh++)
        for (int kw = 0; kw < g.KW; kw++) {
            int h = i * g.stride_h + g.start_h + kh * g.dilation_h, w = j * g.stride_w + g.start_w + kw * g.dilation_w;
            if (h < 0 || h >= g.H || w < 0 || w >= g.W) continue;
            const float* pixel = x + ((n * g.H + h) * g.W + w) * (long long)g.x_pixel + group * g.C;
            const float* tap = weight + ((o * g.KH + kh) * g.KW + kw) * (long long)g.C;
            for (int c = 0; c < g.C; c++) sum += pixel[c] * tap[c];
        }
    finish(y, n * g.y_image + i * g.y_row + j * g.y_pixel + o, o, sum, {scale, shift, skip}, g.activation);
}

// Where the four numbers k .. k+3 of row r lie in a tile of rows of 16: the chunks of a row change places from row to row,
// so that neither the copies nor the reads of a warp meet in one bank of shared memory.
__device__ __forceinline__ int chunk_at(int r, int chunk) { return r * BK + ((chunk ^ (r >> 1 & 3)) << 2); }

// Fills tiles of windows (128 rows) and kernels (TN rows), BK = 16 numbers of k at a time. Every thread copies the chunk
// k = 4·(thread % 4) of a few rows, and keeps track of the tap and channel that k stands for without dividing.
template <int TN>
struct CorrelateLoader {
    const float *x, *weight;
    const Conv& g;
    int base[2], h[2], w[2];  // of this thread's two windows: the image's first number, the window's first pixel
    int first_o;              // its first kernel
    int k, c, kw, dh, dw;     // the next k, as channel and tap

    __device__ CorrelateLoader(const float* x, const float* weight, const Conv& g, int first_m, int first_o)
        : x(x), weight(weight), g(g), first_o(first_o + threadIdx.x / 4) {
        int row = threadIdx.x / 4, M = g.N * g.OH * g.OW;
        for (int i = 0; i < 2; i++) {
            int m = first_m + row + 64 * i, n = m / (g.OH * g.OW), p = m % (g.OH * g.OW);
            base[i] = n * g.H * g.W;
            h[i] = m < M ? p / g.OW * g.stride_h + g.start_h : NOWHERE;
            w[i] = p % g.OW * g.stride_w + g.start_w;
        }
        k = threadIdx.x % 4 * 4;
        c = k % g.C;
        int tap = k / g.C;
        kw = tap % g.KW;
        dw = kw * g.dilation_w;
        dh = tap / g.KW * g.dilation_h;
    }

    __device__ void load(float* windows, float* kernels) {
        int row = threadIdx.x / 4, chunk = threadIdx.x % 4;
#pragma unroll
        for (int i = 0; i < 2; i++) {
            int hh = h[i] + dh, ww = w[i] + dw;
            bool inside = k < g.K && hh >= 0 && hh < g.H && ww >= 0 && ww < g.W;
            const float* from = x + (inside ? (base[i] + hh * g.W + ww) * g.x_pixel + c : 0);
            copy16_async(windows + chunk_at(row + 64 * i, chunk), from, inside);
        }
#pragma unroll
        for (int i = 0; i < TN / 64; i++) {
            int o = first_o + 64 * i;
            bool inside = k < g.K && o < g.O;
            copy16_async(kernels + chunk_at(row + 64 * i, chunk), weight + (inside ? o * g.K + k : 0), inside);
        }
        k += BK;
        c += BK;
        while (c >= g.C) {
            c -= g.C;
            dw += g.dilation_w;
            if (++kw == g.KW) {
                kw = 0;
                dw = 0;
                dh += g.dilation_h;
            }
        }
    }
};

// The block's product on tensor cores. Eight warps share the tile; each owns 32 columns, and 64 or 32 rows of 16.
template <int TN>
struct TensorCores {
    static constexpr int WARPS_N = TN / 32, MI = BM / (8 / WARPS_N) / 16;
    float sum[MI][4][4] = {};
    int first_m, first_n, group, lane;  // group and lane within a group of four: how mma.sync spreads a matrix over a warp

    __device__ TensorCores() {
        int warp = threadIdx.x / 32;
        first_m = warp / WARPS_N * MI * 16;
        first_n = warp % WARPS_N * 32;
        group = threadIdx.x % 32 / 4;
        lane = threadIdx.x % 4;
    }

    __device__ void multiply(const float* windows, const float* kernels) {
        int key = group >> 1 & 3;
#pragma unroll
        for (int step = 0; step < 2; step++) {
            int left = ((2 * step ^ key) << 2) + lane, right = ((2 * step + 1 ^ key) << 2) + lane;
            unsigned a[MI][4], b[4][2];
#pragma unroll
            for (int i = 0; i < MI; i++) {
                const float* top = windows + (first_m + i * 16 + group) * BK;
                a[i][0] = to_tf32(top[left]);
                a[i][1] = to_tf32(top[8 * BK + left]);
                a[i][2] = to_tf32(top[right]);
                a[i][3] = to_tf32(top[8 * BK + right]);
            }
#pragma unroll
            for (int j = 0; j < 4; j++) {
                const float* top = kernels + (first_n + j * 8 + group) * BK;
                b[j][0] = to_tf32(top[left]);
                b[j][1] = to_tf32(top[right]);
            }
#pragma unroll
            for (int i = 0; i < MI; i++)
#pragma unroll
                for (int j = 0; j < 4; j++) mma_tf32(sum[i][j], a[i], b[j]);
        }
    }

    template <class Put>
    __device__ void store(Put put) {  // put(row of the tile, column, two neighbouring sums)
#pragma unroll
        for (int i = 0; i < MI; i++)
#pragma unroll
            for (int half = 0; half < 2; half++)
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    int row = first_m + i * 16 + half * 8 + group, column = first_n + j * 8 + lane * 2;
                    put(row, column, sum[i][j][half * 2]);
                    put(row, column + 1, sum[i][j][half * 2 + 1]);
                }
    }
};

// The block's product in full FP32. The 256 threads form a 16×16 grid; each owns every 16th row and column.
template <int TN>
struct FullPrecision {
    float sum[8][TN / 16] = {};
    int ty, tx;

    __device__ FullPrecision() : ty(threadIdx.x / 16), tx(threadIdx.x % 16) {}

    __device__ void multiply(const float* windows, const float* kernels) {
#pragma unroll 1  // unrolled, its loads would be moved up and no longer fit the registers
        for (int chunk = 0; chunk < 4; chunk++)
#pragma unroll
            for (int first = 0; first < TN / 16; first += 2) {
                float4 b[2];
#pragma unroll
                for (int j = 0; j < 2; j++) b[j] = *(const float4*)(kernels + chunk_at(tx + 16 * (first + j), chunk));
#pragma unroll
                for (int i = 0; i < 8; i++) {
                    float4 a = *(const float4*)(windows + chunk_at(ty + 16 * i, chunk));
#pragma unroll
                    for (int j = 0; j < 2; j++) {
                        sum[i][first + j] += a.x * b[j].x;
                        sum[i][first + j] += a.y * b[j].y;
                        sum[i][first + j] += a.z * b[j].z;
                        sum[i][first + j] += a.w * b[j].w;
                    }
                }
            }
    }

    template <class Put>
    __device__ void store(Put put) {
#pragma unroll
        for (int i = 0; i < 8; i++)
#pragma unroll
            for (int j = 0; j < TN / 16; j++) put(ty + 16 * i, tx + 16 * j, sum[i][j]);
    }
};

// What a batch-norm that follows wants to know of this tile's results: see tensor_cores.cu's `leave_moments`. Two of every 16
// rows are a warp's, two threads of which share a column.
template <int TN>
__device__ __forceinline__ void leave_moments(const FullPrecision<TN>& product, float* ring, int rows, int first_o, int channels,
                                              const float* shift, float* mean_of, float* squares_of) {
    constexpr int WARPS = THREADS / 32;
    float own = 0.f;
#pragma unroll
    for (int i = 0; i < 8; i++) own += product.ty + 16 * i < rows ? 1.f : 0.f;
    float other = __shfl_xor_sync(~0u, own, 16), both = own + other;
    float inverse = own > 0.f ? 1.f / own : 0.f, share = both > 0.f ? other / both : 0.f, weight = own * share;
    __syncthreads();  // nobody's product reads the ring any more
#pragma unroll
    for (int j = 0; j < TN / 16; j++) {
        float mean = 0.f, squares = 0.f;
#pragma unroll
        for (int i = 0; i < 8; i++) mean += product.sum[i][j];  // 0 beyond the last pixel
        mean *= inverse;
#pragma unroll
        for (int i = 0; i < 8; i++) {
            float distance = product.sum[i][j] - mean;
            squares += product.ty + 16 * i < rows ? distance * distance : 0.f;
        }
        float delta = __shfl_xor_sync(~0u, mean, 16) - mean;
        squares += __shfl_xor_sync(~0u, squares, 16) + delta * delta * weight;
        mean += delta * share;
        if (threadIdx.x % 32 < 16)
            *(float2*)(ring + (threadIdx.x / 32 * TN + product.tx + 16 * j) * 2) = make_float2(mean, squares);
    }
    __syncthreads();
    for (int column = threadIdx.x; column < TN && first_o + column < channels; column += THREADS) {
        float mean = 0.f, squares = 0.f, count = 0.f;
#pragma unroll
        for (int warp = 0; warp < WARPS; warp++) {
            float2 part = *(const float2*)(ring + (warp * TN + column) * 2);
            int left = rows % 16 - 2 * warp;  // of the last 16 rows, which may not be whole
            float more = rows / 16 * 2 + (left < 0 ? 0 : left < 2 ? left : 2);
            if (!(more > 0.f)) break;
            float delta = part.x - mean, all = count + more;
            squares += part.y + delta * delta * count * (more / all);
            mean += delta * (more / all);
            count = all;
        }
        mean_of[first_o + column] = shift ? mean + shift[first_o + column] : mean;
        squares_of[first_o + column] = squares;
    }
}

// Tensor cores leave none here: what they compute in this text is rare.
template <int TN>
__device__ __forceinline__ void leave_moments(const TensorCores<TN>&, float*, int, int, int, const float*, float*, float*) {}

// Fast: three tiles in a ring, filled by asynchronous copies two tiles ahead of the product.
template <int TN, class Product>
__device__ __forceinline__ void correlate_tiled(const float* x, const float* weight, const Finish& f, float* y,
                                                float* moments, const Conv& g, float* ring) {
    constexpr int TILE = (BM + TN) * BK;
    int first_m = blockIdx.x * BM, first_o = blockIdx.y * TN, group = blockIdx.z;
    CorrelateLoader<TN> loader(x + group * g.C, weight + group * g.O * g.K, g, first_m, first_o);
    Product product;
    int tiles = (g.K + BK - 1) / BK;
#pragma unroll 1  // for the registers, again
    for (int s = 0; s < STAGES - 1; s++) {
        if (s < tiles) loader.load(ring + s * TILE, ring + s * TILE + BM * BK);
        copies_commit();
    }
    int now = 0, next = STAGES - 1;
    for (int t = 0; t < tiles; t++) {
        copies_wait<STAGES - 2>();
        __syncthreads();  // tile `now` has arrived for everybody, and nobody still reads tile `next`
        if (t + STAGES - 1 < tiles) loader.load(ring + next * TILE, ring + next * TILE + BM * BK);
        copies_commit();
        product.multiply(ring + now * TILE, ring + now * TILE + BM * BK);
        now = now + 1 == STAGES ? 0 : now + 1;
        next = next + 1 == STAGES ? 0 : next + 1;
    }
    int M = g.N * g.OH * g.OW;
    if (moments) {  // y is the sums, with at most a bias
        int at = blockIdx.x * 2 * g.groups * g.O + group * g.O;
        leave_moments(product, ring, min(M - first_m, BM), first_o, g.O, f.shift ? f.shift + group * g.O : nullptr, moments + at,
                      moments + at + g.groups * g.O);
    }
    __syncthreads();  // the ring is free: now it holds where each row of the tile begins in y, or -1
    int* rows = (int*)ring;
    if (threadIdx.x < BM) {
        int m = first_m + threadIdx.x, p = m % (g.OH * g.OW), n = m / (g.OH * g.OW);
        rows[threadIdx.x] = m < M ? n * g.y_image + p / g.OW * g.y_row + p % g.OW * g.y_pixel + group * g.O : -1;
    }
    __syncthreads();
    product.store([&](int row, int column, float sum) {
        int o = first_o + column, at = rows[row];
        if (at >= 0 && o < g.O) finish(y, at + o, group * g.O + o, sum, f, g.activation);
    });
}

// `resident` blocks are to fit a multiprocessor at once. Two leave 128 registers a thread, which the full-precision
// product of the wide tile only just fits: now and then the compiler spills a few bytes, so it gets more.
#define CORRELATE(name, TN, Product, resident)                                                                        \
    extern "C" __global__ void __launch_bounds__(THREADS, resident)                                                   \
    name(const float* x, const float* weight, const float* scale, const float* shift, const float* skip, float* y,    \
         float* moments, Conv g) {                                                                                    \
        __shared__ __align__(16) float ring[STAGES * (BM + TN) * BK];                                                 \
        correlate_tiled<TN, Product<TN>>(x, weight, {scale, shift, skip}, y, moments, g, ring);                       \
    }

CORRELATE(correlate_fp32_128, 128, FullPrecision, 1)
CORRELATE(correlate_fp32_64, 64, FullPrecision, 2)
CORRELATE(correlate_tf32_128, 128, TensorCores, 2)
CORRELATE(correlate_tf32_64, 64, TensorCores, 2)

// ---- weight gradient -------------------------------------------------------------------------------------------------

// Simple: one thread per weight, which walks over all output pixels.
extern "C" __global__ void weight_gradient_simple(const float* x, const float* dy, float* dw, Conv g) {
    int index = blockIdx.x * blockDim.x + threadIdx.x, K = g.KH * g.KW * g.C;
    if (index >= g.O * g.groups * K) return;
    int o = index / K, k = index % K, group = o / g.O;
    int c = k % g.C, kw = k / g.C % g.KW, kh = k / g.C / g.KW;
    float sum = 0.f;
    for (int n = 0; n < g.N; n++)
        for (int i = 0; i < g.OH; i++)
            for (int j = 0; j < g.OW; j++) {
                int h = i * g.stride_h + g.start_h + kh * g.dilation_h, w = j * g.stride_w + g.start_w + kw * g.dilation_w;
                if (h < 0 || h >= g.H || w < 0 || w >= g.W) continue;
                sum += dy[((n * g.OH + i) * g.OW + j) * (long long)g.y_pixel + o] *
                       x[((n * g.H + h) * g.W + w) * (long long)g.x_pixel + group * g.C + c];
            }
    dw[index] = sum;
}

// In a tile of 16 rows m, TM columns: columns of every fourth row change places by 8, again for the sake of the banks.
__device__ __forceinline__ int column_at(int row, int column, int width) { return row * width + (column ^ (row & 3) << 3); }

// Fills tiles of dy (16 pixels × TM channels) and windows (16 pixels × 128 numbers of k). A thread's k never changes;
// its pixels advance by 16 a tile.
template <int TM>
struct GradientLoader {
    const float *x, *dy;  // from this thread's channels on
    const Conv& g;
    int dh, dw;           // the tap of its k; NOWHERE for a k beyond the end
    int n, i, j, m;       // its next pixel
    int end, dy_end;      // where its pixels end; 0 for channels of dy beyond the end

    __device__ GradientLoader(const float* x, const float* dy, const Conv& g, int first_o, int first_k, int begin, int end)
        : x(x), dy(dy), g(g), end(end) {
        int column = threadIdx.x % 32 * 4, k = first_k + column, tap = k / g.C;
        this->x += k % g.C;
        this->dy += first_o + column;
        dy_end = column < TM && first_o + column < g.O ? end : 0;
        dw = tap % g.KW * g.dilation_w + g.start_w;
        dh = k < g.K ? tap / g.KW * g.dilation_h + g.start_h : NOWHERE;
        m = begin + threadIdx.x / 32;
        j = m % g.OW;
        i = m / g.OW % g.OH;
        n = m / g.OW / g.OH;
    }

    __device__ void advance(int pixels) {
        m += pixels;
        j += pixels;
        while (j >= g.OW) {
            j -= g.OW;
            if (++i == g.OH) {
                i = 0;
                n++;
            }
        }
    }

    __device__ void load(float* gradients, float* windows) {
        int row = threadIdx.x / 32, column = threadIdx.x % 32 * 4;
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int h = i * g.stride_h + dh, w = j * g.stride_w + dw;
            bool inside = m < end && h >= 0 && h < g.H && w >= 0 && w < g.W;
            const float* from = x + (inside ? ((n * g.H + h) * g.W + w) * g.x_pixel : 0);
            copy16_async(windows + column_at(row + 8 * half, column, 128), from, inside);
            if (column < TM)
                copy16_async(gradients + column_at(row + 8 * half, column, TM), dy + (m < dy_end ? m * g.y_pixel : 0), m < dy_end);
            advance(8);
        }
    }
};

template <int TM>
struct GradientTensorCores {
    static constexpr int WARPS_M = TM / 32, NI = 128 / (8 / WARPS_M) / 8;  // each warp owns 32 rows of o
    float sum[2][NI][4] = {};
    int first_m, first_n, group, lane;

    __device__ GradientTensorCores() {
        int warp = threadIdx.x / 32;
        first_m = warp % WARPS_M * 32;
        first_n = warp / WARPS_M * NI * 8;
        group = threadIdx.x % 32 / 4;
        lane = threadIdx.x % 4;
    }

    __device__ void multiply(const float* gradients, const float* windows) {
#pragma unroll
        for (int step = 0; step < 2; step++) {
            const float* left = gradients + (step * 8 + lane) * TM + first_m + group;
            const float* right = windows + (step * 8 + lane) * 128 + first_n + group;
            unsigned a[2][4];
#pragma unroll
            for (int i = 0; i < 2; i++) {
                a[i][0] = to_tf32(left[place(2 * i)]);
                a[i][1] = to_tf32(left[place(2 * i + 1)]);
                a[i][2] = to_tf32(left[place(2 * i) + 4 * TM]);
                a[i][3] = to_tf32(left[place(2 * i + 1) + 4 * TM]);
            }
#pragma unroll
            for (int j = 0; j < NI; j++) {
                unsigned b[2] = {to_tf32(right[place(j)]), to_tf32(right[place(j) + 4 * 128])};
#pragma unroll
                for (int i = 0; i < 2; i++) mma_tf32(sum[i][j], a[i], b);
            }
        }
    }

    // What column_at does to the n-th eight columns, in rows whose number modulo 4 is `lane`.
    __device__ int place(int n) const { return n / 4 * 32 + ((n % 4 ^ lane) << 3); }

    template <class Put>
    __device__ void store(Put put) {
#pragma unroll
        for (int i = 0; i < 2; i++)
#pragma unroll
            for (int half = 0; half < 2; half++)
#pragma unroll
                for (int j = 0; j < NI; j++) {
                    int row = first_m + i * 16 + half * 8 + group, column = first_n + j * 8 + lane * 2;
                    put(row, column, sum[i][j][half * 2]);
                    put(row, column + 1, sum[i][j][half * 2 + 1]);
                }
    }
};

template <int TM>
struct GradientFullPrecision {
    float sum[TM / 16][8] = {};
    int ty, tx;

    __device__ GradientFullPrecision() : ty(threadIdx.x / 16), tx(threadIdx.x % 16) {}

    __device__ void multiply(const float* gradients, const float* windows) {
#pragma unroll
        for (int row = 0; row < BK; row++) {
            float a[TM / 16], b[8];
#pragma unroll
            for (int i = 0; i < TM / 64; i++)
                *(float4*)(a + 4 * i) = *(const float4*)(gradients + column_at(row, ty * 4 + 64 * i, TM));
#pragma unroll
            for (int j = 0; j < 2; j++) *(float4*)(b + 4 * j) = *(const float4*)(windows + column_at(row, tx * 4 + 64 * j, 128));
#pragma unroll
            for (int i = 0; i < TM / 16; i++)
#pragma unroll
                for (int j = 0; j < 8; j++) sum[i][j] += a[i] * b[j];
        }
    }

    template <class Put>
    __device__ void store(Put put) {
#pragma unroll
        for (int i = 0; i < TM / 16; i++)
#pragma unroll
            for (int j = 0; j < 8; j++) put(i / 4 * 64 + ty * 4 + i % 4, j / 4 * 64 + tx * 4 + j % 4, sum[i][j]);
    }
};

// Fast: the pixels are split over `splits` blocks for each tile of weights; each writes sums of its own, which
// `add_splits` adds up in a fixed order. No atomics: the result is the same in every run.
template <int TM, class Product>
__device__ __forceinline__ void weight_gradient_tiled(const float* x, const float* dy, float* partial, const Conv& g,
                                                      float* ring) {
    constexpr int TILE = (TM + 128) * BK;
    int first_k = blockIdx.x * 128, first_o = blockIdx.y * TM, group = blockIdx.z % g.groups, split = blockIdx.z / g.groups;
    int K = g.K, M = g.N * g.OH * g.OW;
    int share = ((M + g.splits - 1) / g.splits + BK - 1) / BK * BK;
    int begin = split * share < M ? split * share : M, end = begin + share < M ? begin + share : M;
    GradientLoader<TM> loader(x + group * g.C, dy + group * g.O, g, first_o, first_k, begin, end);
    Product product;
    int tiles = (end - begin + BK - 1) / BK;
    for (int s = 0; s < STAGES - 1; s++) {
        if (s < tiles) loader.load(ring + s * TILE, ring + s * TILE + TM * BK);
        copies_commit();
    }
    int now = 0, next = STAGES - 1;
    for (int t = 0; t < tiles; t++) {
        copies_wait<STAGES - 2>();
        __syncthreads();
        if (t + STAGES - 1 < tiles) loader.load(ring + next * TILE, ring + next * TILE + TM * BK);
        copies_commit();
        product.multiply(ring + now * TILE, ring + now * TILE + TM * BK);
        now = now + 1 == STAGES ? 0 : now + 1;
        next = next + 1 == STAGES ? 0 : next + 1;
    }
    float* out = partial + ((long long)split * g.groups + group) * g.O * K;
    product.store([&](int row, int column, float sum) {
        int o = first_o + row, k = first_k + column;
        if (o < g.O && k < K) out[o * K + k] = sum;
    });
}

#define WEIGHT_GRADIENT(name, TM, Product)                                                                            \
    extern "C" __global__ void __launch_bounds__(THREADS, 2)                                                          \
    name(const float* x, const float* dy, float* partial, Conv g) {                                                   \
        __shared__ __align__(16) float ring[STAGES * (TM + 128) * BK];                                                  \
        weight_gradient_tiled<TM, Product<TM>>(x, dy, partial, g, ring);                                              \
    }

WEIGHT_GRADIENT(weight_gradient_fp32_128, 128, GradientFullPrecision)
WEIGHT_GRADIENT(weight_gradient_fp32_64, 64, GradientFullPrecision)
WEIGHT_GRADIENT(weight_gradient_tf32_128, 128, GradientTensorCores)
WEIGHT_GRADIENT(weight_gradient_tf32_64, 64, GradientTensorCores)

// dw (O, taps, channels) = Σ partial (splits, padded O, taps, C).
extern "C" __global__ void add_splits(const float* partial, float* dw, int splits, int padded, int O, int taps, int C,
                                      int channels) {
    int index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= O * taps * channels) return;
    int from = index / channels * C + index % channels;
    float sum = 0.f;
#pragma unroll 8
    for (int s = 0; s < splits; s++) sum += partial[(long long)s * padded * taps * C + from];
    dw[index] = sum;
}
