// The parts of the emulated GPU as they see each other: threads as fibers, what went wrong, and who touched what.
#pragma once
#include <setjmp.h>
#include <stdint.h>
#include <ucontext.h>

#include "cuda.h"

namespace emulator {

struct Fiber {
    jmp_buf resume;
    ucontext_t context;
    char* stack;
    dim3 index;
    int barrier;        // the line at which it waits for its block, or 0
    int warp_meetings;  // how often it has met its warp
    long steps;
    bool started, done;
};

struct Warp {
    int arrived, generation;
    float deposit[2][32][6];
};

constexpr int STACK = 1 << 16;

extern Fiber* fibers;
extern Warp* warps;
extern Fiber* running;
extern unsigned threads;     // in a block
extern unsigned epoch;       // barriers that the running block has passed, counted over all blocks
extern unsigned long block;  // the number of the running block in its grid

inline unsigned thread() { return running - fibers; }

// Who did something, and when: `pc` is where in the machine code.
struct Stamp {
    unsigned thread, epoch, meetings;
    unsigned long block;
    void* pc;
};

// What went wrong, for `reports.py` to put into words. `array` is the number of an array that the launch was given,
// or one of the others here.
enum { STATIC = -1, ASKED = -2, ELSEWHERE = -3 };
struct Failure {
    char kind[16];
    char words[256];
    long number;
    int array, bytes, writes, wrote, later;  // `later`: the other thread writes what was read before
    unsigned thread, other_thread;
    unsigned long block, other_block;
    void *pc, *other_pc;
};

[[noreturn]] void fail_as(const Failure& failure);

// A thread writes now what the failure says nobody had written: that was no lack, but a race.
[[noreturn]] void written_later(const Stamp& writer);

// Every lane leaves up to six numbers and goes on when the whole warp has; returns which half of `deposit` holds them.
int meet(const float* numbers, int count);

// What the watch and the tensor cores do at the beginning of a launch, of a block, and at the end of a thread.
void watch_launch();
void watch_block();
extern void (*tensor_cores_begin_block)();
extern void (*tensor_cores_end_thread)();

struct Range {
    uintptr_t begin, end;
    int item, written;  // bytes of a number; whether the launch was given numbers in it
};
extern Range* arrays;
extern int array_count;
extern Range static_shared, asked_shared;

enum Access { READ, WRITE, ATOMIC };
void touch(const void* at, int bytes, Access access, void* pc);
bool watching();  // whether the running text is watched

}  // namespace emulator
