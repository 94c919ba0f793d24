// Softmax and cross-entropy in one pass: the probabilities are never written to memory in the forward direction.
//
// logits (N, K), labels (N,) 64-bit integers. A block takes one row. Prediction (H100): with 1,000 classes
// bound by memory, one read forward and one read and one write backward; the readable op moves the logits about ten times
// and needs some fifteen launches, which is what counts for ten classes.
// Measurement: not yet measured.

constexpr int WARPS = 8;

// The sum (or largest) over the 256 threads of a block, known to all of them.
template <bool largest>
__device__ float over_block(float value, float* shared) {
#pragma unroll
    for (int distance = 16; distance; distance /= 2) {
        float other = __shfl_xor_sync(0xffffffffu, value, distance);
        value = largest ? (other > value || other != other ? other : value) : value + other;
    }
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = value;
    __syncthreads();
    value = shared[0];
    for (int warp = 1; warp < WARPS; warp++) {
        float other = shared[warp];
        value = largest ? (other > value || other != other ? other : value) : value + other;
    }
    __syncthreads();  // before `shared` is used again
    return value;
}

// Simple: one thread per row.
extern "C" __global__ void cross_entropy_simple(const float* logits, const long long* labels, float* log_sums, float* losses,
                                                int N, int K, long long ignored, float smoothing) {
    int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= N) return;
    const float* x = logits + (long long)row * K;
    float largest = x[0], sum = 0.f, total = 0.f;
    for (int k = 1; k < K; k++) largest = x[k] > largest || x[k] != x[k] ? x[k] : largest;
    for (int k = 0; k < K; k++) sum += expf(x[k] - largest);
    float shift = logf(sum);
    for (int k = 0; k < K; k++) total += x[k] - largest - shift;
    log_sums[2 * row] = largest;  // apart, or the small one would lose its digits beside the large one
    log_sums[2 * row + 1] = shift;
    long long label = labels[row];
    bool counts = label != ignored, valid = label >= 0 && label < K;
    float own = counts && valid ? x[label] - largest - shift : 0.f;
    losses[row] = !counts ? 0.f : !valid ? 0.f / 0.f : -(1.f - smoothing) * own - (smoothing ? smoothing / K * total : 0.f);
}

// Fast: one block per row. losses: 0 for an ignored row, NaN for a label that is no class.
extern "C" __global__ void cross_entropy_rows(const float* logits, const long long* labels, float* log_sums, float* losses,
                                              int N, int K, long long ignored, float smoothing) {
    __shared__ float shared[WARPS];
    int row = blockIdx.x;
    const float* x = logits + (long long)row * K;
    float largest = x[0], sum = 0.f, total = 0.f;
    for (int k = threadIdx.x; k < K; k += blockDim.x) largest = x[k] > largest || x[k] != x[k] ? x[k] : largest;
    largest = over_block<true>(largest, shared);
    for (int k = threadIdx.x; k < K; k += blockDim.x) {
        sum += expf(x[k] - largest);
        total += x[k] - largest;
    }
    sum = over_block<false>(sum, shared);
    total = over_block<false>(total, shared);
    if (threadIdx.x) return;
    float shift = logf(sum);
    log_sums[2 * row] = largest;  // apart, or the small one would lose its digits beside the large one
    log_sums[2 * row + 1] = shift;
    long long label = labels[row];
    bool counts = label != ignored, valid = label >= 0 && label < K;
    float own = counts && valid ? x[label] - largest - shift : 0.f, spread = smoothing ? smoothing / K * (total - K * shift) : 0.f;
    losses[row] = !counts ? 0.f : !valid ? 0.f / 0.f : -(1.f - smoothing) * own - spread;
}

// loss = Σ losses / (how many labels count, or 1 for a plain sum), by one block in a fixed order. divisor is left for the
// backward; wrong is the number of labels that are no class. One version: a batch's few numbers are not worth two blocks.
extern "C" __global__ void cross_entropy_mean(const float* losses, const long long* labels, float* loss, float* divisor,
                                              int* wrong, int N, int K, long long ignored, int mean) {
    __shared__ float shared[WARPS];
    float sum = 0.f, count = 0.f, bad = 0.f;
    for (int row = threadIdx.x; row < N; row += blockDim.x) {
        sum += losses[row];
        if (labels[row] == ignored) continue;
        count += 1.f;
        if (labels[row] < 0 || labels[row] >= K) bad += 1.f;
    }
    sum = over_block<false>(sum, shared);
    count = over_block<false>(count, shared);
    bad = over_block<false>(bad, shared);
    if (threadIdx.x) return;
    divisor[0] = mean ? count : 1.f;
    loss[0] = sum / divisor[0];
    wrong[0] = (int)bad;
}

// dlogits = dy / divisor · (softmax - target), 0 in ignored rows. One version: a thread per number is the definition itself,
// and already bound by one read and one write.
extern "C" __global__ void cross_entropy_gradient(const float* dy, const float* logits, const long long* labels,
                                                  const float* log_sums, const float* divisor, float* dlogits, int N, int K,
                                                  long long ignored, float smoothing) {
    long long index = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (index >= (long long)N * K) return;
    int row = index / K, k = index % K;
    float target = smoothing / K + (labels[row] == k ? 1.f - smoothing : 0.f);
    float slope = expf(logits[index] - log_sums[2 * row] - log_sums[2 * row + 1]) - target;
    dlogits[index] = labels[row] == ignored ? 0.f : dy[0] / divisor[0] * slope;
}
