// Runs the text of a CUDA kernel on the CPU. Every thread of a block is a fiber; a fiber runs until it must wait for others:
// at __syncthreads for its block, at a shuffle or mma for its warp. Blocks run one after the other.
//
// Stricter than a GPU, so that mistakes show: shared memory starts as NaN in every block; asynchronous copies write NaN at
// once and the numbers only when they are waited for; barriers must be the same for all threads; addresses are checked for
// alignment; the order of the threads can be reversed, or a warp run far ahead; copies must read from the arrays given; tensor cores answer NaN to numbers that were not rounded to TF32.
#define EMULATOR
#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>

#include <functional>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __restrict__
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __shared__ static __attribute__((section("shared_memory")))

extern "C" char __start_shared_memory[] __attribute__((weak)), __stop_shared_memory[] __attribute__((weak));

struct dim3 {
    unsigned x, y, z;
};
struct __align__(16) float4 {
    float x, y, z, w;
};
struct __align__(8) float2 {
    float x, y;
};
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static dim3 threadIdx, blockIdx, blockDim, gridDim;
constexpr int warpSize = 32;

namespace emulator {

struct Copy {
    float* to;
    const float* from;
    bool inside;
    int group;
};

struct Fiber {
    jmp_buf resume;
    ucontext_t context;
    std::vector<char> stack = std::vector<char>(1 << 16);
    std::vector<Copy> copies;
    int committed, barrier, generation;
    bool started, done;
    dim3 index;
};

struct Warp {
    int arrived, generation;
    float deposit[2][32][6];
};

static std::vector<Fiber> fibers;
static std::vector<Warp> warps;
static Fiber* running;
static jmp_buf scheduler;
static ucontext_t scheduler_context;
static std::function<void()> body;
static char failure[400];
static bool failed;

struct Range {
    uintptr_t begin, end;
};
static std::vector<Range> arrays;  // what a kernel may read

inline void yield() {
    if (!_setjmp(running->resume)) _longjmp(scheduler, 1);
}

[[noreturn]] inline void fail(const char* what) {
    if (!failed)
        snprintf(failure, sizeof failure, "block (%u, %u, %u), thread %u: %s", blockIdx.x, blockIdx.y, blockIdx.z,
                 threadIdx.x, what);
    failed = true;
    _longjmp(scheduler, 1);
}

inline void enter() {
    body();
    running->done = true;
    _longjmp(scheduler, 1);
}

inline void run_fiber(Fiber& fiber) {
    running = &fiber;
    threadIdx = fiber.index;
    if (_setjmp(scheduler)) return;
    if (fiber.started) _longjmp(fiber.resume, 1);
    fiber.started = true;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.data();
    fiber.context.uc_stack.ss_size = fiber.stack.size();
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, enter, 0);
    setcontext(&fiber.context);
}

inline void barrier(int line) {
    running->barrier = line;
    while (running->barrier) yield();
}

// Every lane leaves up to six numbers and goes on when the whole warp has.
inline Warp& meet(const float* numbers, int count, int& parity) {
    Warp& warp = warps[threadIdx.x / 32];
    parity = warp.generation & 1;
    memcpy(warp.deposit[parity][threadIdx.x % 32], numbers, count * sizeof(float));
    int generation = warp.generation;
    if (++warp.arrived == 32) {
        warp.arrived = 0;
        warp.generation++;
    } else {
        while (warp.generation == generation) yield();
    }
    return warp;
}

inline void run_block(int order) {
    size_t shared = __stop_shared_memory - __start_shared_memory;
    if (shared) memset(__start_shared_memory, 0xff, shared);
    unsigned count = blockDim.x;
    fibers.resize(count);
    warps.assign((count + 31) / 32, Warp());
    for (unsigned i = 0; i < count; i++) {
        Fiber& fiber = fibers[i];
        fiber.started = fiber.done = false;
        fiber.barrier = fiber.committed = 0;
        fiber.copies.clear();
        fiber.index = {i, 0, 0};
    }
    for (long idle = 0;;) {
        unsigned waiting = 0, done = 0;
        long before = 0, after = 0;
        for (unsigned i = 0; i < count; i++) before += warps[i / 32].arrived + 100 * warps[i / 32].generation;
        for (unsigned first = 0; first < count; first += 32)  // order 2: a warp runs as far as it can before the next one
            for (int round = 0; round < (order == 2 ? 64 : 1); round++)
                for (unsigned i = first; i < first + 32 && i < count; i++) {
                    Fiber& fiber = fibers[order == 1 ? count - 1 - i : i];
                    if (!fiber.done && !fiber.barrier) run_fiber(fiber);
                    if (failed) return;
                }
        for (Fiber& fiber : fibers) {
            waiting += fiber.barrier != 0;
            done += fiber.done;
        }
        if (done == count) return;
        if (waiting == count) {
            for (Fiber& fiber : fibers)
                if (fiber.barrier != fibers[0].barrier) fail("threads wait at different barriers");
            for (Fiber& fiber : fibers) fiber.barrier = 0;
            idle = 0;
            continue;
        }
        for (unsigned i = 0; i < count; i++) after += warps[i / 32].arrived + 100 * warps[i / 32].generation;
        idle = before == after ? idle + 1 : 0;
        if (idle > 4) {
            running = &fibers[0];
            threadIdx = running->index;
            snprintf(failure, sizeof failure, "threads wait for others that do not come: %u at a barrier, %u have ended",
                     waiting, done);
            failed = true;
            return;
        }
    }
}

template <class... A, size_t... I>
void call(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_reference_t<A>*>(arguments[I])...);
}

template <class... A>
std::function<void(void**)> launcher(void (*kernel)(A...)) {
    return [=](void** arguments) { call(kernel, arguments, std::index_sequence_for<A...>{}); };
}

inline const char* run(const std::function<void(void**)>& kernel, const unsigned* grid, unsigned threads, void** arguments,
                       int order) {
    failed = false;
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {threads, 1, 1};
    body = [&] { kernel(arguments); };
    for (blockIdx.z = 0; blockIdx.z < grid[2]; blockIdx.z++)
        for (blockIdx.y = 0; blockIdx.y < grid[1]; blockIdx.y++)
            for (blockIdx.x = 0; blockIdx.x < grid[0]; blockIdx.x++) {
                run_block(order);
                if (failed) return failure;
            }
    return nullptr;
}

}  // namespace emulator

#define __syncthreads() emulator::barrier(__LINE__)

inline float exchanged(float value, unsigned source) {
    int parity;
    auto& warp = emulator::meet(&value, 1, parity);
    return warp.deposit[parity][source % 32][0];
}
inline float __shfl_xor_sync(unsigned, float value, int mask) { return exchanged(value, threadIdx.x % 32 ^ mask); }
inline float __shfl_sync(unsigned, float value, int lane) { return exchanged(value, lane); }

inline unsigned to_tf32(float x) {  // to nearest, ties away from zero
    uint32_t bits;
    memcpy(&bits, &x, 4);
    if ((bits & 0x7f800000) != 0x7f800000) bits = (bits + 0x1000) & 0xffffe000;
    return bits;
}

inline float from_tf32(float bits) {
    uint32_t u;
    memcpy(&u, &bits, 4);
    return u & 0x1fff && (u & 0x7f800000) != 0x7f800000 ? NAN : bits;
}

inline void mma_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    float numbers[6];
    memcpy(numbers, a, 16);
    memcpy(numbers + 4, b, 8);
    int parity;
    auto& warp = emulator::meet(numbers, 6, parity);
    auto& all = warp.deposit[parity];
    int group = threadIdx.x % 32 / 4, lane = threadIdx.x % 4;
    for (int i = 0; i < 4; i++) {
        int row = group + i / 2 * 8, column = lane * 2 + i % 2;
        for (int k = 0; k < 8; k++)
            d[i] += from_tf32(all[row % 8 * 4 + k % 4][row / 8 + k / 4 * 2]) * from_tf32(all[column * 4 + k % 4][4 + k / 4]);
    }
}

inline void copy16_async(float* shared, const float* global, bool inside) {
    if ((uintptr_t)shared % 16 || (uintptr_t)global % 16) emulator::fail("a copy of 16 bytes at an address that is no multiple of 16");
    if (inside) {
        bool known = false;
        for (auto& array : emulator::arrays)
            known |= (uintptr_t)global >= array.begin && (uintptr_t)global + 16 <= array.end;
        if (!known) emulator::fail("a copy reads outside of all arrays");
    }
    memset(shared, 0xff, 16);
    emulator::running->copies.push_back({shared, global, inside, emulator::running->committed});
}

inline void copies_commit() { emulator::running->committed++; }

template <int pending>
inline void copies_wait() {
    auto& fiber = *emulator::running;
    auto kept = fiber.copies;
    kept.clear();
    for (auto& copy : fiber.copies)
        if (copy.group >= fiber.committed - pending) kept.push_back(copy);
        else if (copy.inside) memcpy(copy.to, copy.from, 16);
        else memset(copy.to, 0, 16);
    fiber.copies = kept;
}

inline int __float_as_int(float x) { int i; memcpy(&i, &x, 4); return i; }
inline float __int_as_float(int i) { float x; memcpy(&x, &i, 4); return x; }
inline unsigned __float_as_uint(float x) { unsigned i; memcpy(&i, &x, 4); return i; }
inline void __trap() { emulator::fail("a trap"); }
template <class T> inline T min(T a, T b) { return b < a ? b : a; }
template <class T> inline T max(T a, T b) { return a < b ? b : a; }
