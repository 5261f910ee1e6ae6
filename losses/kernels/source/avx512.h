// The exponentials of a row of float32 in the instructions of AVX-512, where the processor has them.
//
// The compiler's vector code is as wide, but does not prefetch the next row, and has no single
// instruction for a multiplication by 2^n.
#pragma once

#ifdef __AVX512F__

#include <immintrin.h>

#include <cstdint>
#include <initializer_list>

namespace losses {

// exp(x) for x <= 0: as `decay` of numbers.h, NaN and denormal numbers included.
inline __m512 decay(__m512 x) {
  // This order of the arguments propagates NaN.
  x = _mm512_max_ps(_mm512_set1_ps(-104.0f), x);
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)),
                                        _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  // ln 2 in two parts; a fused product is exact, so the first has all the digits.
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0x1.62e43p-1f), x);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-0x1.05c61p-29f), r);
  // Up to r^2/2 Taylor's series; the four others are those whose largest relative error, 4e-9, is
  // the least for |r| <= ln(2) / 2. Taylor's needs a fifth for as much.
  __m512 share = _mm512_set1_ps(0.00138637584f);
  for (const float each : {0.00836750931f, 0.0416672388f, 0.166665338f, 0.5f, 1.0f, 1.0f})
    share = _mm512_fmadd_ps(share, r, _mm512_set1_ps(each));
  return _mm512_scalef_ps(share, n);
}

// Writes e_c to `e` and returns their sum, for a finite m: see softmax.h. `next` and `next_e`, which
// will be read and written next, are prefetched.
inline float exp_and_sum(const float* z, int64_t classes, float largest, float* e, const float* next,
                    const float* next_e) {
  const __m512 m = _mm512_set1_ps(largest);
  const auto ahead = reinterpret_cast<uintptr_t>(next), ahead_e = reinterpret_cast<uintptr_t>(next_e);
  constexpr uintptr_t bytes = sizeof(float);
  __m512 sum = _mm512_setzero_ps();
  int64_t c = 0;
  for (; c + 16 <= classes; c += 16) {
    const __m512 found = decay(_mm512_sub_ps(_mm512_loadu_ps(z + c), m));
    _mm512_storeu_ps(e + c, found);
    sum = _mm512_add_ps(sum, found);
    // As integers: a pointer behind the last row would be undefined behaviour.
    __builtin_prefetch(reinterpret_cast<const void*>(ahead + bytes * c));
    __builtin_prefetch(reinterpret_cast<const void*>(ahead_e + bytes * c), 1);
  }
  // Masked stores would cost a sixth of the loop, so only the last elements use them.
  const auto left = static_cast<__mmask16>((1 << (classes - c)) - 1);
  const __m512 found = decay(_mm512_sub_ps(_mm512_mask_loadu_ps(m, left, z + c), m));
  _mm512_mask_storeu_ps(e + c, left, found);
  return _mm512_reduce_add_ps(_mm512_mask_add_ps(sum, left, sum, found));
}

}  // namespace losses

#endif
