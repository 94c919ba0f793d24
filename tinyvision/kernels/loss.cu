// Softmax and cross-entropy in one pass: the probabilities are never written to memory in the forward direction.
//
// logits (N, K), labels (N,) 64-bit integers. A block takes one row; of pixels, which are many rows of few classes, a thread
// does. Prediction (H100): with 1,000 classes
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

// The loss of one row: 0 where it is ignored, NaN for a label that is no class.
__device__ __forceinline__ float loss_of_row(const float* x, long long label, float* log_sums, int K, long long ignored,
                                             float smoothing) {
    float largest = x[0], sum = 0.f, total = 0.f;
    for (int k = 1; k < K; k++) largest = x[k] > largest || x[k] != x[k] ? x[k] : largest;
    for (int k = 0; k < K; k++) sum += expf(x[k] - largest);
    float shift = logf(sum);
    for (int k = 0; k < K; k++) total += x[k] - largest - shift;
    log_sums[0] = largest;  // apart, or the small one would lose its digits beside the large one
    log_sums[1] = shift;
    bool counts = label != ignored, valid = label >= 0 && label < K;
    float own = counts && valid ? x[label] - largest - shift : 0.f;
    return !counts ? 0.f : !valid ? 0.f / 0.f : -(1.f - smoothing) * own - (smoothing ? smoothing / K * total : 0.f);
}

// Simple: one thread per row.
extern "C" __global__ void cross_entropy_simple(const float* logits, const long long* labels, float* log_sums, float* losses,
                                                int N, int K, long long ignored, float smoothing) {
    int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= N) return;
    losses[row] = loss_of_row(logits + (long long)row * K, labels[row], log_sums + 2 * row, K, ignored, smoothing);
}

// Of pixels: a thread per row; a block leaves the sum of its losses, how many of its labels count, and how many are no class, in
// partial (blocks, 3).
extern "C" __global__ void cross_entropy_pixels(const float* logits, const long long* labels, float* log_sums, float* partial,
                                                int N, int K, long long ignored, float smoothing) {
    __shared__ float shared[WARPS];
    int row = blockIdx.x * blockDim.x + threadIdx.x;
    float loss = 0.f, count = 0.f, bad = 0.f;
    if (row < N) {
        long long label = labels[row];
        loss = loss_of_row(logits + (long long)row * K, label, log_sums + 2 * row, K, ignored, smoothing);
        count = label != ignored;
        bad = label != ignored && (label < 0 || label >= K);
    }
    loss = over_block<false>(loss, shared);
    count = over_block<false>(count, shared);
    bad = over_block<false>(bad, shared);
    if (threadIdx.x) return;
    partial[3 * blockIdx.x] = loss;
    partial[3 * blockIdx.x + 1] = count;
    partial[3 * blockIdx.x + 2] = bad;
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

__device__ __forceinline__ void finish(float sum, float count, float bad, float* shared, float* loss, float* divisor, int* wrong,
                                       int mean) {
    sum = over_block<false>(sum, shared);
    count = over_block<false>(count, shared);
    bad = over_block<false>(bad, shared);
    if (threadIdx.x) return;
    divisor[0] = mean ? count : 1.f;
    loss[0] = sum / divisor[0];
    wrong[0] = mean && count == 0.f ? -1 : (int)bad;
}

// loss = Σ losses / (how many labels count, or 1 for a plain sum), by one block in a fixed order. divisor is left for the
// backward; wrong is the number of labels that are no class, -1 where none counts in a mean. One version: a batch's few numbers
// are not worth two blocks.
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
    finish(sum, count, bad, shared, loss, divisor, wrong, mean);
}

// The same from what the blocks of `cross_entropy_pixels` have left. One version, likewise.
extern "C" __global__ void cross_entropy_joined(const float* partial, float* loss, float* divisor, int* wrong, int parts, int mean) {
    __shared__ float shared[WARPS];
    float sum = 0.f, count = 0.f, bad = 0.f;
    for (int part = threadIdx.x; part < parts; part += blockDim.x) {
        sum += partial[3 * part];
        count += partial[3 * part + 1];
        bad += partial[3 * part + 2];
    }
    finish(sum, count, bad, shared, loss, divisor, wrong, mean);
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
