// Sees every access of a watched text to memory: g++ calls a function at each of them, as it does for a tool that looks
// for races between the threads of a program. Each number of the arrays and each byte of shared memory remembers who
// wrote it and who read it last. Two accesses race when one of them writes and nothing puts them in an order: within a
// block, a barrier; within a warp, a meeting of its lanes; between blocks, nothing does.
#include <stdlib.h>
#include <string.h>

#include "machine.h"

namespace emulator {

// `reader` and `other` are two threads that have read since the last order, or one.
struct Cell {
    Stamp writer, reader, other;
    bool written, atomic, read, read_by_others;
};

static Cell** cells_of_arrays;
static int arrays_with_cells;
static Cell *cells_of_static, *cells_of_asked;

constexpr uintptr_t NEAR = 1 << 20;  // bytes from an array within which an address is still told as one of its numbers

static Cell* cleared(Cell* cells, const Range& range, bool written) {
    size_t count = (range.end - range.begin) / range.item;
    free(cells);
    cells = (Cell*)calloc(count + 1, sizeof(Cell));
    if (written)
        for (size_t i = 0; i < count; i++) cells[i].written = true;
    return cells;
}

static Cell* read_too_early;  // the first that was read and not written: who writes it?

static bool used;  // since the last launch: what nobody watches costs nothing

static void prepare_arrays() {
    for (int i = 0; i < arrays_with_cells; i++) free(cells_of_arrays[i]);
    arrays_with_cells = array_count;
    cells_of_arrays = (Cell**)realloc(cells_of_arrays, (array_count + 1) * sizeof(Cell*));
    for (int i = 0; i < array_count; i++) cells_of_arrays[i] = cleared(nullptr, arrays[i], arrays[i].written);
}

static bool prepared_block;

bool watching() { return used; }
void watch_launch() { used = false, read_too_early = nullptr; }
void watch_block() { prepared_block = false; }

static void prepare() {
    if (!used) prepare_arrays();
    used = true;
    if (prepared_block) return;
    prepared_block = true;
    cells_of_static = cleared(cells_of_static, static_shared, false);
    cells_of_asked = cleared(cells_of_asked, asked_shared, false);
}

static Failure seen_at(const char* kind, int array, long number, int bytes, Access access, void* pc) {
    Failure seen = {};
    strcpy(seen.kind, kind);
    seen.array = array;
    seen.number = number;
    seen.bytes = bytes;
    seen.writes = access != READ;
    seen.pc = pc;
    return seen;
}

static bool ordered(const Stamp& before) {
    if (before.block != block) return false;
    if (before.thread == thread() || before.epoch != epoch) return true;
    return before.thread / 32 == thread() / 32 && before.meetings < (unsigned)running->warp_meetings;
}

static void race(Failure seen, const Stamp& before, bool wrote) {
    strcpy(seen.kind, "race");
    seen.other_thread = before.thread;
    seen.other_block = before.block;
    seen.other_pc = before.pc;
    seen.wrote = wrote;
    fail_as(seen);
}

static void look(Cell& cell, Access access, const Failure& seen) {
    if (access != WRITE && !cell.written) {
        Failure unwritten = seen;
        strcpy(unwritten.kind, "unwritten");
        if (!read_too_early) read_too_early = &cell;
        fail_as(unwritten);
    }
    bool had_writer = cell.writer.pc != nullptr, both_atomic = cell.atomic && access == ATOMIC;
    if (had_writer && !both_atomic && !ordered(cell.writer)) race(seen, cell.writer, true);
    Stamp now = {thread(), epoch, (unsigned)running->warp_meetings, block, seen.pc};
    if (access == READ) {
        if (!cell.read || cell.reader.thread == now.thread || ordered(cell.reader)) cell.reader = now;
        else cell.other = now, cell.read_by_others = true;
        cell.read = true;
        return;
    }
    if (&cell == read_too_early) written_later(now);
    if (cell.read && !ordered(cell.reader)) race(seen, cell.reader, false);
    if (cell.read_by_others && !ordered(cell.other)) race(seen, cell.other, false);
    cell.read = cell.read_by_others = false;
    cell.writer = now;
    cell.written = true;
    cell.atomic = access == ATOMIC;
}

static bool inside(uintptr_t at, int bytes, const Range& range) { return at >= range.begin && at + bytes <= range.end; }

static bool of_the_thread_alone(uintptr_t at) {
    if (at >= (uintptr_t)running->stack && at < (uintptr_t)running->stack + STACK) return true;
    dim3* known[] = {&threadIdx, &blockIdx, &blockDim, &gridDim};
    for (dim3* one : known)
        if (at >= (uintptr_t)one && at < (uintptr_t)(one + 1)) return true;
    return false;
}

// An address that nobody may use: as a number of the nearest array, if one is near.
[[noreturn]] static void outside(uintptr_t at, int bytes, Access access, void* pc) {
    int nearest = ELSEWHERE;
    uintptr_t least = NEAR;
    for (int i = 0; i < array_count; i++) {
        uintptr_t away = at < arrays[i].begin ? arrays[i].begin - at : at - arrays[i].end;
        if (away < least) least = away, nearest = i;
    }
    long number = at;
    if (nearest >= 0) {
        long away = (long)(at - arrays[nearest].begin), item = arrays[nearest].item;
        number = away >= 0 ? away / item : -((-away + item - 1) / item);
    } else if (at + NEAR > static_shared.begin && at < static_shared.end + NEAR && static_shared.begin) {
        nearest = STATIC;
        number = (long)(at - static_shared.begin);
    }
    fail_as(seen_at("outside", nearest, number, bytes, access, pc));
}

void touch(const void* place, int bytes, Access access, void* pc) {
    uintptr_t at = (uintptr_t)place;
    if (!running) return;
    prepare();
    if (of_the_thread_alone(at)) return;
    for (int i = 0; i < array_count; i++)
        if (inside(at, bytes, arrays[i])) {
            long first = (at - arrays[i].begin) / arrays[i].item;
            if (at % bytes) fail_as(seen_at("unaligned", i, first, bytes, access, pc));
            for (long n = first; n < first + (bytes + arrays[i].item - 1) / arrays[i].item; n++)
                look(cells_of_arrays[i][n], access, seen_at("", i, n, bytes, access, pc));
            return;
        }
    bool asked = inside(at, bytes, asked_shared);
    if (!asked && !inside(at, bytes, static_shared)) outside(at, bytes, access, pc);
    long first = at - (asked ? asked_shared : static_shared).begin;
    if (at % bytes) fail_as(seen_at("unaligned", asked ? ASKED : STATIC, first, bytes, access, pc));
    for (long n = first; n < first + bytes; n++)
        look((asked ? cells_of_asked : cells_of_static)[n],
             access, seen_at("", asked ? ASKED : STATIC, n, bytes, access, pc));
}

}  // namespace emulator

using namespace emulator;

#define HERE __builtin_return_address(0)

float atomicAdd(float* at, float value) {
    touch(at, 4, ATOMIC, HERE);
    float before = *at;
    *at = before + value;
    return before;
}

int atomicAdd(int* at, int value) {
    touch(at, 4, ATOMIC, HERE);
    int before = *at;
    *at = before + value;
    return before;
}

int atomicMax(int* at, int value) {
    touch(at, 4, ATOMIC, HERE);
    int before = *at;
    if (value > before) *at = value;
    return before;
}

// ---- what g++ calls ----

#define WATCHED(bytes)                                                                          \
    extern "C" void __tsan_read##bytes(void* at) { touch(at, bytes, READ, HERE); }              \
    extern "C" void __tsan_write##bytes(void* at) { touch(at, bytes, WRITE, HERE); }            \
    extern "C" void __tsan_unaligned_read##bytes(void* at) { touch(at, bytes, READ, HERE); }    \
    extern "C" void __tsan_unaligned_write##bytes(void* at) { touch(at, bytes, WRITE, HERE); }
WATCHED(1)
WATCHED(2)
WATCHED(4)
WATCHED(8)
WATCHED(16)

extern "C" void __tsan_read_range(void* at, long bytes) {
    for (long i = 0; i < bytes; i++) touch((char*)at + i, 1, READ, HERE);
}
extern "C" void __tsan_write_range(void* at, long bytes) {
    for (long i = 0; i < bytes; i++) touch((char*)at + i, 1, WRITE, HERE);
}
extern "C" void __tsan_vptr_update(void**, void*) {}
extern "C" void __tsan_func_entry(void*) {}
extern "C" void __tsan_func_exit() {}
extern "C" void __tsan_init() {}

// An index beyond the end of an array that the text itself declares: g++ knows its length.
struct Place {
    const char* file;
    unsigned line, column;
};
extern "C" void __ubsan_handle_out_of_bounds(const Place* place, unsigned long index) {
    Failure seen = seen_at("declared", ELSEWHERE, (long)(int)index, 0, READ, HERE);
    seen.other_thread = place->line;
    fail_as(seen);
}
extern "C" void __ubsan_handle_out_of_bounds_abort(const Place* place, unsigned long index) {
    __ubsan_handle_out_of_bounds(place, index);
}
extern "C" void __ubsan_handle_divrem_overflow(const Place* place, unsigned long, unsigned long) {
    Failure seen = seen_at("division", ELSEWHERE, 0, 0, READ, HERE);
    seen.other_thread = place->line;
    fail_as(seen);
}
