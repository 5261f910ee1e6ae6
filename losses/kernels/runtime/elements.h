// Losses of single elements, block by block, so that a sum does not depend on the number of threads.
#pragma once

#include "memory.h"

namespace losses {

// Elements per block: few enough for the L1 cache.
constexpr int64_t BLOCK = 2048;
// Blocks per thread, at least.
constexpr int64_t GRAIN = 8;

template <class T>
struct Block {
  alignas(64) T z[BLOCK], t[BLOCK], w[BLOCK], weight[BLOCK], upstream[BLOCK], result[BLOCK];
};

template <class T, class Loss>
struct Elements {
  const Loss& loss;
  const Job& job;

  // Calls f(i, z, 1) or f(i, -z, -1) for every element of the block, and returns true, if all targets
  // are 1 or 0. For a loss of which the two targets are the same of z and -z.
  template <class F>
  bool for_each_right(int64_t begin, int64_t size, Block<T>& room, const F& f) const {
    const T* t = view(job.t, begin, size, room.t);
    int soft = 0;
#pragma omp simd reduction(| : soft)
    for (int64_t i = 0; i < size; ++i) soft |= (t[i] != 0) & (t[i] != 1);
    if (soft) return false;
    const T* z = view(job.z, begin, size, room.z);
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) {
      const T sign = 2 * t[i] - 1;
      f(i, sign * z[i], sign);
    }
    return true;
  }

  // Calls f(i, numbers...) for every element of the block.
  template <class F>
  void for_each(int64_t begin, int64_t size, Block<T>& room, const F& f) const {
    const T* z = view(job.z, begin, size, room.z);
    if constexpr (Loss::inputs == 1) {
#pragma omp simd
      for (int64_t i = 0; i < size; ++i) f(i, z[i]);
    } else {
      const T* t = view(job.t, begin, size, room.t);
      if constexpr (Loss::inputs == 2) {
#pragma omp simd
        for (int64_t i = 0; i < size; ++i) f(i, z[i], t[i]);
      } else {
        const T* w = view(job.w, begin, size, room.w);
#pragma omp simd
        for (int64_t i = 0; i < size; ++i) f(i, z[i], t[i], w[i]);
      }
    }
  }

  void times(const Array& factors, int64_t begin, int64_t size, T* room, T* __restrict result) const {
    const T* factor = view(factors, begin, size, room);
    if (!factor) return;
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) result[i] *= factor[i];
  }

  double value(int64_t begin, int64_t size, Block<T>& room) const {
    T* each = place(job.each, job.each_dtype, begin, room.result);
    // A copy, whose constants cannot be what the loop writes to.
    const Loss form = loss;
    bool done = false;
    if constexpr (Loss::has_right_value)
      done = for_each_right(begin, size, room, [=](int64_t i, T z, T) INLINE_LAMBDA { each[i] = form.right_value(z); });
    if (!done) for_each(begin, size, room, [=](int64_t i, auto... x) INLINE_LAMBDA { each[i] = form.value(x...); });
    times(job.weight, begin, size, room.weight, each);
    if (job.each && each == room.result) write(each, size, job.each, job.each_dtype, begin);
    T sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < size; ++i) sum += each[i];
    return static_cast<double>(sum);
  }

  void gradient(int64_t begin, int64_t size, Block<T>& room) const {
    T* g = place(job.gradient, job.gradient_dtype, begin, room.result);
    const T scale = static_cast<T>(job.scale);
    const Loss form = loss;
    bool done = false;
    if constexpr (Loss::has_right_gradient)
      done = for_each_right(begin, size, room, [=](int64_t i, T z, T sign) INLINE_LAMBDA {
        g[i] = (scale * sign) * form.right_gradient(z);
      });
    if (!done) for_each(begin, size, room, [=](int64_t i, auto... x) INLINE_LAMBDA { g[i] = scale * form.gradient(x...); });
    times(job.weight, begin, size, room.weight, g);
    times(job.upstream, begin, size, room.upstream, g);
    if (g == room.result) write(g, size, job.gradient, job.gradient_dtype, begin);
  }
};

template <class T, class Loss>
double values(const Job& job) {
  const Loss loss(job.constants);
  const Elements<T, Loss> elements{loss, job};
  const int64_t blocks = (job.outer + BLOCK - 1) / BLOCK;
  if (blocks <= 1) {
    Block<T> room;
    return elements.value(0, job.outer, room);
  }
  std::vector<double> sums(static_cast<size_t>(blocks));
  run_parallel(job, blocks, GRAIN, [&](int64_t first, int64_t last) {
    Block<T> room;
    for (int64_t k = first; k < last; ++k)
      sums[static_cast<size_t>(k)] = elements.value(k * BLOCK, std::min(BLOCK, job.outer - k * BLOCK), room);
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

template <class T, class Loss>
void gradients(const Job& job) {
  const Loss loss(job.constants);
  const Elements<T, Loss> elements{loss, job};
  const int64_t blocks = (job.outer + BLOCK - 1) / BLOCK;
  run_parallel(job, blocks, GRAIN, [&](int64_t first, int64_t last) {
    Block<T> room;
    for (int64_t k = first; k < last; ++k)
      elements.gradient(k * BLOCK, std::min(BLOCK, job.outer - k * BLOCK), room);
  });
}

}  // namespace losses
