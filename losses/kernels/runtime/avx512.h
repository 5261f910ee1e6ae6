// The exponentials of float32 in the instructions of AVX-512, where the processor has them: it has
// single instructions for rounding and for a multiplication by 2^n, which the compiler does not use.
#pragma once

#ifdef __AVX512F__

#include <immintrin.h>

#include <initializer_list>

namespace losses {

// 16 numbers as `exponential` of numbers.h, for a finite `largest`.
INLINE __m512 exponential(__m512 z, __m512 largest) {
  const __m512 gap = _mm512_sub_ps(z, largest), back = _mm512_sub_ps(gap, z);
  __m512 lost = _mm512_sub_ps(_mm512_sub_ps(z, _mm512_sub_ps(gap, back)), _mm512_add_ps(largest, back));
  // Of an infinite z no number is left.
  lost = _mm512_max_ps(lost, _mm512_set1_ps(-1.0f));
  // This order of the arguments propagates NaN.
  const __m512 x = _mm512_max_ps(_mm512_set1_ps(-104.0f), gap);
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)),
                                        _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  // ln 2 in two parts; a fused product is exact, so the first has all the digits.
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0x1.62e43p-1f), x);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-0x1.05c61p-29f), r);
  // Up to r^2/2 Taylor's series; the four others are those whose largest relative error, 4e-9, is
  // the least for |r| <= ln(2) / 2.
  __m512 share = _mm512_set1_ps(0.00138637584f);
  for (const float each : {0.00836750931f, 0.0416672388f, 0.166665338f, 0.5f, 1.0f, 1.0f})
    share = _mm512_fmadd_ps(share, r, _mm512_set1_ps(each));
  const __m512 e = _mm512_scalef_ps(share, n);
  return _mm512_fmadd_ps(e, lost, e);
}

// Calls f(c, exponentials, which of them count) for 16 classes at a time.
template <class F>
INLINE void for_each_16(const float* z, int from, int to, float largest, const F& f) {
  const __m512 m = _mm512_set1_ps(largest);
  int c = from;
  for (; c + 16 <= to; c += 16) {
    const __m512 x = _mm512_loadu_ps(z + c);
    f(c, exponential(x, m), __mmask16(0xffff), _mm512_cmp_ps_mask(x, m, _CMP_EQ_OQ));
  }
  if (c == to) return;
  const auto left = static_cast<__mmask16>((1 << (to - c)) - 1);
  const __m512 x = _mm512_mask_loadu_ps(m, left, z + c);
  f(c, exponential(x, m), left, static_cast<__mmask16>(left & _mm512_cmp_ps_mask(x, m, _CMP_EQ_OQ)));
}

}  // namespace losses

#endif
