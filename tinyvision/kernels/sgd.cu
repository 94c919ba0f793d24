// One step of SGD for many parameters at once: a launch costs more than the update of a batch-norm's 64 numbers.
//
// Prediction (H100, ResNet-18; not yet measured): 62 parameters in one launch, bound by memory (5 numbers moved for each
// weight, 0.08 ms); the readable update needs about 300 launches, 2 to 3 ms of CPU time.

constexpr int MOST = 96;  // parameters in a launch: their addresses travel in the 4 KiB of kernel arguments

struct Parameters {
    float* weight[MOST];
    const float* gradient[MOST];
    float* velocity[MOST];
    int size[MOST];
    int first_block[MOST];
    int count, first, nesterov;  // first: the velocities hold nothing yet
    float lr, momentum, decay, undamped, sign;
};

constexpr int PER_BLOCK = 2048;  // numbers

// v ← momentum·v + undamped·(sign·g + decay·w), w ← w - lr·v, in the order of operations of optim.SGD.
extern "C" __global__ void sgd_step(Parameters p) {
    int which = 0;
    while (which + 1 < p.count && p.first_block[which + 1] <= (int)blockIdx.x) which++;
    int begin = (blockIdx.x - p.first_block[which]) * PER_BLOCK;
    float *weight = p.weight[which], *velocity = p.velocity[which];
    const float* gradient = p.gradient[which];
    for (int i = begin + threadIdx.x; i < begin + PER_BLOCK && i < p.size[which]; i += blockDim.x) {
        float step = p.sign * gradient[i] + p.decay * weight[i];
        if (p.momentum != 0.f) {
            float v = p.first ? step : p.momentum * velocity[i] + p.undamped * step;
            velocity[i] = v;
            step = p.nesterov ? step + p.momentum * v : v;
        }
        weight[i] -= p.lr * step;
    }
}
