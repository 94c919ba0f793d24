// Runs the text of a CUDA kernel on the CPU. Every thread of a block is a fiber; a fiber runs until it must wait for others:
// at __syncthreads for its block, at a shuffle or mma for its warp. Blocks run one after the other.
//
// Stricter than a GPU, so that mistakes show: shared memory starts as NaN in every block; asynchronous copies write NaN at
// once and the numbers only when they are waited for; barriers must be the same for all threads; addresses are checked for
// alignment; the order of the threads can be reversed, or a warp run far ahead; copies must read from the arrays given; tensor
// cores answer NaN to numbers that were not rounded to TF32.
//
// Shared memory that a launch asks for is an address space of its own, in which every chunk of 16 bytes knows who wrote it,
// how often, and whether that writer has fenced it for wgmma. A wgmma reads its tiles when it is *waited for*, and fails if one of
// their chunks was written in the meantime; until then its sums are NaN. Eight lanes that meet in one bank are a failure as well.
#define EMULATOR
#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>

#include <functional>
#include <map>
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
inline float2 make_float2(float x, float y) { return {x, y}; }
static dim3 threadIdx, blockIdx, blockDim, gridDim;
constexpr int warpSize = 32;

namespace emulator {

struct Copy {
    float* to;
    const float* from;
    bool inside;
    int group;
};

// A product of a warpgroup that is under way, as one of its threads sees it.
struct Product {
    float* sums;
    int columns;
    uint64_t a, b;
    int group;
    std::vector<unsigned> written;  // how often each chunk that it reads had been written when it began
};

struct Fiber {
    jmp_buf resume;
    ucontext_t context;
    std::vector<char> stack = std::vector<char>(1 << 16);
    std::vector<Copy> copies;
    std::vector<Product> products;
    std::map<float*, std::vector<float>> sums;  // what the products under way add to
    int products_committed;
    bool fenced;  // since the last wait for products
    int committed, barrier, generation;
    bool started, done;
    dim3 index;
};

struct Warp {
    int arrived, generation;
    float deposit[2][32][6];
};

// A chunk of the shared memory that the launch asked for.
struct Chunk {
    unsigned times;  // it was written so often
    int writer;      // by this thread last
    bool fenced;     // and that thread has since let wgmma see it
};

constexpr unsigned LARGEST = 227 << 10, BEGIN = 16;  // bytes a block may ask for; where they begin: at no round address
alignas(1024) static unsigned char space[BEGIN + LARGEST + 1024];
static std::vector<Chunk> chunks;
static unsigned asked;  // bytes

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
    if (!running->products.empty()) fail("the thread ends while a product is under way");
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
    memset(space, 0xff, sizeof space);
    chunks.assign(sizeof space / 16, Chunk{0, -1, false});
    unsigned count = blockDim.x;
    fibers.resize(count);
    warps.assign((count + 31) / 32, Warp());
    for (unsigned i = 0; i < count; i++) {
        Fiber& fiber = fibers[i];
        fiber.started = fiber.done = false;
        fiber.barrier = fiber.committed = fiber.products_committed = 0;
        fiber.fenced = false;
        fiber.copies.clear();
        fiber.products.clear();
        fiber.sums.clear();
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

inline const char* run(const std::function<void(void**)>& kernel, const unsigned* grid, unsigned threads, unsigned shared,
                       void** arguments, int order) {
    if (shared > LARGEST) return "no GPU has that much shared memory";
    failed = false;
    asked = shared;
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

namespace emulator {

// The memory behind an address in the shared memory that the launch asked for.
inline unsigned char* at_shared(unsigned address, unsigned bytes) {
    if (address % bytes) fail("an address in shared memory that is no multiple of what is moved");
    if (address < BEGIN || address + bytes > BEGIN + asked) fail("outside of the shared memory that the launch asked for");
    return space + address;
}

// Four numbers that a kernel may read at once.
inline void known(const float* from) {
    if ((uintptr_t)from % 16) fail("a copy of 16 bytes from an address that is no multiple of 16");
    for (auto& array : arrays)
        if ((uintptr_t)from >= array.begin && (uintptr_t)from + 16 <= array.end) return;
    fail("a copy reads outside of all arrays");
}

inline void written(const void* place) {
    if (place < space || place >= space + sizeof space) return;  // of the other kind of shared memory
    Chunk& chunk = chunks[((const unsigned char*)place - space) / 16];
    chunk = {chunk.times + 1, (int)threadIdx.x, false};
}

// Every lane leaves an address; each eight of them must lie in different banks of 16 bytes.
inline Warp& differ_in_banks(unsigned address) {
    float bits;
    memcpy(&bits, &address, 4);
    int parity;
    Warp& warp = meet(&bits, 1, parity);
    unsigned banks = 0;
    for (int lane = 0; lane < 8; lane++) {
        unsigned other;
        memcpy(&other, &warp.deposit[parity][threadIdx.x % 32 / 8 * 8 + lane][0], 4);
        banks |= 1 << (other / 16 & 7);
    }
    if (banks != 255) fail("eight lanes meet in one bank of shared memory");
    return warp;
}

// Where a tile that is swizzled by 128 bytes keeps byte `byte` of a row.
inline unsigned in_tile(uint64_t descriptor, int row, int byte) {
    unsigned linear = ((descriptor & 0x3fff) << 4) + row / 8 * ((descriptor >> 32 & 0x3fff) << 4) + row % 8 * 128 + byte;
    return linear ^ (linear >> 7 & 7) << 4;
}

// The chunks that this thread's sums need: of two rows of a, and of every row of b that meets them.
template <class Visit>
inline void chunks_of(const Product& product, Visit visit) {
    for (int half = 0; half < 2; half++)
        for (int byte = 0; byte < 32; byte += 16)
            visit(in_tile(product.a, threadIdx.x % 128 / 32 * 16 + half * 8 + threadIdx.x % 32 / 4, byte));
    for (int column = 0; column < product.columns; column++)
        if (column % 8 / 2 == (int)threadIdx.x % 4)
            for (int byte = 0; byte < 32; byte += 16) visit(in_tile(product.b, column, byte));
}

inline void begin_product(float* sums, int columns, uint64_t a, uint64_t b) {
    Fiber& fiber = *running;
    if (!fiber.fenced) fail("a product begins before wgmma_fence");
    for (uint64_t tile : {a, b})
        if (tile >> 62 != 1 || (tile >> 32 & 0x3fff) != 64 || (tile & 0x3fff) >> 3 & 7 || tile >> 49 & 7)
            fail("a descriptor of no tile of rows of 128 bytes, swizzled, that begins at a multiple of 1024 bytes");
    Product product = {sums, columns, a, b, fiber.products_committed, {}};
    chunks_of(product, [&](unsigned address) {
        at_shared(address, 16);
        const Chunk& chunk = chunks[address / 16];
        if (chunk.writer >= 0 && !chunk.fenced) fail("wgmma reads what its writer has not fenced");
        product.written.push_back(chunk.times);
    });
    if (!fiber.sums.count(sums)) {
        fiber.sums[sums].assign(sums, sums + columns / 2);
        for (int i = 0; i < columns / 2; i++) sums[i] = NAN;
    }
    fiber.products.push_back(product);
}

// What a tensor core sees of a number.
inline unsigned cut(unsigned bits) { return (bits & 0x7f800000) == 0x7f800000 ? bits : bits & ~0x1fffu; }

inline float number(uint64_t tile, int row, int k) {
    uint32_t bits;
    memcpy(&bits, space + in_tile(tile, row, k * 4), 4);
    bits = cut(bits);
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

// All products but those of the last `pending` groups are computed, from what lies in their tiles now.
inline void finish_products(int pending) {
    Fiber& fiber = *running;
    fiber.fenced = false;
    std::vector<Product> kept;
    for (Product& product : fiber.products) {
        if (product.group >= fiber.products_committed - pending) {
            kept.push_back(product);
            continue;
        }
        size_t next = 0;
        chunks_of(product, [&](unsigned address) {
            if (chunks[address / 16].times != product.written[next++]) fail("a tile was overwritten while wgmma read it");
        });
        auto& sums = fiber.sums[product.sums];
        for (int i = 0; i < product.columns / 2; i++) {
            int row = threadIdx.x % 128 / 32 * 16 + i / 2 % 2 * 8 + threadIdx.x % 32 / 4;
            int column = i / 4 * 8 + threadIdx.x % 4 * 2 + i % 2;
            for (int k = 0; k < 8; k++) sums[i] += number(product.a, row, k) * number(product.b, column, k);
        }
    }
    fiber.products = kept;
    for (auto found = fiber.sums.begin(); found != fiber.sums.end();) {
        bool busy = false;
        for (auto& product : kept) busy |= product.sums == found->first;
        if (!busy) {
            memcpy(found->first, found->second.data(), found->second.size() * sizeof(float));
            found = fiber.sums.erase(found);
        } else {
            ++found;
        }
    }
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
inline int __shfl_sync(unsigned, int value, int lane) {
    float bits;
    memcpy(&bits, &value, 4);
    bits = exchanged(bits, lane);
    memcpy(&value, &bits, 4);
    return value;
}

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
    if ((uintptr_t)shared % 16) emulator::fail("a copy of 16 bytes to an address that is no multiple of 16");
    if (inside) emulator::known(global);
    memset(shared, 0xff, 16);
    emulator::written(shared);
    emulator::running->copies.push_back({shared, global, inside, emulator::running->committed});
}

inline void copies_commit() { emulator::running->committed++; }

template <int pending>
inline void copies_wait() {
    auto& fiber = *emulator::running;
    auto kept = fiber.copies;
    kept.clear();
    for (auto& copy : fiber.copies)
        if (copy.group >= fiber.committed - pending) {
            kept.push_back(copy);
        } else {
            if (copy.inside) memcpy(copy.to, copy.from, 16);
            else memset(copy.to, 0, 16);
            emulator::written(copy.to);
        }
    fiber.copies = kept;
}

// ---- shared memory by address, matrices of it, and wgmma ----

inline unsigned shared_begin() { return emulator::BEGIN; }

inline void copy16(unsigned to, const float* from, bool inside) {
    copy16_async((float*)emulator::at_shared(to, 16), from, inside);
}

inline float4 load16(const float* from, bool inside) {
    if (!inside) return {0.f, 0.f, 0.f, 0.f};
    emulator::known(from);
    return *(const float4*)from;
}

inline void put16(unsigned to, float a, float b, float c, float d) {
    float numbers[4] = {a, b, c, d};
    unsigned char* place = emulator::at_shared(to, 16);
    emulator::differ_in_banks(to);
    memcpy(place, numbers, 16);
    emulator::written(place);
}

inline void load_matrices(unsigned (&to)[4], unsigned row) {
    emulator::at_shared(row, 16);
    auto& warp = emulator::differ_in_banks(row);
    for (int matrix = 0; matrix < 4; matrix++) {
        unsigned from;
        memcpy(&from, &warp.deposit[warp.generation & 1 ^ 1][matrix * 8 + threadIdx.x % 32 / 4][0], 4);
        memcpy(&to[matrix], emulator::space + from + threadIdx.x % 4 * 4, 4);
    }
}

inline void mma_tf32(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {  // cuts what was not rounded
    unsigned left[4], right[2] = {emulator::cut(b0), emulator::cut(b1)};
    for (int i = 0; i < 4; i++) left[i] = emulator::cut(a[i]);
    mma_tf32(d, left, right);
}

inline void proxy_fence() {
    for (unsigned i = 0; i < (emulator::BEGIN + emulator::asked) / 16; i++)
        if (emulator::chunks[i].writer == (int)threadIdx.x) emulator::chunks[i].fenced = true;
}

inline void wgmma_fence() { emulator::running->fenced = true; }

template <int N>
inline void wgmma_tf32(float (&d)[N / 2], unsigned long long a, unsigned long long b) {
    emulator::begin_product(d, N, a, b);
}

inline void wgmma_commit() { emulator::running->products_committed++; }

template <int pending>
inline void wgmma_wait() {
    emulator::finish_products(pending);
}

inline int __float_as_int(float x) { int i; memcpy(&i, &x, 4); return i; }
inline float __int_as_float(int i) { float x; memcpy(&x, &i, 4); return x; }
inline unsigned __float_as_uint(float x) { unsigned i; memcpy(&i, &x, 4); return i; }
inline float __uint_as_float(unsigned i) { float x; memcpy(&x, &i, 4); return x; }
inline void __trap() { emulator::fail("a trap"); }
template <class T> inline T min(T a, T b) { return b < a ? b : a; }
template <class T> inline T max(T a, T b) { return a < b ? b : a; }
