// Pooling and col2im as gathers: every pixel collects what its windows have for it. No atomics, no order to lose.
//
// Images are channels-last; a warp reads neighbouring channels. Prediction (H100): bound by memory; the
// readable ops walk over all pixels once for each tap of the kernel (9 times for 3×3), these once. The simple versions of the
// backward directions look at every window of the image for every pixel: slower by the number of windows.
// Measurement (H200, maximum of 3×3/2 over 64 × 64 channels at 112²): forward 0.083 ms, backward 0.170 ms (PyTorch: 0.234,
// 0.506); memory alone would take 0.075. One channel a thread, with a division for every axis, took 0.198 and 0.560. The
// average's and col2im's: not yet measured.
//
// Offsets are 32-bit numbers (64-bit divisions are slow): the caller sees to it that no array has 2³¹ numbers or more.

struct Pool {
    int N, H, W, C, OH, OW, KH, KW, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, count_padding;
};

// y = the largest number of each window; taps remembers which tap it was (the first in a tie, the last NaN). Simple: a thread per number.
extern "C" __global__ void max_pool_forward(const float* x, float* y, unsigned char* taps, Pool g) {
    unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= (unsigned)(g.N * g.OH * g.OW * g.C)) return;
    int c = index % g.C, j = index / g.C % g.OW, i = index / g.C / g.OW % g.OH, n = index / g.C / g.OW / g.OH;
    float best = 0.f;
    int tap = -1;
    for (int k = 0; k < g.KH; k++)
        for (int l = 0; l < g.KW; l++) {
            int h = i * g.stride_h - g.pad_h + k, w = j * g.stride_w - g.pad_w + l;
            if (h < 0 || h >= g.H || w < 0 || w >= g.W) continue;
            float value = x[((n * g.H + h) * g.W + w) * g.C + c];
            if (tap < 0 || value > best || value != value) {
                best = value;
                tap = k * g.KW + l;
            }
        }
    y[index] = best;
    taps[index] = tap;
}

// Fast, where C is a multiple of 4: a thread per four channels, and no division but one, since block (x, i, n) works on row i
// of image n. Each pixel comes from memory once; the other windows find it in the L1 cache.
extern "C" __global__ void max_pool_forward_four(const float* x, float* y, unsigned char* taps, Pool g) {
    int index = blockIdx.x * blockDim.x + threadIdx.x, fours = g.C / 4;
    if (index >= g.OW * fours) return;
    int j = index / fours, c = index % fours * 4, i = blockIdx.y, n = blockIdx.z;
    float best[4] = {};
    int tap[4] = {-1, -1, -1, -1};
    for (int k = 0; k < g.KH; k++) {
        int h = i * g.stride_h - g.pad_h + k;
        if (h < 0 || h >= g.H) continue;
        for (int l = 0; l < g.KW; l++) {
            int w = j * g.stride_w - g.pad_w + l;
            if (w < 0 || w >= g.W) continue;
            float4 pixel = *(const float4*)(x + ((n * g.H + h) * g.W + w) * g.C + c);
            float value[4] = {pixel.x, pixel.y, pixel.z, pixel.w};
#pragma unroll
            for (int v = 0; v < 4; v++)
                if (tap[v] < 0 || value[v] > best[v] || value[v] != value[v]) {
                    best[v] = value[v];
                    tap[v] = k * g.KW + l;
                }
        }
    }
    int at = ((n * g.OH + i) * g.OW + j) * g.C + c;
    unsigned four = 0;
#pragma unroll
    for (int v = 0; v < 4; v++) four |= (unsigned)tap[v] << 8 * v;
    *(float4*)(y + at) = make_float4(best[0], best[1], best[2], best[3]);
    *(unsigned*)(taps + at) = four;
}

// Simple: the pixel looks for the winner of each of its windows again.
extern "C" __global__ void max_pool_backward_simple(const float* dy, const float* x, float* dx, Pool g) {
    unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= (unsigned)(g.N * g.H * g.W * g.C)) return;
    int c = index % g.C, w = index / g.C % g.W, h = index / g.C / g.W % g.H, n = index / g.C / g.W / g.H;
    float sum = 0.f;
    for (int i = 0; i < g.OH; i++)
        for (int j = 0; j < g.OW; j++) {
            int top = i * g.stride_h - g.pad_h, left = j * g.stride_w - g.pad_w;
            if (h < top || h >= top + g.KH || w < left || w >= left + g.KW) continue;
            float best = x[index];
            bool nan = best != best, wins = true;
            for (int p = top > 0 ? top : 0; p < top + g.KH && p < g.H; p++)
                for (int q = left > 0 ? left : 0; q < left + g.KW && q < g.W; q++) {
                    float value = x[((n * g.H + p) * g.W + q) * g.C + c];
                    bool before = p < h || (p == h && q < w), after = p > h || (p == h && q > w);
                    if (nan ? after && value != value : value > best || value != value || (before && value == best)) wins = false;
                }
            if (wins) sum += dy[((n * g.OH + i) * g.OW + j) * g.C + c];
        }
    dx[index] = sum;
}

// The windows along one axis that contain pixel h: first .. last.
__device__ __forceinline__ void windows_of(int h, int size, int stride, int pad, int count, int& first, int& last) {
    int below = h + pad - size + 1;
    first = below > 0 ? (below + stride - 1) / stride : 0;
    last = (h + pad) / stride;
    if (last > count - 1) last = count - 1;
}

// Fast: only the windows that contain the pixel, and only their remembered taps.
extern "C" __global__ void max_pool_backward(const float* dy, const unsigned char* taps, float* dx, Pool g) {
    unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= (unsigned)(g.N * g.H * g.W * g.C)) return;
    int c = index % g.C, w = index / g.C % g.W, h = index / g.C / g.W % g.H, n = index / g.C / g.W / g.H;
    int top, bottom, left, right;
    windows_of(h, g.KH, g.stride_h, g.pad_h, g.OH, top, bottom);
    windows_of(w, g.KW, g.stride_w, g.pad_w, g.OW, left, right);
    float sum = 0.f;
    for (int i = top; i <= bottom; i++)
        for (int j = left; j <= right; j++) {
            int window = ((n * g.OH + i) * g.OW + j) * g.C + c;
            int tap = (h + g.pad_h - i * g.stride_h) * g.KW + w + g.pad_w - j * g.stride_w;
            if (taps[window] == tap) sum += dy[window];
        }
    dx[index] = sum;
}

// The same where C is a multiple of 4: a thread per four channels, with one division; block (x, h, n).
extern "C" __global__ void max_pool_backward_four(const float* dy, const unsigned char* taps, float* dx, Pool g) {
    int index = blockIdx.x * blockDim.x + threadIdx.x, fours = g.C / 4;
    if (index >= g.W * fours) return;
    int w = index / fours, c = index % fours * 4, h = blockIdx.y, n = blockIdx.z;
    int top, bottom, left, right;
    windows_of(h, g.KH, g.stride_h, g.pad_h, g.OH, top, bottom);
    windows_of(w, g.KW, g.stride_w, g.pad_w, g.OW, left, right);
    float4 sum = make_float4(0.f, 0.f, 0.f, 0.f);
    for (int i = top; i <= bottom; i++)
        for (int j = left; j <= right; j++) {
            int window = ((n * g.OH + i) * g.OW + j) * g.C + c;
            unsigned tap = (h + g.pad_h - i * g.stride_h) * g.KW + w + g.pad_w - j * g.stride_w;
            unsigned four = *(const unsigned*)(taps + window);
            float4 gradient = *(const float4*)(dy + window);
            sum.x += (four & 255) == tap ? gradient.x : 0.f;
            sum.y += (four >> 8 & 255) == tap ? gradient.y : 0.f;
            sum.z += (four >> 16 & 255) == tap ? gradient.z : 0.f;
            sum.w += four >> 24 == tap ? gradient.w : 0.f;
        }
    *(float4*)(dx + ((n * g.H + h) * g.W + w) * g.C + c) = sum;
}

// How many pixels window (i, j) counts.
__device__ __forceinline__ int counted(int i, int j, const Pool& g) {
    if (g.count_padding) return g.KH * g.KW;
    int top = i * g.stride_h - g.pad_h, left = j * g.stride_w - g.pad_w, bottom = top + g.KH, right = left + g.KW;
    return ((bottom < g.H ? bottom : g.H) - (top > 0 ? top : 0)) * ((right < g.W ? right : g.W) - (left > 0 ? left : 0));
}

// y = the mean of each window. One version: a thread per number is the definition itself, and each pixel comes from memory
// once, since the other windows find it in the L1 cache.
extern "C" __global__ void avg_pool_forward(const float* x, float* y, Pool g) {
    unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= (unsigned)(g.N * g.OH * g.OW * g.C)) return;
    int c = index % g.C, j = index / g.C % g.OW, i = index / g.C / g.OW % g.OH, n = index / g.C / g.OW / g.OH;
    float sum = 0.f;
    for (int k = 0; k < g.KH; k++)
        for (int l = 0; l < g.KW; l++) {
            int h = i * g.stride_h - g.pad_h + k, w = j * g.stride_w - g.pad_w + l;
            if (h < 0 || h >= g.H || w < 0 || w >= g.W) continue;
            sum += x[((n * g.H + h) * g.W + w) * g.C + c];
        }
    y[index] = sum / counted(i, j, g);
}

// Simple: the pixel looks at every window.
extern "C" __global__ void avg_pool_backward_simple(const float* dy, float* dx, Pool g) {
    unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= (unsigned)(g.N * g.H * g.W * g.C)) return;
    int c = index % g.C, w = index / g.C % g.W, h = index / g.C / g.W % g.H, n = index / g.C / g.W / g.H;
    float sum = 0.f;
    for (int i = 0; i < g.OH; i++)
        for (int j = 0; j < g.OW; j++) {
            int top = i * g.stride_h - g.pad_h, left = j * g.stride_w - g.pad_w;
            if (h < top || h >= top + g.KH || w < left || w >= left + g.KW) continue;
            sum += dy[((n * g.OH + i) * g.OW + j) * g.C + c] / counted(i, j, g);
        }
    dx[index] = sum;
}

// Fast: only the windows that contain the pixel.
extern "C" __global__ void avg_pool_backward(const float* dy, float* dx, Pool g) {
    unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= (unsigned)(g.N * g.H * g.W * g.C)) return;
    int c = index % g.C, w = index / g.C % g.W, h = index / g.C / g.W % g.H, n = index / g.C / g.W / g.H;
    int top, bottom, left, right;
    windows_of(h, g.KH, g.stride_h, g.pad_h, g.OH, top, bottom);
    windows_of(w, g.KW, g.stride_w, g.pad_w, g.OW, left, right);
    float sum = 0.f;
    for (int i = top; i <= bottom; i++)
        for (int j = left; j <= right; j++) sum += dy[((n * g.OH + i) * g.OW + j) * g.C + c] / counted(i, j, g);
    dx[index] = sum;
}

// col2im: columns (N·OH·OW, C·KH·KW) -> dx (N, C, H, W), channels first, as the op has it.
//
// Simple: the pixel looks at every tap of every window.
extern "C" __global__ void col2im_simple(const float* columns, float* dx, Pool g) {
    unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= (unsigned)(g.N * g.C * g.H * g.W)) return;
    int w = index % g.W, h = index / g.W % g.H, c = index / g.W / g.H % g.C, n = index / g.W / g.H / g.C;
    float sum = 0.f;
    for (int i = 0; i < g.OH; i++)
        for (int j = 0; j < g.OW; j++)
            for (int k = 0; k < g.KH; k++)
                for (int l = 0; l < g.KW; l++)
                    if (h == i * g.stride_h - g.pad_h + k * g.dilation_h && w == j * g.stride_w - g.pad_w + l * g.dilation_w)
                        sum += columns[((((n * g.OH + i) * g.OW + j) * g.C + c) * g.KH + k) * g.KW + l];
    dx[index] = sum;
}

// Fast: only the one window for each tap that the tap reads the pixel from. A warp's reads lie a row of columns apart, so of
// every 32 bytes that come from the L2 cache it uses 4 at a time. A tile in shared memory could use all of them; no network
// calls this op, since its convolutions make no columns that outlive a product.
extern "C" __global__ void col2im_gather(const float* columns, float* dx, Pool g) {
    unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= (unsigned)(g.N * g.C * g.H * g.W)) return;
    int w = index % g.W, h = index / g.W % g.H, c = index / g.W / g.H % g.C, n = index / g.W / g.H / g.C;
    float sum = 0.f;
    for (int k = 0; k < g.KH; k++) {
        int i = h + g.pad_h - k * g.dilation_h;
        if (i < 0 || i % g.stride_h || i / g.stride_h >= g.OH) continue;
        for (int l = 0; l < g.KW; l++) {
            int j = w + g.pad_w - l * g.dilation_w;
            if (j < 0 || j % g.stride_w || j / g.stride_w >= g.OW) continue;
            int row = (n * g.OH + i / g.stride_h) * g.OW + j / g.stride_w;
            sum += columns[(row * g.C + c) * g.KH * g.KW + k * g.KW + l];
        }
    }
    dx[index] = sum;
}
