// Loops over float32 in the instructions of AVX-512, where the processor has them. Of a sum, the
// compiler adds the last classes of a row, and the numbers of a register, one by one; and it does not
// stop at what it looks for.
#pragma once

#include "numbers.h"

#ifdef __AVX512F__

#include <immintrin.h>

namespace losses {

// 16 numbers as `exponential` of numbers.h, which are 1 where `tied`.
INLINE __m512 exponential(__m512 z, const Base<float>& base, __mmask16 tied) {
  using F = Format<float>;
  // This order of the arguments propagates NaN.
  const __m512 x = _mm512_max_ps(_mm512_set1_ps(base.least), _mm512_sub_ps(z, _mm512_set1_ps(base.shift)));
  const __m512 rounder = _mm512_set1_ps(F::rounder);
  const __m512 shifted = _mm512_fmadd_ps(x, _mm512_set1_ps(1.44269504f), rounder);
  const __m512 n = _mm512_sub_ps(shifted, rounder);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(F::ln2_high), x);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(F::ln2_low), r);
  __m512 share = _mm512_set1_ps(exp_coefficient<float>(F::exp_terms));
#pragma GCC unroll 16
  for (int k = F::exp_terms - 1; k >= 0; --k)
    share = _mm512_fmadd_ps(share, r, _mm512_set1_ps(exp_coefficient<float>(k)));
  const __m512i exponent = _mm512_sub_epi32(_mm512_castps_si512(shifted), _mm512_set1_epi32(int(base.exponent)));
  const __m512 scale = _mm512_castsi512_ps(_mm512_slli_epi32(exponent, F::mantissa));
  return _mm512_mask_mul_ps(_mm512_set1_ps(1), static_cast<__mmask16>(~tied), _mm512_mul_ps(share, scale),
                            _mm512_set1_ps(base.over));
}

// Calls f(c, exponentials, which of them count, which are the largest) for 16 classes at a time.
template <class F>
INLINE void for_each_16(const float* z, int from, int to, const Base<float>& base, const F& f) {
  const __m512 largest = _mm512_set1_ps(base.largest);
  const auto each = [&](int c, __m512 x, __mmask16 counted) INLINE_LAMBDA {
    const __mmask16 tied = _mm512_cmp_ps_mask(x, largest, _CMP_EQ_OQ);
    f(c, exponential(x, base, tied), counted, static_cast<__mmask16>(counted & tied));
  };
  int c = from;
  for (; c + 16 <= to; c += 16) each(c, _mm512_loadu_ps(z + c), 0xffff);
  if (c == to) return;
  const auto left = static_cast<__mmask16>((1 << (to - c)) - 1);
  each(c, _mm512_maskz_loadu_ps(left, z + c), left);
}

// The first class that has the number, 0 if there is none.
INLINE int first_equal(const float* z, int classes, float number) {
  const __m512 wanted = _mm512_set1_ps(number);
  for (int c = 0; c < classes; c += 16) {
    const auto left = static_cast<__mmask16>(classes - c < 16 ? (1 << (classes - c)) - 1 : 0xffff);
    const __mmask16 found = _mm512_mask_cmp_ps_mask(left, _mm512_maskz_loadu_ps(left, z + c), wanted, _CMP_EQ_OQ);
    if (found) return c + __builtin_ctz(found);
  }
  return 0;
}

}  // namespace losses

#endif
