// Numbers of 16 bits: what tensor_cores.cu's products take of kernels and images. Rounded to nearest, ties to even: bf16 is the
// upper half of a float, fp16 is the IEEE's.
//
// Prediction (H100): 6 bytes a number at 90 % of a copy's speed where channels lie side by side: 0.028 ms for a batch of 64
// images of 64 channels at 56².
// Measurement: not yet measured.

struct Arrangement {
    int groups, O, KH, KW, C;           // of the result: (groups·O, KH, KW, C)
    int given;                          // channels there are; 0 in those beyond
    int group, out, into, down, right;  // numbers from one to the next in the source; may be negative
    int round;                          // conv.cu's kernel of this name asks for it; here all are rounded
};

constexpr int CHUNK = 8;  // numbers in 16 bytes

#if !defined(EMULATOR)

__device__ __forceinline__ unsigned to_fp16(float x) {
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
    return bits;
}

#endif

// Adding to a NaN's bits could make an infinity of it, or 0.
__device__ __forceinline__ unsigned to_bf16(float x) {
    unsigned bits = __float_as_uint(x);
    return (bits & 0x7fffffff) > 0x7f800000 ? 0x7fff : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

// Kernels, or images, in whatever order, with zeros in channels up to a multiple of 8: a chunk of channels a thread.
template <class Bits>
__device__ __forceinline__ void arrange_tiled(const float* kernels, unsigned short* arranged, const Arrangement& g, Bits bits) {
    unsigned index = blockIdx.x * blockDim.x + threadIdx.x, chunks = g.C / CHUNK;
    if (index >= g.groups * g.O * g.KH * g.KW * chunks) return;
    unsigned tap = index / chunks, c = (index - tap * chunks) * CHUNK, down = tap / g.KW, kw = tap - down * g.KW;
    unsigned o = down / g.KH, kh = down - o * g.KH, group = o / g.O;
    int begin = group * g.group + (o - group * g.O) * g.out + c * g.into + kh * g.down + kw * g.right;  // may be negative
    const float* from = kernels + begin;
    float x[CHUNK];
    if (g.into == 1 && c + CHUNK <= g.given && !((unsigned long long)from & 15)) {  // as images mostly lie
        float4 left = *(const float4*)from, right = *(const float4*)(from + 4);
        x[0] = left.x, x[1] = left.y, x[2] = left.z, x[3] = left.w;
        x[4] = right.x, x[5] = right.y, x[6] = right.z, x[7] = right.w;
    } else {
#pragma unroll
        for (int i = 0; i < CHUNK; i++) x[i] = c + i < g.given ? from[i * g.into] : 0.f;
    }
    *(uint4*)(arranged + CHUNK * index) = make_uint4(bits(x[0]) | bits(x[1]) << 16, bits(x[2]) | bits(x[3]) << 16,
                                                     bits(x[4]) | bits(x[5]) << 16, bits(x[6]) | bits(x[7]) << 16);
}

// One version: every number is read and written once.
extern "C" __global__ void arrange_bf16(const float* kernels, unsigned short* arranged, Arrangement g) {
    arrange_tiled(kernels, arranged, g, [](float x) { return to_bf16(x); });
}

// One version, likewise.
extern "C" __global__ void arrange_fp16(const float* kernels, unsigned short* arranged, Arrangement g) {
    arrange_tiled(kernels, arranged, g, [](float x) { return to_fp16(x); });
}
