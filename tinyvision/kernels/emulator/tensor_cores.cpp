// What only kernels for tensor cores need: asynchronous copies, shared memory by address, and products of whole warps.
//
// Stricter than a GPU: asynchronous copies write NaN at once and the numbers only when they are waited for; copies must
// read from the arrays given; addresses are checked for alignment; mma answers NaN to numbers that were not rounded to TF32.
//
// Shared memory that a launch asks for is an address space of its own, in which every chunk of 16 bytes knows who wrote it,
// how often, and whether that writer has fenced it for wgmma. A wgmma reads its tiles when it is *waited for*, and fails if one of
// their chunks was written in the meantime; until then its sums are NaN. Eight lanes that meet in one bank are a failure as well.
#include "machine.h"

#include <string.h>

#include <map>
#include <vector>

namespace emulator {

struct Copy {
    void* to;
    const void* from;
    bool inside;
    int group;
};

// A product of a warpgroup that is under way, as one of its threads sees it.
struct Product {
    float* sums;
    int columns;
    uint64_t a, b;
    Kind kind;
    int group;
    std::vector<unsigned> written;  // how often each chunk that it reads had been written when it began
};

// What a thread has under way.
struct Work {
    std::vector<Copy> copies;
    std::vector<Product> products;
    std::map<float*, std::vector<float>> sums;  // what the products under way add to
    int copies_committed = 0, products_committed = 0;
    bool fenced = false;  // since the last wait for products
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
static std::vector<Work> works;

static Work& work() { return works[thread()]; }
static unsigned asked() { return asked_shared.end - asked_shared.begin; }

static void begin_block() {
    works.assign(threads, Work());
    if (!asked()) return;
    memset(space, 0xff, BEGIN + asked() + 1024);
    chunks.assign(sizeof space / 16, Chunk{0, -1, false});
}

static void end_thread() {
    if (!work().products.empty()) fail("the thread ends while a product is under way");
}

__attribute__((constructor)) static void introduce() {
    tensor_cores_begin_block = begin_block;
    tensor_cores_end_thread = end_thread;
    asked_shared = {(uintptr_t)space + BEGIN, (uintptr_t)space + BEGIN, 1, 0};
}

// The memory behind an address in the shared memory that the launch asked for.
static unsigned char* at_shared(unsigned address, unsigned bytes) {
    if (address % bytes) fail("an address in shared memory that is no multiple of what is moved");
    if (address < BEGIN || address + bytes > BEGIN + asked()) fail("outside of the shared memory that the launch asked for");
    return space + address;
}

// What a kernel may read at once.
static void known(const void* from, unsigned bytes) {
    if ((uintptr_t)from % bytes) fail("a copy from an address that is no multiple of its bytes");
    for (int i = 0; i < array_count; i++)
        if ((uintptr_t)from >= arrays[i].begin && (uintptr_t)from + bytes <= arrays[i].end) return;
    fail("a copy reads outside of all arrays");
}

static void written(const void* place) {
    if (place < space || place >= space + sizeof space) return;  // of the other kind of shared memory
    Chunk& chunk = chunks[((const unsigned char*)place - space) / 16];
    chunk = {chunk.times + 1, (int)thread(), false};
}

// Every lane leaves an address; each eight of them must lie in different banks of 16 bytes. Returns all 32 addresses.
static float (*differ_in_banks(unsigned address))[6] {
    float bits = as<float>(address);
    float(*all)[6] = warps[thread() / 32].deposit[meet(&bits, 1)];
    unsigned banks = 0;
    for (int lane = 0; lane < 8; lane++) banks |= 1 << (as<unsigned>(all[thread() % 32 / 8 * 8 + lane][0]) / 16 & 7);
    if (banks != 255) fail("eight lanes meet in one bank of shared memory");
    return all;
}

// Where a tile that is swizzled by 128 bytes keeps byte `byte` of a row.
static unsigned in_tile(uint64_t descriptor, int row, int byte) {
    unsigned linear = ((descriptor & 0x3fff) << 4) + row / 8 * ((descriptor >> 32 & 0x3fff) << 4) + row % 8 * 128 + byte;
    return linear ^ (linear >> 7 & 7) << 4;
}

// The chunks that this thread's sums need: of two rows of a, and of every row of b that meets them.
template <class Visit>
static void chunks_of(const Product& product, Visit visit) {
    for (int half = 0; half < 2; half++)
        for (int byte = 0; byte < 32; byte += 16)
            visit(in_tile(product.a, thread() % 128 / 32 * 16 + half * 8 + thread() % 32 / 4, byte));
    for (int column = 0; column < product.columns; column++)
        if (column % 8 / 2 == (int)thread() % 4)
            for (int byte = 0; byte < 32; byte += 16) visit(in_tile(product.b, column, byte));
}

void begin_product(float* sums, int columns, unsigned long long a, unsigned long long b, Kind kind) {
    Work& mine = work();
    if (!mine.fenced) fail("a product begins before wgmma_fence");
    for (uint64_t tile : {a, b})
        if (tile >> 62 != 1 || (tile >> 32 & 0x3fff) != 64 || (tile & 0x3fff) >> 3 & 7 || tile >> 49 & 7)
            fail("a descriptor of no tile of rows of 128 bytes, swizzled, that begins at a multiple of 1024 bytes");
    Product product = {sums, columns, a, b, kind, mine.products_committed, {}};
    chunks_of(product, [&](unsigned address) {
        at_shared(address, 16);
        const Chunk& chunk = chunks[address / 16];
        if (chunk.writer >= 0 && !chunk.fenced) fail("wgmma reads what its writer has not fenced");
        product.written.push_back(chunk.times);
    });
    if (!mine.sums.count(sums)) {
        mine.sums[sums].assign(sums, sums + columns / 2);
        for (int i = 0; i < columns / 2; i++) sums[i] = NAN;
    }
    mine.products.push_back(product);
}

unsigned cut(unsigned bits) { return (bits & 0x7f800000) == 0x7f800000 ? bits : bits & ~0x1fffu; }

static float from_half(unsigned bits, Kind kind) {
    if (kind == OF_BF16) return as<float>(bits << 16);
    uint32_t sign = (bits & 0x8000) << 16, size = bits & 0x7fff;
    float x = size >= 0x7c00  ? as<float>(0x7f800000 | (size & 0x3ff) << 13)
              : size >= 0x400 ? as<float>((size << 13) + 0x38000000)
                              : size / 16777216.f;
    return as<float>(as<uint32_t>(x) | sign);
}

static float number(uint64_t tile, int row, int k, Kind kind) {
    uint32_t bits = 0;
    unsigned bytes = kind == OF_TF32 ? 4 : 2;
    memcpy(&bits, space + in_tile(tile, row, k * bytes), bytes);
    return kind == OF_TF32 ? as<float>(cut(bits)) : from_half(bits, kind);
}

// Adds a product to this thread's sums, from what lies in its tiles now.
static void add(const Product& product) {
    size_t next = 0;
    chunks_of(product, [&](unsigned address) {
        if (chunks[address / 16].times != product.written[next++]) fail("a tile was overwritten while wgmma read it");
    });
    auto& sums = work().sums[product.sums];
    for (int i = 0; i < product.columns / 2; i++) {
        int row = thread() % 128 / 32 * 16 + i / 2 % 2 * 8 + thread() % 32 / 4;
        int column = i / 4 * 8 + thread() % 4 * 2 + i % 2;
        for (int k = 0; k < (product.kind == OF_TF32 ? 8 : 16); k++)
            sums[i] += number(product.a, row, k, product.kind) * number(product.b, column, k, product.kind);
    }
}

// All products but those of the last `pending` groups are computed.
void finish_products(int pending) {
    Work& mine = work();
    mine.fenced = false;
    std::vector<Product> kept;
    for (Product& product : mine.products) {
        if (product.group >= mine.products_committed - pending) kept.push_back(product);
        else add(product);
    }
    mine.products = kept;
    for (auto found = mine.sums.begin(); found != mine.sums.end();) {
        bool busy = false;
        for (auto& product : kept) busy |= product.sums == found->first;
        if (!busy) {
            memcpy(found->first, found->second.data(), found->second.size() * sizeof(float));
            found = mine.sums.erase(found);
        } else {
            ++found;
        }
    }
}

void wait_for_copies(int pending) {
    std::vector<Copy> kept;
    for (auto& copy : work().copies)
        if (copy.group >= work().copies_committed - pending) {
            kept.push_back(copy);
        } else {
            if (copy.inside) memcpy(copy.to, copy.from, 16);
            else memset(copy.to, 0, 16);
            written(copy.to);
            if (watching()) touch(copy.to, 16, WRITE, __builtin_return_address(0));
        }
    work().copies = kept;
}

static float from_tf32(float bits) {
    uint32_t u = as<uint32_t>(bits);
    return u & 0x1fff && (u & 0x7f800000) != 0x7f800000 ? NAN : bits;
}

}  // namespace emulator

using namespace emulator;

unsigned to_fp16(float x) {
    uint32_t bits = as<uint32_t>(x), sign = bits >> 16 & 0x8000, size = bits & 0x7fffffff;
    if (size > 0x7f800000) return 0x7fff;
    if (size >= 0x477ff000) return sign | 0x7c00;                                             // infinite, or becomes so
    if (size < 0x38800000) return sign | (unsigned)nearbyintf(as<float>(size) * 16777216.f);  // a multiple of 2⁻²⁴
    return sign | (size + 0xfff + (size >> 13 & 1) - 0x38000000) >> 13;
}

unsigned to_tf32(float x) {
    uint32_t bits = as<uint32_t>(x);
    if ((bits & 0x7f800000) != 0x7f800000) bits = (bits + 0x1000) & 0xffffe000;
    return bits;
}

void mma_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    float numbers[6];
    memcpy(numbers, a, 16);
    memcpy(numbers + 4, b, 8);
    auto& all = warps[thread() / 32].deposit[meet(numbers, 6)];
    int group = thread() % 32 / 4, lane = thread() % 4;
    for (int i = 0; i < 4; i++) {
        int row = group + i / 2 * 8, column = lane * 2 + i % 2;
        for (int k = 0; k < 8; k++)
            d[i] += from_tf32(all[row % 8 * 4 + k % 4][row / 8 + k / 4 * 2]) * from_tf32(all[column * 4 + k % 4][4 + k / 4]);
    }
}

// Numbers of 16 bits lie two by two: k = 2i and 2i + 1 where TF32 has k = i.
static void mma_half(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, Kind kind) {
    float numbers[6];
    unsigned b[2] = {b0, b1};
    memcpy(numbers, a, 16);
    memcpy(numbers + 4, b, 8);
    auto& all = warps[thread() / 32].deposit[meet(numbers, 6)];
    int group = thread() % 32 / 4, lane = thread() % 4;
    auto half = [&](float pair, int k) { return from_half(as<uint32_t>(pair) >> k % 2 * 16 & 0xffff, kind); };
    for (int i = 0; i < 4; i++) {
        int row = group + i / 2 * 8, column = lane * 2 + i % 2;
        for (int k = 0; k < 16; k++)
            d[i] += half(all[row % 8 * 4 + k % 8 / 2][row / 8 + k / 8 * 2], k) * half(all[column * 4 + k % 8 / 2][4 + k / 8], k);
    }
}

void mma_bf16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) { mma_half(d, a, b0, b1, OF_BF16); }

void mma_fp16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) { mma_half(d, a, b0, b1, OF_FP16); }

static void copy(void* shared, const void* global, bool inside) {
    if ((uintptr_t)shared % 16) fail("a copy of 16 bytes to an address that is no multiple of 16");
    if (inside) known(global, 16);
    memset(shared, 0xff, 16);
    written(shared);
    work().copies.push_back({shared, global, inside, work().copies_committed});
}

void copy16_async(float* shared, const float* global, bool inside) { copy(shared, global, inside); }

void copies_commit() { work().copies_committed++; }

unsigned shared_begin() { return BEGIN; }

void copy16(unsigned to, const void* from, bool inside) { copy(at_shared(to, 16), from, inside); }

float4 load16(const float* from, bool inside) {
    if (!inside) return {0.f, 0.f, 0.f, 0.f};
    known(from, 16);
    return *(const float4*)from;
}

uint2 load8(const unsigned short* from, bool inside) {
    if (!inside) return {0, 0};
    known(from, 8);
    return *(const uint2*)from;
}

void put16(unsigned to, unsigned a, unsigned b, unsigned c, unsigned d) {
    unsigned numbers[4] = {a, b, c, d};
    unsigned char* place = at_shared(to, 16);
    differ_in_banks(to);
    memcpy(place, numbers, 16);
    written(place);
}

void put8(unsigned to, float a, float b) {
    float numbers[2] = {a, b};
    unsigned char* place = at_shared(to, 8);
    memcpy(place, numbers, 8);
    written(place);
}

float2 get8(unsigned from) {
    float2 numbers;
    memcpy(&numbers, at_shared(from, 8), 8);
    return numbers;
}

void load_matrices(unsigned (&to)[4], unsigned row) {
    at_shared(row, 16);
    auto* all = differ_in_banks(row);
    for (int matrix = 0; matrix < 4; matrix++) {
        unsigned from = as<unsigned>(all[matrix * 8 + thread() % 32 / 4][0]);
        memcpy(&to[matrix], space + from + thread() % 4 * 4, 4);
    }
}

void proxy_fence() {
    for (unsigned i = 0; i < (BEGIN + asked()) / 16; i++)
        if (chunks[i].writer == (int)thread()) chunks[i].fenced = true;
}

void wgmma_fence() { work().fenced = true; }

void wgmma_commit() { work().products_committed++; }
