// What a CUDA text needs to be built for the CPU: the words of the language, and the functions that threads share.
#pragma once
#define EMULATOR
#include <math.h>

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline
#define __restrict__
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __shared__ static __attribute__((section("shared_memory")))

struct dim3 {
    unsigned x, y, z;
};
struct __align__(16) float4 {
    float x, y, z, w;
};
struct __align__(8) float2 {
    float x, y;
};
struct __align__(16) uint4 {
    unsigned x, y, z, w;
};
struct __align__(8) uint2 {
    unsigned x, y;
};
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }

extern dim3 threadIdx, blockIdx, blockDim, gridDim;
constexpr int warpSize = 32;

namespace emulator {
[[noreturn]] void fail(const char* what);
void barrier(int line);
float exchanged(float value, unsigned lane);
unsigned cut(unsigned bits);  // what a tensor core sees of a number
void wait_for_copies(int pending);
enum Kind { OF_TF32, OF_BF16, OF_FP16 };  // of a product's factors
void begin_product(float* sums, int columns, unsigned long long a, unsigned long long b, Kind kind);
void finish_products(int pending);

const char* run(void (*call)(void*, void**), void* kernel, const unsigned* grid, const unsigned* block, unsigned shared,
                void** arguments, int order, char* shared_begin, char* shared_end);
}  // namespace emulator

#define __syncthreads() emulator::barrier(__LINE__)

template <class A, class B>
inline A as(B value) {
    A same;
    static_assert(sizeof(A) == sizeof(B), "");
    __builtin_memcpy(&same, &value, sizeof(A));
    return same;
}
inline int __float_as_int(float x) { return as<int>(x); }
inline float __int_as_float(int x) { return as<float>(x); }
inline unsigned __float_as_uint(float x) { return as<unsigned>(x); }
inline float __uint_as_float(unsigned x) { return as<float>(x); }

// The lanes of a warp hand numbers to each other; all 32 of them must come. `__shfl_down_sync` past the end of the warp
// gives a lane its own number, as on a GPU.
inline unsigned its_lane() { return (threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) % 32; }
inline float __shfl_sync(unsigned, float value, int lane) { return emulator::exchanged(value, lane); }
inline float __shfl_xor_sync(unsigned, float value, int mask) { return emulator::exchanged(value, its_lane() ^ mask); }
inline float __shfl_down_sync(unsigned, float value, unsigned by) {
    return emulator::exchanged(value, its_lane() + by < 32 ? its_lane() + by : its_lane());
}
inline float __shfl_up_sync(unsigned, float value, unsigned by) {
    return emulator::exchanged(value, its_lane() >= by ? its_lane() - by : its_lane());
}
inline int __shfl_sync(unsigned all, int value, int lane) {
    return __float_as_int(__shfl_sync(all, __int_as_float(value), lane));
}
inline int __shfl_xor_sync(unsigned all, int value, int mask) {
    return __float_as_int(__shfl_xor_sync(all, __int_as_float(value), mask));
}
inline int __shfl_down_sync(unsigned all, int value, unsigned by) {
    return __float_as_int(__shfl_down_sync(all, __int_as_float(value), by));
}
inline int __shfl_up_sync(unsigned all, int value, unsigned by) {
    return __float_as_int(__shfl_up_sync(all, __int_as_float(value), by));
}
inline void __syncwarp(unsigned = ~0u) { emulator::exchanged(0.f, 0); }

float atomicAdd(float* at, float value);
int atomicAdd(int* at, int value);
int atomicMax(int* at, int value);

inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline unsigned __byte_perm(unsigned low, unsigned high, unsigned which) {  // four of eight bytes, one by each half byte
    unsigned long long both = (unsigned long long)high << 32 | low;
    unsigned result = 0;
    for (int i = 0; i < 4; i++) result |= (unsigned)(both >> (which >> 4 * i & 7) * 8 & 255) << 8 * i;
    return result;
}
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned __int128)a * b >> 64;
}
inline float rsqrtf(float x) { return 1.f / sqrtf(x); }
template <class T> inline T __ldg(const T* at) { return *at; }
template <class T> inline T min(T a, T b) { return b < a ? b : a; }
template <class T> inline T max(T a, T b) { return a < b ? b : a; }
inline void __trap() { emulator::fail("a trap"); }

// ---- tensor cores, asynchronous copies, and shared memory by address: what conv.cu and tensor_cores.cu are made of ----

unsigned to_tf32(float x);  // to nearest, ties away from zero
void mma_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]);
inline void mma_tf32(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {  // cuts what was not rounded
    unsigned left[4], right[2] = {emulator::cut(b0), emulator::cut(b1)};
    for (int i = 0; i < 4; i++) left[i] = emulator::cut(a[i]);
    mma_tf32(d, left, right);
}

unsigned to_fp16(float x);  // its 16 bits; to nearest, ties to even
void mma_bf16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1);
void mma_fp16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1);

void copy16_async(float* shared, const float* global, bool inside);
void copies_commit();
template <int pending> inline void copies_wait() { emulator::wait_for_copies(pending); }

unsigned shared_begin();
void copy16(unsigned to, const void* from, bool inside);
float4 load16(const float* from, bool inside);
uint2 load8(const unsigned short* from, bool inside);
void put16(unsigned to, unsigned a, unsigned b, unsigned c, unsigned d);
void put8(unsigned to, float a, float b);
float2 get8(unsigned from);
void load_matrices(unsigned (&to)[4], unsigned row);
void proxy_fence();
void wgmma_fence();
template <int N> inline void wgmma_tf32(float (&d)[N / 2], unsigned long long a, unsigned long long b) {
    emulator::begin_product(d, N, a, b, emulator::OF_TF32);
}
template <int N> inline void wgmma_bf16(float (&d)[N / 2], unsigned long long a, unsigned long long b) {
    emulator::begin_product(d, N, a, b, emulator::OF_BF16);
}
template <int N> inline void wgmma_fp16(float (&d)[N / 2], unsigned long long a, unsigned long long b) {
    emulator::begin_product(d, N, a, b, emulator::OF_FP16);
}
void wgmma_commit();
template <int pending> inline void wgmma_wait() { emulator::finish_products(pending); }

// ---- how a text of kernels is started: the arguments are addresses of values of the parameters' types ----

namespace emulator {

template <int... I>
struct Numbers {};

#define UNWATCHED __attribute__((no_sanitize("thread"), noinline))

template <class... A, int... I>
UNWATCHED void spread(void (*kernel)(A...), void** arguments, Numbers<I...>) {
    kernel(*static_cast<A*>(arguments[I])...);
}

template <class... A>
UNWATCHED void call(void* kernel, void** arguments) {
    spread((void (*)(A...))kernel, arguments, Numbers<__integer_pack(sizeof...(A))...>{});
}

template <class... A>
const char* start(void (*kernel)(A...), const unsigned* grid, const unsigned* block, unsigned shared, void** arguments,
                  int order, char* shared_begin, char* shared_end) {
    return run(call<A...>, (void*)kernel, grid, block, shared, arguments, order, shared_begin, shared_end);
}

}  // namespace emulator
