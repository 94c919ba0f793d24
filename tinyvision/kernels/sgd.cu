// One step of SGD for many parameters at once: a launch costs more than the update of a batch-norm's 64 numbers.
//
// Prediction (H100, ResNet-18): 62 parameters in one launch, bound by memory (5 numbers moved for each
// weight, 0.08 ms); one launch for each parameter takes 62 launches, 0.6 ms of CPU time; the readable update needs about 300,
// 2 to 3 ms. Measurement: not yet measured.

// A launch that is part of a CUDA graph is repeated as it was recorded, the numbers in its arguments too. So the rule may
// also lie in memory (`live`), where a schedule changes the learning rate between two replays.

// v ← momentum·v + undamped·(sign·g + decay·w), w ← w - lr·v, in the order of operations of optim.SGD.
struct Rule {
    float lr, momentum, decay, undamped, sign;
    float first, nesterov;  // 1 or 0; first: the velocities hold nothing yet
};

__device__ __forceinline__ void update(float& weight, float gradient, float* velocity, const Rule& r) {
    float step = r.sign * gradient + r.decay * weight;
    if (r.momentum != 0.f) {
        float v = r.first != 0.f ? step : r.momentum * *velocity + r.undamped * step;
        *velocity = v;
        step = r.nesterov != 0.f ? step + r.momentum * v : v;
    }
    weight -= r.lr * step;
}

// Simple: one parameter, one thread per number.
extern "C" __global__ void sgd_simple(float* weight, const float* gradient, float* velocity, int size, Rule rule) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < size) update(weight[i], gradient[i], velocity + i, rule);
}

constexpr int MOST = 96;  // parameters in a launch: their addresses travel in the 4 KiB of kernel arguments

struct Parameters {
    float* weight[MOST];
    const float* gradient[MOST];
    float* velocity[MOST];
    int size[MOST];
    int first_block[MOST];
    const Rule* live;  // the rule, if not null
    int count;
    Rule rule;
};

constexpr int PER_BLOCK = 2048;  // numbers

// Fast: all parameters; a block finds the one that it works on in the table.
extern "C" __global__ void sgd_step(Parameters p) {
    int which = 0;
    while (which + 1 < p.count && p.first_block[which + 1] <= (int)blockIdx.x) which++;
    int begin = (blockIdx.x - p.first_block[which]) * PER_BLOCK;
    float *weight = p.weight[which], *velocity = p.velocity[which];
    const float* gradient = p.gradient[which];
    Rule rule = p.live ? *p.live : p.rule;
    for (int i = begin + threadIdx.x; i < begin + PER_BLOCK && i < p.size[which]; i += blockDim.x)
        update(weight[i], gradient[i], velocity + i, rule);
}
