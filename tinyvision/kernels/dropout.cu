// Dropout's masks, drawn where they are used. The numbers are those that NumPy's Philox generator draws on the CPU, one by one: a
// counter-based generator (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011) makes its n-th
// block of numbers from n alone, so every thread can make its own.
//
// What is kept of x is worked out in the same launch, where the mask is drawn for an x of its shape in the mask's order.
//
// Prediction (H100): 10 rounds of two 64-bit products for 8 numbers, of a byte each: bound by arithmetic, 25 µs for the 6.4
// million numbers of a batch of 64 at 56² with 32 channels. From the host, they took 30 ms to draw and 0.3 ms to copy.
// Measurement: not yet measured.

struct State {  // of NumPy's generator
    unsigned long long counter[4], key[2];  // the counter of the block it draws from
    unsigned long long buffer[4];           // that block: made again here
    unsigned long long used;                // how many of its four numbers of 64 bits are
    unsigned long long has, pending;        // 1 where half of a number is left over, and that half
};

constexpr int ROUNDS = 10;

__device__ __forceinline__ void philox(unsigned long long (&x)[4], const State& state, unsigned long long further) {
    unsigned long long carry = further, key[2] = {state.key[0], state.key[1]};
#pragma unroll
    for (int i = 0; i < 4; i++) {
        x[i] = state.counter[i] + carry;
        carry = x[i] < carry;
    }
#pragma unroll
    for (int round = 0; round < ROUNDS; round++) {
        unsigned long long high0 = __umul64hi(x[0], 0xD2E7470EE14C6C93), low0 = x[0] * 0xD2E7470EE14C6C93;
        unsigned long long high1 = __umul64hi(x[2], 0xCA5A826395121157), low1 = x[2] * 0xCA5A826395121157;
        x[0] = high1 ^ x[1] ^ key[0];
        x[1] = low1;
        x[2] = high0 ^ x[3] ^ key[1];
        x[3] = low0;
        key[0] += 0x9E3779B97F4A7C15;
        key[1] += 0xBB67AE8584CAA73B;
    }
}

// Whether a number from 0 to 1, of 24 bits, is at least p: 1 or 0.
__device__ __forceinline__ unsigned char is_kept(unsigned bits, float p) { return (bits >> 8) * (1.f / 16777216.f) >= p; }

// mask[i] for the n numbers that follow on `first` others after the state, which is `given`, or lies in memory where a graph is
// to find a new one in each replay. A thread makes one block, of eight numbers of 32 bits.
// With an x of n numbers, y = x · mask · scale comes of it. One version: what a simple one would do differently, NumPy does.
extern "C" __global__ void dropout_mask(unsigned char* mask, const long long* stored, const float* x, float* y, State given,
                                        long long first, long long n, float p, float scale) {
    State state = given;
    if (stored) {
#pragma unroll
        for (int i = 0; i < 4; i++) state.counter[i] = stored[i];
        state.key[0] = stored[4];
        state.key[1] = stored[5];
        state.used = stored[10];
        state.has = stored[11];
        state.pending = stored[12];
    }
    // Halves of the block in force and of those behind it, counted on: number j of all that follow is half `begin` + j.
    long long begin = 2 * (long long)state.used - (long long)state.has, from = begin + first;
    long long block = (from < 0 ? 0 : from / 8) + blockIdx.x * (long long)blockDim.x + threadIdx.x;
    auto put = [&](long long at, unsigned bits) {
        unsigned char kept = is_kept(bits, p);
        mask[at] = kept;
        if (y) y[at] = x[at] * (kept * scale);  // a NaN that is dropped stays one
    };
    if (blockIdx.x == 0 && threadIdx.x == 0 && state.has && first == 0 && n > 0) put(0, state.pending);
    if (block * 8 >= from + n) return;
    unsigned long long words[4];
    philox(words, state, block);
#pragma unroll
    for (int i = 0; i < 8; i++) {
        long long at = block * 8 + i - from;
        bool pending = state.has && first + at == 0;  // which need not be of this block: 64 bits may have been drawn since
        if (at >= 0 && at < n && !pending) put(at, i % 2 ? words[i / 2] >> 32 : words[i / 2]);
    }
}

// y = x · mask · scale, four numbers a thread; the gradient likewise. One version: one read and one write.
extern "C" __global__ void dropout_applied(const float* x, const unsigned char* mask, float* y, int count, float scale) {
    int first = 4 * (blockIdx.x * blockDim.x + threadIdx.x);
    if (first + 3 < count) {
        float4 four = *(const float4*)(x + first);
        unsigned kept = *(const unsigned*)(mask + first);
        *(float4*)(y + first) = make_float4(four.x * ((kept & 255) * scale), four.y * ((kept >> 8 & 255) * scale),
                                            four.z * ((kept >> 16 & 255) * scale), four.w * ((kept >> 24) * scale));
    } else {
        for (int i = first; i < count; i++) y[i] = x[i] * (mask[i] * scale);
    }
}
