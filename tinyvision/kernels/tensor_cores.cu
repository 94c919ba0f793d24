// Convolution on tensor cores: for every GPU since Ampere by `mma.sync`, and for Hopper by `wgmma` as well, which takes both
// factors from shared memory and runs beside the threads. The text is read three times: with nothing defined, its factors are
// float32 and count as TF32; with BF16 or FP16 defined, they have 16 bits, and Turing's tensor cores know FP16 too. Sums and
// results are float32 each time. The primitives are conv.cu's:
//
//   correlate        y[m][o]  = Σ_k window[m][k] · weight[o][k]        forward, and the image gradient by phases
//   weight_gradient  dw[o][k] = Σ_m dy[m][o] · window[m][k]
//
// m numbers the output pixels (n, i, j), k the taps and channels (kh, kw, c). Images are channels-last (N, H, W, C), kernels
// (O, KH, KW, C), C and O multiples of 4 (of 8, for factors of 16 bits), rows aligned to 16 bytes, no array of 2³¹ numbers or
// more.
//
// A kernel is put together from two parts. A *loader* fills a tile of shared memory for each factor, 32 numbers deep along
// the axis that is summed over, or 64 of 16 bits. A *product* multiplies two tiles and keeps the sums in registers. All tiles
// are laid out alike: a row is 128 bytes, eight chunks of 16, and chunk c of row r lies at place c ^ (r & 7). So the eight rows
// of one chunk, which `ldmatrix` reads at once, lie in different banks; and this very layout is what wgmma calls 128-byte
// swizzle. A product takes 32 bytes of every row at a time: 8 numbers of TF32, 16 of 16 bits, which lie in registers alike.
//
// The simple versions, from the definition, are conv.cu's `correlate_simple` and `weight_gradient_simple`.
//
// Rounding: a tensor core takes no notice of a factor's low 13 bits. Kernels come rounded to TF32 (conv.cu's `arrange`).
// Windows, which go from the image to shared memory without passing a thread, are cut: a product is up to 1e-3, on average
// 3.5e-4, nearer to 0. What passes through registers for the weight gradient is stretched first, so that cutting it is
// right on average. Factors of 16 bits come rounded to nearest (halves.cu), and their products are exact.
//
// Prediction (H100, ResNet-18's layers, batch 64): forward by wgmma 0.95 of cuDNN's time, by mma.sync 1.25 (so a sketch of
// this scheme did). Weight gradient by wgmma: half of cuDNN's time from 128 channels on, since every number passes the
// registers once for 128 products; by mma.sync 1.3.
// Measurement (H200, CuPy 14.2, against cuDNN by PyTorch 2.11, both replayed from a graph), ms, ours / cuDNN's:
//
//                         forward         image gradient  weight gradient
//   7×7/2    3 at 224²    0.290 / 0.399   -               0.286 / 0.458
//   3×3     64 at  56²    0.084 / 0.094   0.091 / 0.087   0.146 / 0.156
//   3×3/2   64 at  56²    0.039 / 0.037   0.059 / 0.049   0.071 / 0.071
//   1×1/2   64 at  56²    0.015 / 0.016   0.031 / 0.033   0.024 / 0.027
//   3×3    128 at  28²    0.055 / 0.063   0.061 / 0.053   0.118 / 0.100
//   3×3/2  128 at  28²    0.033 / 0.029   0.039 / 0.047   0.067 / 0.059
//   1×1/2  128 at  28²    0.009 / 0.011   0.019 / 0.020   0.017 / 0.026
//   3×3    256 at  14²    0.053 / 0.050   0.060 / 0.055   0.115 / 0.101
//   3×3/2  256 at  14²    0.035 / 0.029   0.051 / 0.050   0.072 / 0.061
//   1×1/2  256 at  14²    0.009 / 0.009   0.017 / 0.017   0.018 / 0.023
//   3×3    512 at   7²    0.064 / 0.051   0.083 / 0.056   0.138 / 0.089
//   geometric mean        0.98            1.07            0.97
//
// The image gradient's times hold that of `arrange`; the forward's do not (0.002 to 0.005; with it the mean is 1.07), nor the
// stem's 0.026 for padding 3 channels to 4. By mma.sync, forward: 0.277, 0.108, 0.056, 0.018, 0.096, 0.050, 0.012, 0.090,
// 0.055, 0.010, 0.102: 1.35 of cuDNN's in the mean; not yet measured on a GPU that is not Hopper's. So the
// prediction holds for the forward; the weight gradient is level instead of twice as fast: a block waits for what it has
// fetched, and the registers of a second tile are not there.
//
// Moments for a batch-norm that follows (`leave_moments`). Prediction (H100): 4 to 8 % on top of a tile of 64 channels and 3×3
// taps, a fifth of the stem's, and in return batch-norm reads its input once less: of ResNet-18's training step, batch 64, 0.18 ms
// less for reading and 0.06 ms more here. Measurement: not yet measured.
//
// Factors of 16 bits. Prediction (H100): half of the steps and of the bytes through shared memory, so 0.55 of TF32's time for
// layers of 128 channels and more; halves.cu's `arrange` reads 4 bytes a number and writes 2, which costs 0.03 ms for 64
// channels at 56², once for both uses of a gradient. Measurement: not yet measured.

struct Conv {
    int N, H, W, C;                            // the image that windows are cut from; C counts the channels of one group
    int OH, OW, O;                             // the result; O counts the channels of one group
    int KH, KW, K;                             // K = KH·KW·C: a kernel as it lies in memory; at most 15 taps each way
    int stride_h, stride_w, start_h, start_w;  // of the convolution; start = -padding
    int dilation_h, dilation_w;
    int x_pixel;                               // numbers from one pixel of the image to the next
    int y_image, y_row, y_pixel;               // numbers from one image, row, pixel of the result to the next
    int groups, splits;
    int activation;                            // 0: none, 1: ReLU, 2: ReLU6
    int phases_h, phases_w;                    // of an image gradient; 0: this is none
    int apart_h, apart_w;                      // of an image gradient: stride / gcd(stride, dilation)
};

// What happens to a sum before it is stored; null pointers are left out.
struct Finish {
    const float *scale, *shift, *skip;
};

#if defined(BF16)
#define OF_KIND(name) name##_bf16
#define MMA_KIND "k16.row.col.f32.bf16.bf16.f32"
#define WGMMA_KIND "k16.f32.bf16.bf16"
#define WGMMA_REST ", 0, 0;"
#elif defined(FP16)
#define OF_KIND(name) name##_fp16
#define MMA_KIND "k16.row.col.f32.f16.f16.f32"
#define WGMMA_KIND "k16.f32.f16.f16"
#define WGMMA_REST ", 0, 0;"
#else
#define OF_KIND(name) name##_tf32
#define MMA_KIND "k8.row.col.f32.tf32.tf32.f32"
#define WGMMA_KIND "k8.f32.tf32.tf32"
#define WGMMA_REST ";"
using Number = float;                  // else two bytes, as who defines BF16 or FP16 says in front of this text
#endif

constexpr int ROW = 128, DEEP = ROW / sizeof(Number), CHUNK = 16 / sizeof(Number);  // a tile's row; numbers of it; of a chunk
constexpr int NOWHERE = -(1 << 28);    // a row of pixels that fails every bounds check

// The CPU emulator of the tests brings functions of these names; everything else runs there unchanged.
#if !defined(EMULATOR) && (__CUDA_ARCH__ >= 800 || defined(FP16) && __CUDA_ARCH__ >= 750)

extern __shared__ unsigned char shared_memory[];

// Where the block's shared memory begins. Addresses in shared memory are 32-bit numbers throughout.
__device__ __forceinline__ unsigned shared_begin() { return (unsigned)__cvta_generic_to_shared(shared_memory); }

__device__ __forceinline__ void put16(unsigned to, unsigned a, unsigned b, unsigned c, unsigned d) {
    asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" :: "r"(to), "r"(a), "r"(b), "r"(c), "r"(d) : "memory");
}

__device__ __forceinline__ void put8(unsigned to, float a, float b) {
    asm volatile("st.shared.v2.f32 [%0], {%1, %2};" :: "r"(to), "f"(a), "f"(b) : "memory");
}

__device__ __forceinline__ float2 get8(unsigned from) {
    float2 x;
    asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];" : "=f"(x.x), "=f"(x.y) : "r"(from) : "memory");
    return x;
}

#if __CUDA_ARCH__ >= 800

// Start copying 16 bytes to shared memory, or writing 16 zero bytes there.
__device__ __forceinline__ void copy16(unsigned to, const void* from, bool inside) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" :: "r"(to), "l"(from), "r"(inside ? 16 : 0) : "memory");
}

__device__ __forceinline__ void copies_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Wait until at most `pending` of this thread's committed groups of copies are still under way.
template <int pending>
__device__ __forceinline__ void copies_wait() { asm volatile("cp.async.wait_group %0;" :: "n"(pending) : "memory"); }

#else  // Turing: the copy is there at once

__device__ __forceinline__ void copy16(unsigned to, const void* from, bool inside) {
    uint4 x = inside ? *(const uint4*)from : make_uint4(0, 0, 0, 0);
    put16(to, x.x, x.y, x.z, x.w);
}

__device__ __forceinline__ void copies_commit() {}

template <int pending>
__device__ __forceinline__ void copies_wait() {}

#endif

// Four neighbouring numbers, or zeros. No branch: all loads of a thread are on their way before the first is waited for.
__device__ __forceinline__ float4 load16(const float* from, bool inside) {
    float4 x = make_float4(0.f, 0.f, 0.f, 0.f);
    asm volatile("{ .reg .pred p; setp.ne.u32 p, %5, 0; @p ld.global.nc.v4.f32 {%0, %1, %2, %3}, [%4]; }"
                 : "+f"(x.x), "+f"(x.y), "+f"(x.z), "+f"(x.w) : "l"(from), "r"((unsigned)inside));
    return x;
}

// Four neighbouring numbers of 16 bits, or zeros; likewise.
__device__ __forceinline__ uint2 load8(const unsigned short* from, bool inside) {
    uint2 x = make_uint2(0, 0);
    asm volatile("{ .reg .pred p; setp.ne.u32 p, %3, 0; @p ld.global.nc.v2.b32 {%0, %1}, [%2]; }"
                 : "+r"(x.x), "+r"(x.y) : "l"(from), "r"((unsigned)inside));
    return x;
}

// Four matrices of 8 rows of 16 bytes: lane l names row l % 8 of matrix l / 8, and gets number l % 4 of row l / 4 of each.
__device__ __forceinline__ void load_matrices(unsigned (&to)[4], unsigned row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(row) : "memory");
}

// d (16×8) += a (16×K) · b (K×8) over the 32 lanes of a warp, K the numbers of 32 bytes. The low 13 bits of a float count as 0.
__device__ __forceinline__ void OF_KIND(mma)(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
#if __CUDA_ARCH__ >= 800
    asm volatile(
        "mma.sync.aligned.m16n8" MMA_KIND " {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else  // Turing takes half of them at a time
#pragma unroll
    for (int half = 0; half < 2; half++)
        asm volatile(
            "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
            : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
            : "r"(a[half * 2]), "r"(a[half * 2 + 1]), "r"(half ? b1 : b0));
#endif
}

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

// What this thread has written to shared memory becomes visible to wgmma, which reads it by another way (a "proxy").
__device__ __forceinline__ void proxy_fence() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// Registers written so far may be used as sums by the next wgmma.
__device__ __forceinline__ void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }

__device__ __forceinline__ void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

// Wait until at most `pending` committed groups are still under way: the sums and the tiles of older ones are free.
template <int pending>
__device__ __forceinline__ void wgmma_wait() { asm volatile("wgmma.wait_group.sync.aligned %0;" :: "n"(pending) : "memory"); }

// d (64×N) += a (64×K) · b (N×K)ᵀ over the 128 threads of a warpgroup, a and b tiles in shared memory, K the numbers of 32
// bytes. Runs on until it is waited for.
template <int N>
__device__ void OF_KIND(wgmma)(float (&d)[N / 2], unsigned long long a, unsigned long long b);

#define SUMS_4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define SUMS_16(i) SUMS_4(i), SUMS_4(i + 4), SUMS_4(i + 8), SUMS_4(i + 12)
#define NAMES_32 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define NAMES_48 NAMES_32 ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47"
#define NAMES_64 NAMES_48 ",%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define NAMES_128 NAMES_64 \
    ",%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95" \
    ",%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111,%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"

#define WGMMA(N, names, a_name, b_name, ...)                                                                          \
    template <>                                                                                                       \
    __device__ __forceinline__ void OF_KIND(wgmma)<N>(float (&d)[N / 2], unsigned long long a, unsigned long long b) {\
        asm volatile("wgmma.mma_async.sync.aligned.m64n" #N WGMMA_KIND " {" names "}, " a_name ", " b_name            \
                     ", 1, 1, 1" WGMMA_REST : __VA_ARGS__ : "l"(a), "l"(b) : "memory");                               \
    }

WGMMA(64, NAMES_32, "%32", "%33", SUMS_16(0), SUMS_16(16))
WGMMA(96, NAMES_48, "%48", "%49", SUMS_16(0), SUMS_16(16), SUMS_16(32))
WGMMA(128, NAMES_64, "%64", "%65", SUMS_16(0), SUMS_16(16), SUMS_16(32), SUMS_16(48))
WGMMA(256, NAMES_128, "%128", "%129", SUMS_16(0), SUMS_16(16), SUMS_16(32), SUMS_16(48), SUMS_16(64), SUMS_16(80),
      SUMS_16(96), SUMS_16(112))

#endif
#endif

#if defined(EMULATOR) || __CUDA_ARCH__ >= 800 || defined(FP16) && __CUDA_ARCH__ >= 750  // others have no such tensor cores

// x, which is the same in all lanes of a warp, where the compiler shall know that.
__device__ __forceinline__ int uniform(int x) { return __shfl_sync(~0u, x, 0); }

// A multiple of 1024 bytes, after which wgmma's swizzle repeats; the launch asks for that much more.
__device__ __forceinline__ unsigned first_tile() { return (shared_begin() + 1023) & ~1023u; }

// Where chunk c of row r lies in a tile.
__device__ __forceinline__ unsigned chunk_at(int r, int c) { return r * ROW + ((c ^ (r & 7)) << 4); }

// ---- products --------------------------------------------------------------------------------------------------------

// mma.sync: WM × WN warps share the TM × TN sums.
template <int TM, int TN, int WM, int WN>
struct WarpProduct {
    static constexpr int THREADS = 32 * WM * WN, MI = TM / WM / 16, NI = TN / WN / 8;
    static constexpr int ROWS = MI * 2, COLUMNS = NI * 2, ABREAST = WM;  // of sums a thread has; warps that share columns
    static constexpr bool RUNS_ON = false;
    float sum[MI][NI][4] = {};
    int first_m, first_n, lane;

    __device__ WarpProduct() {
        int warp = uniform(threadIdx.x / 32);
        first_m = warp % WM * MI * 16;
        first_n = warp / WM * NI * 8;
        lane = threadIdx.x % 32;
    }

    // A product is done when `multiply` returns, and sees what any thread wrote before the barrier.
    template <int pending>
    __device__ __forceinline__ static void wait() {}

    __device__ __forceinline__ static void publish() {}

    // One load brings the fragment of 16 rows of a, one that of 2 × 8 rows of b: which lane names which row.
    __device__ __forceinline__ void multiply(unsigned a, unsigned b) {
        a += (first_m + lane % 16) * ROW;
        b += (first_n + lane % 8 + lane / 16 * 8) * ROW;
        int key = lane % 8;
#pragma unroll
        for (int step = 0; step < ROW / 32; step++) {
            unsigned left[MI][4], right[NI / 2][4];
#pragma unroll
            for (int i = 0; i < MI; i++) load_matrices(left[i], a + i * 16 * ROW + ((2 * step + lane / 16 ^ key) << 4));
#pragma unroll
            for (int j = 0; j < NI / 2; j++) load_matrices(right[j], b + j * 16 * ROW + ((2 * step + lane / 8 % 2 ^ key) << 4));
#pragma unroll
            for (int i = 0; i < MI; i++)
#pragma unroll
                for (int j = 0; j < NI; j++) OF_KIND(mma)(sum[i][j], left[i], right[j / 2][j % 2 * 2], right[j / 2][j % 2 * 2 + 1]);
        }
    }

    // Of a thread's sums: the row of the tile that its r-th lie in, the column of its c-th, one of them, and which of the warps
    // that share its columns its own is. Its lane / 4 counts the rows that a warp has beside one another.
    __device__ __forceinline__ int row_of(int r) const { return first_m + r / 2 * 16 + r % 2 * 8 + lane / 4; }

    __device__ __forceinline__ int column_of(int c) const { return first_n + c / 2 * 8 + lane % 4 * 2 + c % 2; }

    __device__ __forceinline__ float at(int r, int c) const { return sum[r / 2][c / 2][r % 2 * 2 + c % 2]; }

    __device__ __forceinline__ int abreast() const { return first_m / (MI * 16); }

    // put_row(row of the tile) says where it goes, put(that, column, sum, the next column's sum) stores.
    template <class Row, class Put>
    __device__ __forceinline__ void store(Row put_row, Put put) {
#pragma unroll
        for (int i = 0; i < MI; i++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                auto at = put_row(first_m + i * 16 + half * 8 + lane / 4);
#pragma unroll
                for (int j = 0; j < NI; j++)
                    put(at, first_n + j * 8 + lane % 4 * 2, sum[i][j][half * 2], sum[i][j][half * 2 + 1]);
            }
    }
};

#if defined(EMULATOR) || defined(__CUDA_ARCH_FEAT_SM90_ALL)

// How wgmma is told of a tile: its address, 1024 bytes from eight rows to the next eight, swizzled by 128 bytes.
__device__ __forceinline__ unsigned long long descriptor(unsigned at) {
    return (unsigned long long)(1u << 30 | 1024 >> 4) << 32 | (at >> 4 | 1u << 16);
}

// wgmma: GM × GN warpgroups share the sums, each MI times 64 rows and N columns.
template <int TM, int TN, int GM, int GN>
struct GroupProduct {
    static constexpr int THREADS = 128 * GM * GN, MI = TM / GM / 64, N = TN / GN;
    static constexpr int ROWS = MI * 2, COLUMNS = N / 4, ABREAST = 4 * GM;
    static constexpr bool RUNS_ON = true;
    float sum[MI][N / 2] = {};
    int first_m, first_n, row, column;

    __device__ GroupProduct() {
        int group = uniform(threadIdx.x / 128);
        first_m = group % GM * MI * 64;
        first_n = group / GM * N;
        row = threadIdx.x % 128 / 32 * 16 + threadIdx.x % 32 / 4;
        column = threadIdx.x % 4 * 2;
    }

    // Wait until at most `pending` products of this thread's warpgroup are under way.
    template <int pending>
    __device__ __forceinline__ static void wait() {
        wgmma_wait<pending>();
    }

    // Let products after the next barrier see what this thread has written to shared memory.
    __device__ __forceinline__ static void publish() { proxy_fence(); }

    __device__ __forceinline__ void multiply(unsigned a, unsigned b) {
        wgmma_fence();
#pragma unroll
        for (int step = 0; step < ROW / 32; step++)
#pragma unroll
            for (int i = 0; i < MI; i++)
                OF_KIND(wgmma)<N>(sum[i], descriptor(a + (first_m + i * 64) * ROW + step * 32),
                                  descriptor(b + first_n * ROW + step * 32));
        wgmma_commit();
    }

    // As in WarpProduct.
    __device__ __forceinline__ int row_of(int r) const { return first_m + r / 2 * 64 + r % 2 * 8 + row; }

    __device__ __forceinline__ int column_of(int c) const { return first_n + c / 2 * 8 + column + c % 2; }

    __device__ __forceinline__ float at(int r, int c) const { return sum[r / 2][c / 2 * 4 + r % 2 * 2 + c % 2]; }

    __device__ __forceinline__ int abreast() const {
        static_assert(MI == 1, "the rows of a warp lie together");
        return first_m / 64 * 4 + threadIdx.x % 128 / 32;
    }

    template <class Row, class Put>
    __device__ __forceinline__ void store(Row put_row, Put put) {
#pragma unroll
        for (int i = 0; i < MI; i++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                auto at = put_row(first_m + i * 64 + half * 8 + row);
#pragma unroll
                for (int j = 0; j < N / 8; j++)
                    put(at, first_n + j * 8 + column, sum[i][j * 4 + half * 2], sum[i][j * 4 + half * 2 + 1]);
            }
    }
};

#endif

// ---- correlate -------------------------------------------------------------------------------------------------------

// Along one side of the image: which taps there are, which pixels they read, and where the results lie.
struct Axis {
    int taps, first, step;        // tap t of the sum is the kernel's tap first + t·step
    int start, stride, dilation;  // for result i it reads pixel start + i·stride + t·dilation
    int size, from, spread;       // result i of `size` lies at from + i·spread

    // A bit for each tap that lies inside of an image of `length` pixels, for a window that begins at `first`.
    __device__ __forceinline__ unsigned bits(int first, int length) const {
        unsigned found = 0;
        if (dilation == 1) {
            int begin = first < 0 ? -first : 0, end = length - first < taps ? length - first : taps;
            return begin < end ? (1u << end) - (1u << begin) : 0;
        }
        for (int t = 0; t < taps; t++)
            if (first + t * dilation >= 0 && first + t * dilation < length) found |= 1u << t;
        return found;
    }

    __device__ static Axis forward(int taps, int start, int stride, int dilation, int size) {
        return {taps, 0, 1, start, stride, dilation, size, 0, 1};
    }

    // The image gradient's pixels h = r, r + S, ... Window i reads pixel h = i·S + k·D - P with tap k; so h hears from the
    // windows i = (h + P - k·D) / S that are whole, through every (S / gcd(S, D))-th tap: the last such tap first.
    __device__ static Axis phase(int r, int taps, int start, int stride, int dilation, int apart, int size) {
        int shifted = r - start, first = taps - 1;
        while (first >= 0 && (shifted - first * dilation) % stride) first--;
        int count = first < 0 ? 0 : first / apart + 1;
        return {count, first, -apart, (shifted - first * dilation) / stride, 1, dilation * apart / stride,
                (size - r + stride - 1) / stride, r, stride};
    }
};

// Fills tiles of windows (TM rows) and kernels (TN rows) by asynchronous copies. Every thread copies one chunk of a few rows,
// and keeps track of the tap and channel that its k stands for. Of a window it knows the first pixel's place, and a bit for
// each row and column of taps that lies inside of the image: so a copy costs a handful of instructions, which is what the
// narrow tiles are bound by.
template <int TM, int TN, int THREADS>
struct WindowLoader {
    static constexpr int STEP = THREADS / 8, WINDOWS = TM / STEP, KERNELS = TN / STEP;
    const Number *x, *weight;
    const Conv& g;
    const Axis &down, &across;
    int place[WINDOWS];        // of this thread's windows: the first pixel's first number
    unsigned inside[WINDOWS];  // bit t: row t of taps; bit 16 + t: column t
    int row[KERNELS];          // of its kernels: where their numbers begin; NOWHERE for one beyond the last
    int c, kh, kw;             // the channel and tap of the next k
    unsigned tap;              // the two bits of that tap, or all where k is beyond the last
    int pixel, number;         // where that k lies, from a window's first pixel, and in a kernel
    unsigned at;

    __device__ WindowLoader(const Number* x, const Number* weight, const Conv& g, const Axis& down, const Axis& across,
                            int first_m, int first_o)
        : x(x), weight(weight), g(g), down(down), across(across) {
        unsigned first = threadIdx.x / 8, chunk = threadIdx.x % 8, pixels = down.size * across.size, M = g.N * pixels;
#pragma unroll
        for (int i = 0; i < WINDOWS; i++) {
            unsigned m = first_m + first + STEP * i, n = m / pixels, p = m - n * pixels, r = p / across.size;
            int h = r * down.stride + down.start, w = (p - r * across.size) * across.stride + across.start;
            place[i] = ((n * g.H + h) * g.W + w) * g.x_pixel;
            inside[i] = m < M ? down.bits(h, g.H) | across.bits(w, g.W) << 16 : 0;
        }
#pragma unroll
        for (int i = 0; i < KERNELS; i++) {
            int o = first_o + first + STEP * i;
            row[i] = o < g.O ? o * g.K : NOWHERE;
        }
        c = chunk * CHUNK % g.C;
        kh = 0;
        kw = chunk * CHUNK / g.C;
        find_tap();
        at = chunk_at(first, chunk);
    }

    __device__ __forceinline__ void find_tap() {
        while (kw >= across.taps && kh < down.taps) {
            kw -= across.taps;
            kh++;
        }
        tap = kh < down.taps ? 1u << kh | 65536u << kw : ~0u;
        pixel = (kh * down.dilation * g.W + kw * across.dilation) * g.x_pixel + c;
        number = ((down.first + kh * down.step) * g.KW + across.first + kw * across.step) * g.C + c;
    }

    __device__ __forceinline__ void load(unsigned windows, unsigned kernels) {
#pragma unroll
        for (int i = 0; i < WINDOWS; i++)
            copy16(windows + at + i * STEP * ROW, x + (place[i] + pixel), (inside[i] & tap) == tap);
#pragma unroll
        for (int i = 0; i < KERNELS; i++)
            copy16(kernels + at + i * STEP * ROW, weight + (row[i] + number), tap != ~0u && row[i] != NOWHERE);
        c += DEEP;
        pixel += DEEP;
        number += DEEP;
        if (c < g.C) return;
        int further = c / g.C;  // taps
        c -= further * g.C;
        kw += further;
        find_tap();
    }
};

// activation(scale · sum + shift + skip), for output channel o at `index` of y.
__device__ __forceinline__ float finished(float sum, int index, int o, const Finish& f, int activation) {
    if (f.scale) sum *= f.scale[o];
    if (f.shift) sum += f.shift[o];
    if (f.skip) sum += f.skip[index];
    if (activation && sum < 0.f) sum = 0.f;
    if (activation == 2 && sum > 6.f) sum = 6.f;
    return sum;
}

// What a batch-norm that follows wants to know: for every channel o the mean of this tile's results, and the sum of their squared
// distances from it, left in moments (tiles, 2, channels) as norm.cu's `moments_of_chunks` leaves them for a chunk of TM rows.
// Groups of numbers are joined in pairs (Chan, Golub and LeVeque, 1979), which is exact where E[y²] - E[y]² would cancel.
// How many there are depends on the rows alone, so every weight of a joint is worked out once for all of a thread's columns.
template <int TM, int TN, class Product>
__device__ __forceinline__ void leave_moments(const Product& product, unsigned scratch, int rows, int first_o, int channels,
                                              const float* shift, float* mean_of, float* squares_of) {
    constexpr int ROWS = Product::ROWS, ABREAST = Product::ABREAST;
    float own = 0.f, share[3], weight[3];
#pragma unroll
    for (int r = 0; r < ROWS; r++) own += product.row_of(r) < rows ? 1.f : 0.f;
    float count = own, inverse = own > 0.f ? 1.f / own : 0.f;
#pragma unroll
    for (int step = 0; step < 3; step++) {  // lanes 4, 8, 16 apart have the same columns
        float other = __shfl_xor_sync(~0u, count, 4 << step), both = count + other;
        share[step] = both > 0.f ? other / both : 0.f;
        weight[step] = count * share[step];
        count = both;
    }
    __syncthreads();  // nobody's product reads the ring any more
#pragma unroll
    for (int c = 0; c < Product::COLUMNS; c++) {
        float mean = 0.f, squares = 0.f;
#pragma unroll
        for (int r = 0; r < ROWS; r++) mean += product.at(r, c);  // 0 beyond the last pixel
        mean *= inverse;
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            float distance = product.at(r, c) - mean;
            squares += product.row_of(r) < rows ? distance * distance : 0.f;
        }
#pragma unroll
        for (int step = 0; step < 3; step++) {
            float delta = __shfl_xor_sync(~0u, mean, 4 << step) - mean;
            squares += __shfl_xor_sync(~0u, squares, 4 << step) + delta * delta * weight[step];
            mean += delta * share[step];
        }
        if (threadIdx.x % 32 < 4) put8(scratch + (product.abreast() * TN + product.column_of(c)) * 8, mean, squares);
    }
    __syncthreads();
    for (int column = threadIdx.x; column < TN && first_o + column < channels; column += Product::THREADS) {
        float mean = 0.f, squares = 0.f, count = 0.f;
#pragma unroll
        for (int warp = 0; warp < ABREAST; warp++) {
            float2 part = get8(scratch + (warp * TN + column) * 8);
            int left = rows - warp * (TM / ABREAST);
            float more = left < 0 ? 0.f : left < TM / ABREAST ? left : TM / ABREAST;
            if (!(more > 0.f)) break;
            float delta = part.x - mean, both = count + more;
            squares += part.y + delta * delta * count * (more / both);
            mean += delta * (more / both);
            count = both;
        }
        mean_of[first_o + column] = shift ? mean + shift[first_o + column] : mean;
        squares_of[first_o + column] = squares;
    }
}

// A ring of STAGES tiles, filled ahead of the product. With wgmma, LEAD groups of products are under way while the threads go
// on: a tile is refilled only after everybody has waited for the group that read it.
template <int TM, int TN, class Product, int STAGES, int LEAD>
__device__ __forceinline__ void correlate_tiled(const Number* x, const Number* weight, const Finish& f, float* y,
                                                float* moments, const Conv& g) {
    constexpr int STAGE = (TM + TN) * ROW, AHEAD = STAGES - 1 - LEAD;
    int first_m = blockIdx.x * TM, first_o = blockIdx.y * TN, group = blockIdx.z % g.groups;
    Axis down = Axis::forward(g.KH, g.start_h, g.stride_h, g.dilation_h, g.OH);
    Axis across = Axis::forward(g.KW, g.start_w, g.stride_w, g.dilation_w, g.OW);
    if (g.phases_h) {  // the last ones first: they have the most taps where padding is (size - 1) / 2
        int phase = g.phases_h * g.phases_w - 1 - blockIdx.z / g.groups;
        down = Axis::phase(phase / g.phases_w, g.KH, g.start_h, g.stride_h, g.dilation_h, g.apart_h, g.OH);
        across = Axis::phase(phase % g.phases_w, g.KW, g.start_w, g.stride_w, g.dilation_w, g.apart_w, g.OW);
        if (first_m >= g.N * down.size * across.size) return;  // phases differ by a row or column of pixels
    }
    WindowLoader<TM, TN, Product::THREADS> loader(x + group * g.C, weight + group * g.O * g.K, g, down, across, first_m, first_o);
    Product product;
    unsigned ring = first_tile();
    int tiles = (down.taps * across.taps * g.C + DEEP - 1) / DEEP;  // none where no window reads these pixels
#pragma unroll 1
    for (int s = 0; s < AHEAD; s++) {
        if (s < tiles) loader.load(ring + s * STAGE, ring + s * STAGE + TM * ROW);
        copies_commit();
    }
    int now = 0, next = AHEAD;
#pragma unroll 1
    for (int t = 0; t < tiles; t++) {
        unsigned tile = ring + now * STAGE, free = ring + next * STAGE;
        copies_wait<AHEAD - 1>();
        if constexpr (Product::RUNS_ON) {
            if (!LEAD) Product::template wait<0>();
            Product::publish();
            __syncthreads();  // tile `now` has arrived for everybody, and nobody's product still reads the free one
            product.multiply(tile, tile + TM * ROW);
            if (LEAD) Product::template wait<LEAD>();
            if (t + AHEAD < tiles) loader.load(free, free + TM * ROW);
            copies_commit();
        } else {
            __syncthreads();  // the same
            if (t + AHEAD < tiles) loader.load(free, free + TM * ROW);
            copies_commit();
            product.multiply(tile, tile + TM * ROW);
        }
        now = now + 1 == STAGES ? 0 : now + 1;
        next = next + 1 == STAGES ? 0 : next + 1;
    }
    Product::template wait<0>();
    unsigned pixels = down.size * across.size, M = g.N * pixels;
    if (moments) {  // y is the sums, with at most a bias
        int at = blockIdx.x * 2 * g.groups * g.O + group * g.O;
        leave_moments<TM, TN>(product, ring, min(int(M) - first_m, TM), first_o, g.O, f.shift ? f.shift + group * g.O : nullptr,
                              moments + at, moments + at + g.groups * g.O);
    }
    bool pairs = !((unsigned long long)y & 7) && !((g.y_image | g.y_row | g.y_pixel | g.O) & 1);  // two numbers at once
    auto place = [&](int row) {
        unsigned m = first_m + row, n = m / pixels, p = m - n * pixels, i = p / across.size, j = p - i * across.size;
        int h = down.from + i * down.spread, w = across.from + j * across.spread;
        return m < M ? int(n * g.y_image + h * g.y_row + w * g.y_pixel + group * g.O) : -1;
    };
    if (pairs && first_o + TN <= g.O && !f.scale && !f.shift && !f.skip && !g.activation) {  // nothing to ask of each number
        product.store(place, [&](int at, int column, float left, float right) {
            if (at >= 0) *(float2*)(y + at + first_o + column) = make_float2(left, right);
        });
        return;
    }
    product.store(place, [&](int at, int column, float left, float right) {
        int o = first_o + column, channel = group * g.O + o;
        if (at < 0 || o >= g.O) return;
        left = finished(left, at + o, channel, f, g.activation);
        if (o + 1 < g.O) right = finished(right, at + o + 1, channel + 1, f, g.activation);
        if (pairs) {
            *(float2*)(y + at + o) = make_float2(left, right);
        } else {
            y[at + o] = left;
            if (o + 1 < g.O) y[at + o + 1] = right;
        }
    });
}

// `resident` blocks are to fit a multiprocessor at once; the ring needs STAGES · (TM + TN) · 128 bytes of shared memory and
// 1024 more, at most 99 KiB where the kernel is for every GPU.
#define CORRELATE(name, TM, TN, STAGES, LEAD, threads, resident, ...)                                                 \
    extern "C" __global__ void __launch_bounds__(threads, resident)                                                   \
    name(const Number* x, const Number* weight, const float* scale, const float* shift, const float* skip, float* y,  \
         float* moments, Conv g) {                                                                                    \
        correlate_tiled<TM, TN, __VA_ARGS__, STAGES, LEAD>(x, weight, {scale, shift, skip}, y, moments, g);           \
    }

#if !defined(__CUDA_ARCH_FEAT_SM90_ALL)  // what Hopper does not use need not be compiled for it

#if defined(EMULATOR) || __CUDA_ARCH__ >= 800
CORRELATE(correlate_mma_128x64, 128, 64, 3, 0, 128, 3, WarpProduct<128, 64, 2, 2>)
CORRELATE(correlate_mma_64x64, 64, 64, 4, 0, 128, 3, WarpProduct<64, 64, 2, 2>)
#endif
#if defined(EMULATOR) || __CUDA_ARCH__ < 800
CORRELATE(correlate_mma_64x64_short, 64, 64, 3, 0, 128, 3, WarpProduct<64, 64, 2, 2>)  // Turing's blocks have 64 KiB
#endif

#endif
#if defined(EMULATOR) || defined(__CUDA_ARCH_FEAT_SM90_ALL)

CORRELATE(correlate_wgmma_128x128, 128, 128, 3, 0, 256, 2, GroupProduct<128, 128, 2, 1>)
CORRELATE(correlate_wgmma_128x64, 128, 64, 3, 0, 256, 3, GroupProduct<128, 64, 2, 1>)
CORRELATE(correlate_wgmma_128x256, 128, 256, 4, 1, 256, 1, GroupProduct<128, 256, 2, 1>)

#endif

// ---- weight gradient -------------------------------------------------------------------------------------------------

// Four channels of a pixel; and one channel of a chunk of pixels, as it goes into a tile.
#if defined(BF16) || defined(FP16)

using Four = uint2;

__device__ __forceinline__ Four load_four(const Number* from, bool inside) { return load8(from, inside); }

__device__ __forceinline__ void turned(unsigned (&words)[4], const Four (&pixels)[CHUNK], int channel) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
        Four left = pixels[2 * i], right = pixels[2 * i + 1];
        words[i] = __byte_perm(channel < 2 ? left.x : left.y, channel < 2 ? right.x : right.y, channel % 2 ? 0x7632 : 0x5410);
    }
}

#else

using Four = float4;

__device__ __forceinline__ Four load_four(const Number* from, bool inside) { return load16(from, inside); }

// x so much larger that cutting its low 13 bits is right on average: cutting takes half a unit, (0.5 / m) 2⁻¹⁰ of a number
// whose leading digits are m; the average of 0.5 / m over all digits is 0.36. Exact for what is a TF32 number already, since
// less than a unit is added; and one instruction, where rounding takes four.
__device__ __forceinline__ float stretched(float x) { return x * (1.f + 0.36f / 1024.f); }

__device__ __forceinline__ void turned(unsigned (&words)[4], const Four (&pixels)[CHUNK], int channel) {
#pragma unroll
    for (int p = 0; p < 4; p++) {
        Four x = pixels[p];
        words[p] = __float_as_uint(stretched(channel == 0 ? x.x : channel == 1 ? x.y : channel == 2 ? x.z : x.w));
    }
}

#endif

// Fills tiles of dy (TM rows: channels o) and windows (TN rows: numbers of k), DEEP pixels m deep. In memory both lie the other
// way round, so they pass through registers: a thread fetches 4 channels of a chunk of pixels, and puts them down as 4 chunks,
// each of one channel. What it fetches is put down a tile later, so the product does not wait for memory.
//
// A warp looks after 16 channels and DEEP pixels. Lanes fetch whole sectors of 32 bytes among them (8 channels of a pixel by
// two neighbours; of 16 bits, 16 by four), and what eight in a row put down lies in different banks.
template <int TM, int TN, int THREADS>
struct GradientLoader {
    static constexpr int SLOTS = (TM + TN) * 2 / THREADS, STEP = THREADS / 32 * 16;
    const Conv& g;
    const Number* from[SLOTS];  // this thread's channels of dy, or of the image under its tap
    int dh[SLOTS], dw[SLOTS];   // the tap of its windows; NOWHERE for a k, or a channel of dy, beyond the end
    Four kept[SLOTS][CHUNK];    // what was fetched: a pixel each
    int n, i, j, m, end;        // its next pixels begin here

    __device__ GradientLoader(const Number* x, const Number* dy, const Conv& g, int first_o, int first_k, int begin, int end)
        : g(g), end(end) {
#pragma unroll
        for (int s = 0; s < SLOTS; s++) {
            int row = row_of(s), k = first_k + row - TM, tap = k / g.C;
            if (is_gradient(s)) {
                from[s] = dy + first_o + row;
                dh[s] = first_o + row < g.O ? 0 : NOWHERE;
            } else {
                dw[s] = tap % g.KW * g.dilation_w + g.start_w;
                dh[s] = tap / g.KW * g.dilation_h + g.start_h;
                from[s] = x + (dh[s] * g.W + dw[s]) * g.x_pixel + k % g.C;
                if (k >= g.K) dh[s] = NOWHERE;
            }
        }
        m = begin + chunk_of() * CHUNK;
        j = m % g.OW;
        i = m / g.OW % g.OH;
        n = m / g.OW / g.OH;
    }

    // The first of the four rows that slot s fills: rows of dy from 0, rows of the windows from TM on.
    __device__ static int row_of(int s) {
        return s * STEP + threadIdx.x / 32 * 16 + threadIdx.x % 32 / 16 * 8 + threadIdx.x % 2 * 4;
    }

    __device__ static int chunk_of() { return threadIdx.x % 16 / 2; }

    __device__ static bool is_gradient(int s) { return s * STEP + threadIdx.x / 32 * 16 < TM; }  // alike for all of a warp

    __device__ __forceinline__ void fetch() {
        int nn = n, ii = i, jj = j;
#pragma unroll
        for (int p = 0; p < CHUNK; p++) {
            int h = ii * g.stride_h, w = jj * g.stride_w, pixel = ((nn * g.H + h) * g.W + w) * g.x_pixel;
#pragma unroll
            for (int s = 0; s < SLOTS; s++) {
                bool inside = m + p < end;
                int offset;
                if (is_gradient(s)) {
                    inside = inside && dh[s] == 0;
                    offset = (m + p) * g.y_pixel;
                } else {
                    inside = inside && (unsigned)(h + dh[s]) < (unsigned)g.H && (unsigned)(w + dw[s]) < (unsigned)g.W;
                    offset = pixel;
                }
                kept[s][p] = load_four(from[s] + offset, inside);
            }
            if (++jj == g.OW) {
                jj = 0;
                if (++ii == g.OH) {
                    ii = 0;
                    nn++;
                }
            }
        }
        m += DEEP;
        j += DEEP;
        while (j >= g.OW) {
            j -= g.OW;
            if (++i == g.OH) {
                i = 0;
                n++;
            }
        }
    }

    __device__ __forceinline__ void put(unsigned tile) {
#pragma unroll
        for (int s = 0; s < SLOTS; s++) {
            unsigned row = row_of(s), chunk = chunk_of(), words[4];
#pragma unroll
            for (int channel = 0; channel < 4; channel++) {
                turned(words, kept[s], channel);
                put16(tile + chunk_at(row + channel, chunk), words[0], words[1], words[2], words[3]);
            }
        }
    }
};

// The pixels are split over `splits` blocks for each tile of weights; each writes sums of its own, which conv.cu's
// `add_splits` adds up in a fixed order. No atomics: the result is the same in every run.
//
// A tile is put down while the product of the one before it runs on, and fetched while its own does. LEAD as in `correlate`; the
// ring has LEAD + 2 stages.
template <int TM, int TN, class Product, int LEAD>
__device__ __forceinline__ void weight_gradient_tiled(const Number* x, const Number* dy, float* partial, const Conv& g) {
    constexpr int STAGE = (TM + TN) * ROW, STAGES = LEAD + 2;
    int first_k = blockIdx.x * TN, first_o = blockIdx.y * TM, group = blockIdx.z % g.groups, split = blockIdx.z / g.groups;
    int K = g.K, M = g.N * g.OH * g.OW;
    int share = ((M + g.splits - 1) / g.splits + DEEP - 1) / DEEP * DEEP;
    int begin = split * share < M ? split * share : M, end = begin + share < M ? begin + share : M;
    GradientLoader<TM, TN, Product::THREADS> loader(x + group * g.C, dy + group * g.O, g, first_o, first_k, begin, end);
    Product product;
    unsigned ring = first_tile();
    int tiles = (end - begin + DEEP - 1) / DEEP, now = 0;
    loader.fetch();
#pragma unroll 1
    for (int t = 0; t < tiles; t++) {
        unsigned tile = ring + now * STAGE;
        loader.put(tile);
        Product::template wait<LEAD>();
        Product::publish();
        __syncthreads();  // the tile is there; and all products that read the next tile's place are done
        if constexpr (Product::RUNS_ON) product.multiply(tile, tile + TM * ROW);
        if (t + 1 < tiles) loader.fetch();
        if constexpr (!Product::RUNS_ON) product.multiply(tile, tile + TM * ROW);
        now = now + 1 == STAGES ? 0 : now + 1;
    }
    Product::template wait<0>();
    float* out = partial + ((long long)split * g.groups + group) * g.O * K;
    product.store([&](int row) { return first_o + row < g.O ? (first_o + row) * K : -1; },
                  [&](int at, int column, float left, float right) {
                      int k = first_k + column;
                      if (at >= 0 && k < K) *(float2*)(out + at + k) = make_float2(left, right);
                  });
}

#define WEIGHT_GRADIENT(name, TM, TN, LEAD, threads, resident, ...)                                                   \
    extern "C" __global__ void __launch_bounds__(threads, resident)                                                   \
    name(const Number* x, const Number* dy, float* partial, Conv g) {                                                 \
        weight_gradient_tiled<TM, TN, __VA_ARGS__, LEAD>(x, dy, partial, g);                                          \
    }

#if !defined(__CUDA_ARCH_FEAT_SM90_ALL)

#if defined(EMULATOR) || __CUDA_ARCH__ >= 800
WEIGHT_GRADIENT(weight_gradient_mma_128x128, 128, 128, 0, 256, 1, WarpProduct<128, 128, 2, 4>)
#endif
WEIGHT_GRADIENT(weight_gradient_mma_64x128, 64, 128, 0, 128, 2, WarpProduct<64, 128, 1, 4>)
WEIGHT_GRADIENT(weight_gradient_mma_64x64, 64, 64, 0, 128, 2, WarpProduct<64, 64, 2, 2>)

#endif
#if defined(EMULATOR) || defined(__CUDA_ARCH_FEAT_SM90_ALL)

WEIGHT_GRADIENT(weight_gradient_wgmma_128x256, 128, 256, 0, 256, 1, GroupProduct<128, 256, 2, 1>)
WEIGHT_GRADIENT(weight_gradient_wgmma_128x128, 128, 128, 0, 256, 2, GroupProduct<128, 128, 2, 1>)
WEIGHT_GRADIENT(weight_gradient_wgmma_64x192, 64, 192, 0, 256, 2, GroupProduct<64, 192, 1, 2>)
WEIGHT_GRADIENT(weight_gradient_wgmma_64x128, 64, 128, 0, 128, 3, GroupProduct<64, 128, 1, 1>)
WEIGHT_GRADIENT(weight_gradient_wgmma_64x64, 64, 64, 0, 128, 3, GroupProduct<64, 64, 1, 1>)

#endif
#endif
