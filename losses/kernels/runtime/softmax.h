// What all exponentials of a row give: its largest number, and the sum of the other exponentials.
//
// With m the largest and e_c = exp(z_c - m), `others` is sum_c e_c without one of the largest, so
// that it keeps its digits where the model is sure of a class. A row without a number above
// -infinity has no probabilities: m is NaN.
#pragma once

#include <algorithm>

#include "avx512.h"

namespace losses {

template <class T>
struct Statistics {
  T largest, others;
};

// Classes per partial sum: a sum of many float32 would lose digits.
constexpr int CLASSES = 4096;

template <class T>
constexpr int LANES = 64 / sizeof(T);

template <class T>
T largest_of(const T* __restrict z, int classes) {
  constexpr int W = LANES<T>;
  T most[W];
  for (int i = 0; i < W; ++i) most[i] = -infinity<T>;
  const auto compare = [&](const T* __restrict x) INLINE_LAMBDA {
#pragma omp simd
    for (int i = 0; i < W; ++i) most[i] = x[i] > most[i] ? x[i] : most[i];
  };
  T found = -infinity<T>;
  if (classes < W) {
#pragma omp simd reduction(max : found)
    for (int c = 0; c < classes; ++c) found = z[c] > found ? z[c] : found;
  } else {
    for (int c = 0; c + W <= classes; c += W) compare(z + c);
    // The last classes, with some of those before: the compiler would take them one by one.
    compare(z + classes - W);
#pragma omp simd reduction(max : found)
    for (int i = 0; i < W; ++i) found = most[i] > found ? most[i] : found;
  }
  return found == -infinity<T> ? not_a_number<T> : found;
}

// The first class that has the number, 0 if there is none.
template <class T>
int first_equal(const T* __restrict z, int classes, T number) {
  int at = classes;
#pragma omp simd reduction(min : at)
  for (int c = 0; c < classes; ++c) at = z[c] == number && c < at ? c : at;
  return at < classes ? at : 0;
}

// Sums of a row's exponentials: of those below the largest, and the number of the largest.
template <class T>
struct Sums {
  T below, ties;
};

// e may be null: the exponentials are not kept.
template <class T>
Sums<T> exponentiate(const T* __restrict z, int from, int to, T largest, T* __restrict e) {
  const Base<T> base = base_of(largest);
#ifdef __AVX512F__
  if constexpr (std::is_same_v<T, float>) {
    __m512 below = _mm512_setzero_ps();
    int ties = 0;
    for_each_16(z, from, to, base, [&](int c, __m512 one, __mmask16 counted, __mmask16 tied) INLINE_LAMBDA {
      if (e) _mm512_mask_storeu_ps(e + c, counted, one);
      below = _mm512_mask_add_ps(below, counted & ~tied, below, one);
      ties += __builtin_popcount(tied);
    });
    return {_mm512_reduce_add_ps(below), static_cast<T>(ties)};
  }
#endif
  T below = 0, ties = 0;
#pragma omp simd reduction(+ : below, ties)
  for (int c = from; c < to; ++c) {
    const T one = exponential(z[c], base);
    if (e) e[c] = one;
    below += select(z[c] == largest, T(0), one);
    ties += z[c] == largest ? T(1) : T(0);
  }
  return {below, ties};
}

template <class T>
Statistics<T> statistics(const T* __restrict z, int classes, T* __restrict e) {
  const T largest = largest_of(z, classes);
  double others = -1;
  for (int from = 0; from < classes; from += CLASSES) {
    const Sums<T> sums = exponentiate(z, from, std::min(classes, from + CLASSES), largest, e);
    others += static_cast<double>(sums.ties);
    others += static_cast<double>(sums.below);
  }
  return {largest, static_cast<T>(others)};
}

// The statistics, which are saved for the gradient unless `saved` is null.
template <class T>
Statistics<T> computed(const T* z, int classes, T* e, Statistics<T>* saved) {
  const Statistics<T> found = statistics(z, classes, e);
  if (saved) *saved = found;
  return found;
}

// The statistics that the value has saved, else computed anew.
template <class T>
Statistics<T> restored(const T* __restrict z, int classes, T* __restrict e, Statistics<T>* saved) {
  if (!saved) return statistics(z, classes, e);
  if (e) exponentiate(z, 0, classes, saved->largest, e);
  return *saved;
}

// --- W rows beside each other: z[c * W + i] ------------------------------------------------------

template <int W, class T>
void largest_of_tile(const T* z, int classes, T* largest) {
  T most[W];
  for (int i = 0; i < W; ++i) most[i] = -infinity<T>;
  for (int c = 0; c < classes; ++c)
#pragma omp simd
    for (int i = 0; i < W; ++i) most[i] = z[c * W + i] > most[i] ? z[c * W + i] : most[i];
#pragma omp simd
  for (int i = 0; i < W; ++i) largest[i] = most[i] == -infinity<T> ? not_a_number<T> : most[i];
}

template <int W, class T>
void first_equal_of_tile(const T* __restrict z, int classes, const T* __restrict number, int* __restrict at) {
  for (int i = 0; i < W; ++i) at[i] = 0;
  for (int c = classes - 1; c >= 0; --c)
#pragma omp simd
    for (int i = 0; i < W; ++i) at[i] = z[c * W + i] == number[i] ? c : at[i];
}

// The bases of W rows.
template <int W, class T>
struct Bases {
  T largest[W], shift[W], least[W], over[W];
  typename Format<T>::Bits exponent[W];

  INLINE void set(int i, const Base<T>& from) {
    largest[i] = from.largest;
    shift[i] = from.shift;
    least[i] = from.least;
    over[i] = from.over;
    exponent[i] = from.exponent;
  }
  INLINE Base<T> operator[](int i) const { return {largest[i], shift[i], least[i], over[i], exponent[i]}; }
};

// e is a pointer, or nullptr: the exponentials are not kept. gcc vectorises no loop that asks.
template <int W, class T, class E>
Bases<W, T> statistics_of_tile(const T* __restrict z, int classes, E e, T* __restrict others) {
  Bases<W, T> bases;
  T most[W], below[W], ties[W];
  largest_of_tile<W>(z, classes, most);
#pragma omp simd
  for (int i = 0; i < W; ++i) bases.set(i, base_of(most[i]));
  for (int i = 0; i < W; ++i) below[i] = ties[i] = 0;
  for (int c = 0; c < classes; ++c)
#pragma omp simd
    for (int i = 0; i < W; ++i) {
      const T x = z[c * W + i], one = exponential(x, bases[i]);
      if constexpr (!std::is_null_pointer_v<E>) e[c * W + i] = one;
      below[i] += select(x == most[i], T(0), one);
      ties[i] += x == most[i] ? T(1) : T(0);
    }
#pragma omp simd
  for (int i = 0; i < W; ++i) others[i] = below[i] + (ties[i] - 1);
  return bases;
}

}  // namespace losses
