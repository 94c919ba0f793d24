// One step of Adam, or AdamW, for many parameters at once; the table of addresses is that of sgd.cu.
//
// Prediction (H100, ResNet-18): bound by memory, 7 numbers moved for each weight, 0.11 ms; the readable update is some 900
// launches. Measurement: not yet measured.

// What a step computes with. The corrections for the start at 0 are in `scale` and `root`, so that the steps are counted on
// the host alone; a captured step reads all of it from memory (`live`).
struct AdamRule {
    float sign, shrink, decay, beta1, rest1, beta2, rest2, scale, root, eps;
};

// g = sign·gradient + decay·w, m ← β₁m + (1-β₁)g, v ← β₂v + (1-β₂)g², w ← shrink·w - scale · m / (root·sqrt(v) + eps), in the
// order of operations of optim.Adam.
__device__ __forceinline__ void adam_update(float& weight, float gradient, float& first, float& second, const AdamRule& r) {
    float g = r.sign * gradient, w = weight;
    if (r.shrink != 1.f) w *= r.shrink;
    if (r.decay != 0.f) g += r.decay * w;
    float m = first * r.beta1 + r.rest1 * g;
    float v = second * r.beta2 + r.rest2 * (g * g);
    first = m;
    second = v;
    weight = w - r.scale * (m / (sqrtf(v) * r.root + r.eps));
}

// Simple: one parameter, one thread per number.
extern "C" __global__ void adam_simple(float* weight, const float* gradient, float* first, float* second, int size,
                                       AdamRule rule) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < size) adam_update(weight[i], gradient[i], first[i], second[i], rule);
}

constexpr int MOST = 96;  // parameters in a launch: their addresses travel in the 4 KiB of kernel arguments

struct AdamParameters {
    float* weight[MOST];
    const float* gradient[MOST];
    float* first[MOST];
    float* second[MOST];
    int size[MOST];
    int first_block[MOST];
    const AdamRule* live;  // the rule, if not null
    int count;
    AdamRule rule;
};

constexpr int PER_BLOCK = 2048;  // numbers

// Fast: all parameters; a block finds the one that it works on in the table.
extern "C" __global__ void adam_step(AdamParameters p) {
    int which = 0;
    while (which + 1 < p.count && p.first_block[which + 1] <= (int)blockIdx.x) which++;
    int begin = (blockIdx.x - p.first_block[which]) * PER_BLOCK;
    float *weight = p.weight[which], *first = p.first[which], *second = p.second[which];
    const float* gradient = p.gradient[which];
    AdamRule rule = p.live ? *p.live : p.rule;
    for (int i = begin + threadIdx.x; i < begin + PER_BLOCK && i < p.size[which]; i += blockDim.x)
        adam_update(weight[i], gradient[i], first[i], second[i], rule);
}
