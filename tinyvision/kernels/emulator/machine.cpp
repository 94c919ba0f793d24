// Runs CUDA kernels on the CPU. Every thread of a block is a fiber; a fiber runs until it must wait for others: at
// __syncthreads for its block, at a shuffle or a matrix product for its warp. Blocks run one after the other.
//
// Stricter than a GPU, so that mistakes show: shared memory starts as NaN in every block; barriers must be the same for
// all threads; the order of the threads can be reversed, or a warp run far ahead; no thread may take more than 50,000
// steps in a text that is watched. What the watch sees is in watch.cpp, what only tensor cores need in tensor_cores.cpp.
#include "machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulator {

Fiber *fibers, *running;
Warp* warps;
unsigned threads, epoch;
unsigned long block;
Range *arrays, static_shared = {0, 0, 1, 0}, asked_shared = {0, 0, 1, 0};
int array_count;
void (*tensor_cores_begin_block)();
void (*tensor_cores_end_thread)();

static jmp_buf scheduler;
static void (*body)(void*, void**);
static void *kernel_of_body, **arguments_of_body;
static Failure failure;
static bool failed;
static unsigned room;  // fibers that have a stack

constexpr unsigned LARGEST = 227 << 10;  // bytes of shared memory that a block may ask for
constexpr long STEPS = 50000;

static void yield() {
    if (!_setjmp(running->resume)) _longjmp(scheduler, 1);
}

[[noreturn]] void fail_as(const Failure& seen) {
    if (!failed) {
        failure = seen;
        failure.thread = thread();
        failure.block = block;
    }
    failed = true;
    _longjmp(scheduler, 1);
}

[[noreturn]] void written_later(const Stamp& writer) {
    strcpy(failure.kind, "race");
    failure.later = failure.wrote = 1;
    failure.other_thread = writer.thread;
    failure.other_block = writer.block;
    failure.other_pc = writer.pc;
    _longjmp(scheduler, 1);
}

[[noreturn]] void fail(const char* what) {
    Failure seen = {};
    strcpy(seen.kind, "refused");
    snprintf(seen.words, sizeof seen.words, "%s", what);
    seen.pc = __builtin_return_address(0);
    fail_as(seen);
}

static void enter() {
    body(kernel_of_body, arguments_of_body);
    if (tensor_cores_end_thread) tensor_cores_end_thread();
    running->done = true;
    _longjmp(scheduler, 1);
}

static void run_fiber(Fiber& fiber) {
    running = &fiber;
    threadIdx = fiber.index;
    if (_setjmp(scheduler)) return;
    if (fiber.started) _longjmp(fiber.resume, 1);
    fiber.started = true;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack;
    fiber.context.uc_stack.ss_size = STACK;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, enter, 0);
    setcontext(&fiber.context);
}

void barrier(int line) {
    running->barrier = line;
    while (running->barrier) yield();
}

int meet(const float* numbers, int count) {
    Warp& warp = warps[thread() / 32];
    int generation = warp.generation, half = generation & 1;
    memcpy(warp.deposit[half][thread() % 32], numbers, count * sizeof(float));
    if (++warp.arrived == 32) {
        warp.arrived = 0;
        warp.generation++;
    } else {
        while (warp.generation == generation) yield();
    }
    running->warp_meetings++;
    return half;
}

float exchanged(float value, unsigned lane) {
    int half = meet(&value, 1);
    return warps[thread() / 32].deposit[half][lane % 32][0];
}

static void begin_block() {
    memset(warps, 0, (threads + 31) / 32 * sizeof(Warp));
    for (unsigned i = 0; i < threads; i++) {
        Fiber& fiber = fibers[i];
        fiber.started = fiber.done = false;
        fiber.barrier = fiber.warp_meetings = fiber.steps = 0;
        fiber.index = {i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y};
    }
    memset((void*)static_shared.begin, 0xff, static_shared.end - static_shared.begin);
    epoch++;
    watch_block();
    if (tensor_cores_begin_block) tensor_cores_begin_block();
}

static long meetings() {
    long sum = 0;
    for (unsigned i = 0; i < threads; i++) sum += warps[i / 32].arrived + 100 * warps[i / 32].generation;
    return sum;
}

static void stuck(const char* kind, const char* words, Fiber& fiber) {
    running = &fiber;
    strcpy(failure.kind, kind);
    snprintf(failure.words, sizeof failure.words, "%s", words);
    failure.thread = thread();
    failure.block = block;
    failed = true;
}

// All fibers wait at a barrier: lets them go on if it is the same one.
static void pass_barrier() {
    for (unsigned i = 0; i < threads; i++)
        if (fibers[i].barrier != fibers[0].barrier) {
            char words[100];
            snprintf(words, sizeof words, "threads wait at different barriers: some in line %d, some in line %d",
                     fibers[0].barrier, fibers[i].barrier);
            return stuck("barriers", words, fibers[i]);
        }
    for (unsigned i = 0; i < threads; i++) fibers[i].barrier = 0;
    epoch++;
}

// One thread has read what nobody had written: each of the others goes on to where it waits next, and may write it.
static void look_for_the_writer() {
    Fiber* reader = running;
    for (unsigned i = 0; i < threads && !failure.later; i++)
        if (&fibers[i] != reader && !fibers[i].done && !fibers[i].barrier) run_fiber(fibers[i]);
}

static void run_block(int order) {
    begin_block();
    for (long idle = 0;;) {
        long before = meetings();
        for (unsigned first = 0; first < threads; first += 32)  // order 2: a warp runs as far as it can before the next
            for (int round = 0; round < (order == 2 ? 64 : 1); round++)
                for (unsigned i = first; i < first + 32 && i < threads; i++) {
                    Fiber& fiber = fibers[order == 1 ? threads - 1 - i : i];
                    if (!fiber.done && !fiber.barrier) run_fiber(fiber);
                    if (failed && !strcmp(failure.kind, "unwritten")) look_for_the_writer();
                    if (failed) return;
                }
        unsigned waiting = 0, done = 0, line = 0, other = 0;
        for (unsigned i = 0; i < threads; i++) {
            waiting += fibers[i].barrier != 0;
            done += fibers[i].done;
            if (fibers[i].barrier) line = fibers[i].barrier;
            else other = i;
        }
        if (done == threads) return;
        if (waiting == threads) {
            pass_barrier();
            if (failed) return;
            idle = 0;
            continue;
        }
        idle = before == meetings() ? idle + 1 : 0;
        if (idle > 4) {
            char words[200];
            int at = snprintf(words, sizeof words, "threads wait for others that do not come: %u at a barrier", waiting);
            if (line) at += snprintf(words + at, sizeof words - at, " (line %u)", line);
            snprintf(words + at, sizeof words - at, ", %u have ended", done);  // the others wait for a warp
            return stuck("barriers", words, fibers[other]);
        }
    }
}

static void make_room() {
    if (threads <= room) return;
    fibers = (Fiber*)realloc(fibers, threads * sizeof(Fiber));
    warps = (Warp*)realloc(warps, (threads + 31) / 32 * sizeof(Warp));
    for (; room < threads; room++) fibers[room].stack = (char*)malloc(STACK);
}

const char* run(void (*call)(void*, void**), void* kernel, const unsigned* grid, const unsigned* blocks, unsigned shared,
                void** arguments, int order, char* shared_begin, char* shared_end) {
    if (shared > LARGEST) return "no GPU has that much shared memory";
    failed = false;
    failure = {};
    body = call;
    kernel_of_body = kernel;
    arguments_of_body = arguments;
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {blocks[0], blocks[1], blocks[2]};
    threads = blockDim.x * blockDim.y * blockDim.z;
    static_shared = {(uintptr_t)shared_begin, (uintptr_t)shared_end, 1, 0};
    asked_shared.end = asked_shared.begin + shared;
    make_room();
    watch_launch();
    block = 0;
    for (blockIdx.z = 0; blockIdx.z < grid[2] && !failed; blockIdx.z++)
        for (blockIdx.y = 0; blockIdx.y < grid[1] && !failed; blockIdx.y++)
            for (blockIdx.x = 0; blockIdx.x < grid[0] && !failed; blockIdx.x++, block++) run_block(order);
    running = nullptr;  // what the text does from here on is nobody's
    return failed ? failure.kind : nullptr;
}

}  // namespace emulator

// A text that is watched counts its steps here, one for each piece of straight code.
extern "C" void __sanitizer_cov_trace_pc() {
    using namespace emulator;
    if (!running) return;
    char here, *end = running->stack;  // stacks grow down
    if (&here >= end && &here < end + STACK / 8) fail("the functions call each other too deeply");
    if (++running->steps < STEPS) return;
    Failure seen = {};
    strcpy(seen.kind, "endless");
    seen.pc = __builtin_return_address(0);
    fail_as(seen);
}

extern "C" const emulator::Failure* emulator_failure() { return &emulator::failure; }

extern "C" void emulator_arrays(int count, const uintptr_t* edges, const int* items, const int* written) {
    using namespace emulator;
    arrays = (Range*)realloc(arrays, (count + 1) * sizeof(Range));
    for (array_count = 0; array_count < count; array_count++)
        arrays[array_count] = {edges[2 * array_count], edges[2 * array_count + 1], items[array_count],
                               written[array_count]};
}
