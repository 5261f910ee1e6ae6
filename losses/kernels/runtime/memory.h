// Reading and writing of arrays of any dtype in the dtype of a computation.
#pragma once

#include <algorithm>
#include <type_traits>
#include <vector>

#ifdef __F16C__
#include <immintrin.h>
#endif

#include "job.h"
#include "numbers.h"

namespace losses {

template <class T>
constexpr Dtype dtype_of = std::is_same_v<T, float> ? FLOAT32 : FLOAT64;

INLINE float from_bfloat16(uint16_t x) { return number_of<float>(static_cast<uint32_t>(x) << 16); }

INLINE uint16_t to_bfloat16(float x) {
  const uint32_t bits = bits_of(x), rounded = bits + 0x7fff + ((bits >> 16) & 1);
  return static_cast<uint16_t>(x == x ? rounded >> 16 : 0x7fc0);
}

// Converts float16, which gcc does for one number at a time where it could do eight; returns how
// many numbers it has converted.
inline int64_t from_float16([[maybe_unused]] const _Float16* from, [[maybe_unused]] int64_t count,
                            [[maybe_unused]] float* to) {
  int64_t i = 0;
#ifdef __F16C__
  for (; i + 8 <= count; i += 8)
    _mm256_storeu_ps(to + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i))));
#endif
  return i;
}

inline int64_t to_float16([[maybe_unused]] const float* from, [[maybe_unused]] int64_t count,
                          [[maybe_unused]] _Float16* to) {
  int64_t i = 0;
#ifdef __F16C__
  for (; i + 8 <= count; i += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i),
                     _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT));
#endif
  return i;
}

inline int64_t size_of(Dtype dtype) { return dtype == FLOAT64 ? 8 : dtype == FLOAT32 ? 4 : 2; }

template <class T>
const T* typed(const void* data) {
  return static_cast<const T*>(data);
}

// Reads `count` numbers from position `at` on, `stride` apart, into `to`.
template <class T>
void read(const Array& from, int64_t at, int64_t count, T* __restrict to, int64_t stride = 1) {
  if constexpr (std::is_same_v<T, float>) {
    if (from.dtype == FLOAT16 && stride == 1) {
      const int64_t done = from_float16(typed<_Float16>(from.data) + at, count, to);
      at += done, count -= done, to += done;
    }
  }
  const auto each = [&](const auto* data, const auto& convert) {
    data += at;
    if (stride == 1) {
#pragma omp simd
      for (int64_t i = 0; i < count; ++i) to[i] = convert(data[i]);
    } else {
      for (int64_t i = 0; i < count; ++i) to[i] = convert(data[i * stride]);
    }
  };
  const auto cast = [](auto x) { return static_cast<T>(x); };
  switch (from.dtype) {
    case FLOAT32: return each(typed<float>(from.data), cast);
    case FLOAT64: return each(typed<double>(from.data), cast);
    case FLOAT16: return each(typed<_Float16>(from.data), cast);
    case BFLOAT16:
      return each(typed<uint16_t>(from.data), [](uint16_t x) { return static_cast<T>(from_bfloat16(x)); });
  }
}

// Returns the numbers from position `at` on: the memory itself, or a copy in `room`.
template <class T>
const T* view(const Array& from, int64_t at, int64_t count, T* room) {
  if (!from.data) return nullptr;
  if (from.dtype == dtype_of<T>) return typed<T>(from.data) + at;
  read(from, at, count, room);
  return room;
}

template <class T>
void write(const T* __restrict from, int64_t count, void* to, Dtype dtype, int64_t at, int64_t stride = 1) {
  if constexpr (std::is_same_v<T, float>) {
    if (dtype == FLOAT16 && stride == 1) {
      const int64_t done = to_float16(from, count, static_cast<_Float16*>(to) + at);
      at += done, count -= done, from += done;
    }
  }
  const auto each = [&](auto* data, const auto& convert) {
    data += at;
    if (stride == 1) {
#pragma omp simd
      for (int64_t i = 0; i < count; ++i) data[i] = convert(from[i]);
    } else {
      for (int64_t i = 0; i < count; ++i) data[i * stride] = convert(from[i]);
    }
  };
  switch (dtype) {
    case FLOAT32: return each(static_cast<float*>(to), [](T x) { return static_cast<float>(x); });
    case FLOAT64: return each(static_cast<double*>(to), [](T x) { return static_cast<double>(x); });
    case FLOAT16: return each(static_cast<_Float16*>(to), [](T x) { return static_cast<_Float16>(x); });
    case BFLOAT16:
      return each(static_cast<uint16_t*>(to), [](T x) { return to_bfloat16(static_cast<float>(x)); });
  }
}

// Where a result is computed: in its own memory, or in `room`, from which `write` takes it.
template <class T>
T* place(void* to, Dtype dtype, int64_t at, T* room) {
  return to && dtype == dtype_of<T> ? static_cast<T*>(to) + at : room;
}

template <class F>
void run_parallel(const Job& job, int64_t count, int64_t grain, const F& f) {
  if (count <= grain) return f(0, count);
  job.parallel(count, grain,
               [](const void* context, int64_t begin, int64_t end) {
                 (*static_cast<const F*>(context))(begin, end);
               },
               &f);
}

}  // namespace losses
